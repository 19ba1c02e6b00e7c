//! The karman command line.
