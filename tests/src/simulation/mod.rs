//! The master's books under fire: a whole cluster in one queue of events.
//!
//! The ledger is the real one, with its allocator and its stored objects. Around
//! it are simulated masters (which batch, store and speak as the real one does
//! and die in between), agents, schedulers, operators, a store and a network, and
//! everything that goes wrong between them. A seed decides all of it: the same
//! seed gives the same run, so that whatever is found once is found again.
//!
//! After each step the ledger checks its books ([`karman_master::ledger::Ledger::check`])
//! and `truth` what no single part can know. In the end the trouble ceases, and
//! everybody must come to know the truth (`calm`).

mod agent;
mod calm;
mod clock;
mod faults;
mod framework;
mod laws;
mod master;
mod net;
mod operations;
mod operator;
mod rng;
mod seeds;
mod shares;
mod store;
mod tests;
mod trace;
mod truth;
mod updates;
mod whims;
mod world;

use trace::Lines;
use world::World;

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    trace: u64,
    steps: u64,
    batches: u64,
    seconds: u64,
}

/// One run; panics with the first thing that is wrong.
fn simulate(seed: u64, lines: Option<Lines>) -> Outcome {
    let world = run(seed, lines);
    Outcome {
        trace: world.trace.hash(),
        steps: world.steps,
        batches: world.batches,
        seconds: world.now / 1000,
    }
}

fn run(seed: u64, lines: Option<Lines>) -> World {
    let mut world = World::new(seed, lines);
    world.begin();
    let storm = world.rng.between(30_000, 400_000);
    world.run_until(storm);
    world.settle();
    world
}
