//! Ports for the tasks of one datacenter. Several datacenters run on one machine
//! at a time, in several test processes: each takes a block for itself.

use std::fs::File;
use std::path::PathBuf;

/// Below the ports that the kernel gives to outgoing connections.
const FIRST: u32 = 10_000;
const BLOCK: u32 = 200;
const BLOCKS: u32 = 90;

/// A block of ports that belongs to this value; the kernel frees it when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct Block {
    first: u32,
    _lock: File,
}

impl Block {
    /// # Panics
    /// When all are taken.
    pub fn take() -> Self {
        // Start anywhere, so that a block is not reused at once.
        let start = std::process::id() % BLOCKS;
        (0..BLOCKS)
            .map(|offset| (start + offset) % BLOCKS)
            .find_map(|number| {
                let lock = File::create(lock_path(number)).ok()?;
                lock.try_lock().ok()?;
                Some(Self { first: FIRST + number * BLOCK, _lock: lock })
            })
            .expect("a free block of ports; are other tests left running?")
    }

    /// As Mesos writes it: `[10000-10199]`.
    pub fn ranges(&self) -> String {
        format!("[{}-{}]", self.first, self.first + BLOCK - 1)
    }
}

fn lock_path(number: u32) -> PathBuf {
    std::env::temp_dir().join(format!("karman-test-ports-{number}.lock"))
}
