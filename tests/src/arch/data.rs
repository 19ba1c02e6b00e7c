//! Files that are data agree with the programs that read them.

use std::process::Command;

use crate::binaries::{path, root};

fn files(folder: &str, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder exists");
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn every_configuration_file_parses() {
    let files = files("config", "yaml");
    assert!(!files.is_empty());
    for file in files {
        let output = Command::new(path("karmand")).arg("check-config").arg(&file).output().unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_unit_starts_something_that_exists() {
    let files = files("systemd", "service");
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let starts: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
        assert_eq!(starts.len(), 1, "{}", file.display());
        for start in starts {
            let mut words = start.split_whitespace();
            let program = words.next().and_then(|path| path.rsplit('/').next()).unwrap();
            let command = words.next().unwrap();
            let help = Command::new(path(program)).args([command, "--help"]).output().unwrap();
            assert!(help.status.success(), "{}: no command '{command}'", file.display());
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            for option in words.filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: no option '{option}'", file.display());
            }
        }
    }
}
