mod days;
mod faults;
mod random;
mod world;
