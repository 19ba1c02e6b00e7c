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

/// The units of the roles run `karmand serve ROLE`, each under its name.
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
            let mut role = "";
            if program == "etcd" {
                // Not ours; the installer carries it.
                continue;
            }
            if command == "serve" {
                role = words.next().unwrap();
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                assert_eq!(name, format!("karman-{role}"));
            }
            let help = Command::new(path(program)).args([command, "--help"]).output().unwrap();
            assert!(help.status.success(), "{}: no command '{command}'", file.display());
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            assert!(help.contains(role), "{}: no role '{role}'", file.display());
            for option in words.filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: no option '{option}'", file.display());
            }
        }
    }
}

/// What systemd itself finds wrong with the units.
#[test]
fn systemd_understands_every_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED: systemd-analyze is not installed");
        assert!(std::env::var_os("CI").is_none());
        return;
    }
    let units = root().join("systemd");
    let mut all = files("systemd", "service");
    all.extend(files("systemd", "target"));
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(all)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let wrong = |line: &&str| line.contains("karman") && !line.contains("is not executable");
    let wrong: Vec<&str> = text.lines().filter(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
