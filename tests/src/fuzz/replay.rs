use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::bodies::TARGETS;
use crate::binaries::root;

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = root().join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    files
}

/// Damages a seed where a bit-flipping stranger would: cut, repeat, replace.
fn damaged(seed: &[u8], at: usize, kind: u8, byte: u8) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let at = at % (bytes.len() + 1);
    match kind % 4 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, byte),
        2 => {
            if let Some(replaced) = bytes.get_mut(at) {
                *replaced = byte;
            }
        }
        _ => {
            let tail = bytes.split_off(at);
            bytes.extend_from_slice(&tail);
            bytes.extend_from_slice(&tail);
        }
    }
    bytes
}

#[test]
fn every_target_has_seeds_and_a_binary() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(!seeds(target).is_empty(), "{target} has no seeds");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} has no binary");
    }
    let binaries = manifest.matches("[[bin]]").count();
    assert_eq!(binaries, TARGETS.len(), "a binary is not in the list of targets");
}

#[test]
fn the_laws_hold_on_all_seeds() {
    for (target, body) in TARGETS {
        for seed in seeds(target) {
            let bytes = std::fs::read(&seed).unwrap();
            let result = std::panic::catch_unwind(|| body(&bytes));
            assert!(result.is_ok(), "{target} fails on {}", shown(&seed));
        }
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

proptest! {
    #[test]
    fn the_laws_hold_on_damaged_seeds(
        seed in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        for (target, body) in TARGETS {
            let seeds = seeds(target);
            let mut bytes = std::fs::read(seed.get(&seeds)).unwrap();
            for (at, kind, byte) in &damages {
                bytes = damaged(&bytes, *at, *kind, *byte);
            }
            body(&bytes);
        }
    }

    #[test]
    fn the_laws_hold_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        for (_, body) in TARGETS {
            body(&bytes);
        }
    }
}
