//! Carrying out one step, with the record before and after it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::machine::{Machine, run, systemctl};
use super::observe::{Names, activities, is_absent, sysctl_path};
use super::{state, tasks};
use crate::layout::{INSTALL, INSTALLER};
use crate::payload::Payload;
use crate::steps::{Activity, Carried, Content, Entry, Original, Record, Rights, Step};

/// etcd serves once most masters do, and they may be slow machines.
const STORE_READY_LIMIT: Duration = Duration::from_secs(300);
const UNIT_READY_LIMIT: Duration = Duration::from_secs(150);
/// A service that fails so often will not serve.
const RESTARTS_MAX: u32 = 10;
const POLL: Duration = Duration::from_millis(100);
/// What a failed service said last.
const LOG_LINES: &str = "12";

pub(super) struct Executor<'a> {
    pub machine: &'a Machine,
    pub record: Record,
    pub payload: Option<Payload>,
}

impl Executor<'_> {
    /// Carries a step out; a sentence where it could not be and need not be.
    pub(super) fn carry_out(&mut self, step: &Step) -> anyhow::Result<Option<String>> {
        self.note(step)?;
        let mut warning = None;
        match step {
            Step::AddGroup { name } => {
                self.machine.accounts("groupadd", &["--system", "--force", name])?;
            }
            Step::AddUser { name, group } => self.add_user(name, group)?,
            Step::Put { path, entry } => self.put(path, entry)?,
            Step::Unpack { files } => self.unpack(files)?,
            Step::Restore { path, original } => self.restore(path, original)?,
            Step::SetSysctl { key, value } => warning = self.set(key, value),
            Step::ResetSysctl { key, value } => {
                if let Err(error) = fs::write(sysctl_path(key), value) {
                    warning = Some(format!("{key} stays as it is until the next start: {error}"));
                }
            }
            Step::RemoveUser { name } => self.remove_account("userdel", "/etc/passwd", name)?,
            Step::RemoveGroup { name } => self.remove_account("groupdel", "/etc/group", name)?,
            Step::RemoveTree { path } => self.remove_tree(path)?,
            Step::Reload
            | Step::Start { .. }
            | Step::Await { .. }
            | Step::Stop { .. }
            | Step::EndTasks
            | Step::DropAddresses => {
                if self.machine.is_live() {
                    services(step)?;
                }
            }
        }
        self.record.done(step);
        if *step != (Step::RemoveTree { path: INSTALL.to_owned() }) {
            state::save(self.machine, &self.record)?;
        }
        Ok(warning)
    }

    fn names(&self) -> Names {
        Names::new(&self.machine.users(), &self.machine.groups())
    }

    /// Notes what is about to happen, durably where undoing needs it.
    fn note(&mut self, step: &Step) -> anyhow::Result<()> {
        let before = self.record.clone();
        let original = match step {
            Step::Put { path, entry } if self.record.needs_original(path) => match entry {
                Entry::Shared => None,
                _ => Some(self.names().original(self.machine, path)?),
            },
            _ => None,
        };
        let value = match step {
            Step::SetSysctl { key, .. } => fs::read_to_string(sysctl_path(key)).ok(),
            _ => None,
        };
        self.record.intend(step, original, value.map(|value| value.trim().to_owned()));
        if self.record != before { state::save(self.machine, &self.record) } else { Ok(()) }
    }

    fn add_user(&self, name: &str, group: &str) -> anyhow::Result<()> {
        let home = ["--no-create-home", "--home-dir", "/nonexistent"];
        let mut arguments = vec!["--system", "--gid", group, "--shell", "/usr/sbin/nologin"];
        arguments.extend(home);
        arguments.extend(["--comment", "Karman", name]);
        self.machine.accounts("useradd", &arguments)
    }

    fn remove_account(&self, program: &str, file: &str, name: &str) -> anyhow::Result<()> {
        if !self.machine.ids(file).contains_key(name) {
            return Ok(());
        }
        self.machine.accounts(program, &[name])
    }

    fn put(&self, path: &str, entry: &Entry) -> anyhow::Result<()> {
        let at = self.machine.path(path);
        match entry {
            Entry::Shared => fs::create_dir_all(&at)?,
            Entry::Folder(rights) => {
                match fs::create_dir(&at) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                self.grant(&at, rights)?;
            }
            Entry::Link { target } => {
                let unfinished = unfinished(&at);
                remove_file(&unfinished)?;
                symlink(target, &unfinished)?;
                fs::rename(&unfinished, &at)?;
            }
            Entry::File { rights, content: Content::Text(text) } => {
                self.write(&at, rights, text.as_bytes())?;
            }
            Entry::File { content: Content::Carried { path, .. }, .. } => {
                bail!("{path} is carried and cannot be put by itself")
            }
        }
        sync_folder(&at)
    }

    fn write(&self, at: &Path, rights: &Rights, bytes: &[u8]) -> anyhow::Result<()> {
        let unfinished = unfinished(at);
        let mut file = File::create(&unfinished)?;
        // Rights before contents: there are keys among them.
        self.grant(&unfinished, rights)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::rename(&unfinished, at) {
            // A container's runtime may have mounted the file.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                fs::write(at, bytes)?;
                remove_file(&unfinished)?;
            }
            renamed => renamed?,
        }
        Ok(())
    }

    fn grant(&self, at: &Path, rights: &Rights) -> anyhow::Result<()> {
        let Rights { mode, owner, group } = rights;
        let id = |ids: BTreeMap<String, u32>, name: &str| {
            let known = ids.get(name).copied().or_else(|| name.parse().ok());
            known.with_context(|| format!("there is no '{name}' to own {}", at.display()))
        };
        let (user, group) = (id(self.machine.users(), owner)?, id(self.machine.groups(), group)?);
        lchown(at, Some(user), Some(group))
            .with_context(|| format!("cannot give {} to {owner}", at.display()))?;
        fs::set_permissions(at, fs::Permissions::from_mode(*mode))?;
        Ok(())
    }

    fn unpack(&self, files: &[Carried]) -> anyhow::Result<()> {
        let payload = self.payload.as_ref().context("this installer carries nothing")?;
        let place = |file: &Carried| (file.path.clone(), self.machine.path(&file.to));
        payload.unpack(&files.iter().map(place).collect())?;
        files.iter().try_for_each(|file| self.grant(&self.machine.path(&file.to), &file.rights))
    }

    fn restore(&self, path: &str, original: &Original) -> anyhow::Result<()> {
        let at = self.machine.path(path);
        remove_file(&unfinished(&at))?;
        match original {
            Original::Link { target } => {
                let link = Entry::Link { target: target.clone() };
                return self.put(path, &link);
            }
            Original::File { rights, text } => self.write(&at, rights, text.as_bytes())?,
            Original::Nothing => match fs::symlink_metadata(&at) {
                Err(error) if is_absent(&error) => return Ok(()),
                Ok(metadata) if metadata.is_dir() => match fs::remove_dir(&at) {
                    // Somebody else uses it by now.
                    Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                    removed => removed?,
                },
                _ => fs::remove_file(&at)?,
            },
        }
        sync_folder(&at)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<String> {
        let error = fs::write(sysctl_path(key), value).err()?;
        self.record.refused(key);
        Some(format!("the kernel does not let {key} be set to {value}: {error}"))
    }

    /// Removes a folder with all that is in it, the record last.
    fn remove_tree(&self, path: &str) -> anyhow::Result<()> {
        let at = self.machine.path(path);
        if self.machine.is_live() {
            tasks::unmount_below(&at)?;
        }
        if path == INSTALL {
            let keep = self.machine.path(INSTALLER);
            for folder in [&at, &keep] {
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path != keep && path.file_name().is_none_or(|name| name != "record.json") {
                        remove_any(&path)?;
                    }
                }
            }
        }
        remove_any(&at)
    }
}

/// The name under which a file is written before it takes its own.
fn unfinished(at: &Path) -> PathBuf {
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    at.with_file_name(format!(".{name}.karman"))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        removed => removed,
    }
}

fn remove_any(path: &Path) -> anyhow::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => return Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

fn sync_folder(at: &Path) -> anyhow::Result<()> {
    if let Some(folder) = at.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn services(step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Reload => {
            systemctl(&["daemon-reload"])?;
            // Units that are gone and had failed would be shown for ever.
            let _none_has_failed = systemctl(&["reset-failed", "karman*"]);
        }
        Step::Start { unit, .. } => {
            // Restarting a target would stop all that it wants.
            let verb = if unit.ends_with(".target") { "start" } else { "restart" };
            // Failures of before are no reason to give up now.
            let _never_failed = systemctl(&["reset-failed", unit]);
            systemctl(&[verb, "--no-block", unit])?;
        }
        Step::Await { unit } => await_ready(unit)?,
        Step::Stop { unit } => drop(systemctl(&["stop", unit])?),
        Step::EndTasks => tasks::end()?,
        Step::DropAddresses => {
            for n in 1..=3 {
                let address = format!("198.51.100.{n}/32");
                let mut ip = Command::new("ip");
                // It is not there if the name server never started.
                let _not_there = run(ip.args(["address", "del", &address, "dev", "lo"]));
            }
        }
        _ => bail!("'{step}' is no step of a service"),
    }
    Ok(())
}

/// Waits until a unit serves, and says what it said if it does not.
fn await_ready(unit: &str) -> anyhow::Result<()> {
    let limit = if unit.contains("etcd") { STORE_READY_LIMIT } else { UNIT_READY_LIMIT };
    let begin = Instant::now();
    let before = restarts(unit)?;
    loop {
        match activities(&[unit])?.get(unit) {
            Some(Activity::Active) => return Ok(()),
            Some(Activity::Activating) => {}
            _ => {
                let state = systemctl(&["show", "--property=Result", "--value", unit])?;
                if begin.elapsed() > UNIT_READY_LIMIT / 10 {
                    bail!("{unit} stopped ({}){}", state.trim(), said(unit));
                }
            }
        }
        if restarts(unit)?.saturating_sub(before) > RESTARTS_MAX {
            bail!("{unit} fails again and again{}", said(unit));
        }
        if begin.elapsed() > limit {
            bail!("{unit} is not ready after {} seconds{}", limit.as_secs(), said(unit));
        }
        std::thread::sleep(POLL);
    }
}

/// How often systemd restarted a unit by itself.
fn restarts(unit: &str) -> anyhow::Result<u32> {
    let text = systemctl(&["show", "--property=NRestarts", "--value", unit])?;
    Ok(text.trim().parse().unwrap_or(0))
}

fn said(unit: &str) -> String {
    let mut journal = Command::new("journalctl");
    let text = run(journal.args(["--no-pager", "-o", "cat", "-n", LOG_LINES, "-u", unit]));
    match text {
        Ok(text) if !text.trim().is_empty() => format!("; it said last:\n{}", text.trim_end()),
        _ => format!("; see journalctl -u {unit}"),
    }
}
