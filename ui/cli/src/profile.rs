//! The clusters a user has set up, on disk.
//!
//! The layout is that of the DC/OS CLI, so that both see the same clusters:
//! `<dir>/clusters/<cluster id>/dcos.toml`, an empty file `attached` beside the
//! one in use, and `dcos_ca.crt` where a certificate authority was given.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::failure::{Failure, Kind};

/// The keys of `dcos.toml`. Those that only the DC/OS CLI reads are kept for it.
pub const KEYS: [&str; 15] = [
    "cluster.name",
    "core.dcos_acs_token",
    "core.dcos_url",
    "core.mesos_master_url",
    "core.pagination",
    "core.prompt_login",
    "core.reporting",
    "core.ssh_proxy_ip",
    "core.ssh_user",
    "core.ssl_verify",
    "core.timeout",
    "job.service_name",
    "job.url",
    "marathon.url",
    "package.cosmos_url",
];
pub const TOKEN: &str = "core.dcos_acs_token";
const FILE: &str = "dcos.toml";
const ATTACHED: &str = "attached";
const AUTHORITY: &str = "dcos_ca.crt";

/// The folder of all clusters.
#[derive(Clone, Debug)]
pub struct Home {
    clusters: PathBuf,
}

/// One cluster.
#[derive(Clone, Debug)]
pub struct Profile {
    pub id: String,
    pub attached: bool,
    dir: PathBuf,
    settings: Table,
}

impl Home {
    /// `$KARMAN_DIR`, else `$DCOS_DIR`, else `~/.dcos`.
    pub fn from_env() -> Result<Self, Failure> {
        let named = ["KARMAN_DIR", "DCOS_DIR"]
            .into_iter()
            .find_map(|name| std::env::var_os(name).filter(|dir| !dir.is_empty()));
        let dir = match named {
            Some(dir) => PathBuf::from(dir),
            None => std::env::home_dir()
                .ok_or_else(|| {
                    Failure::usage("there is no home folder for the settings")
                        .remedy("set KARMAN_DIR")
                })?
                .join(".dcos"),
        };
        Ok(Self::new(&dir))
    }

    pub fn new(dir: &Path) -> Self {
        Self { clusters: dir.join("clusters") }
    }

    /// All clusters, by id.
    pub fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        let entries = match fs::read_dir(&self.clusters) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&self.clusters, &error)),
        };
        let mut profiles = Vec::new();
        for entry in entries {
            let dir = entry.map_err(|error| unreadable(&self.clusters, &error))?.path();
            if dir.join(FILE).is_file() {
                profiles.push(Profile::load(dir)?);
            }
        }
        profiles.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(profiles)
    }

    /// The cluster in use: the attached one, or the only one there is.
    pub fn attached(&self) -> Result<Option<Profile>, Failure> {
        let mut profiles = self.profiles()?;
        if let Some(index) = profiles.iter().position(|profile| profile.attached) {
            return Ok(Some(profiles.swap_remove(index)));
        }
        match profiles.len() {
            0 => Ok(None),
            1 => Ok(profiles.pop()),
            several => {
                Err(Failure::usage(format!("{several} clusters are set up and none is attached"))
                    .remedy("choose one with: karman cluster attach NAME"))
            }
        }
    }

    /// The cluster that a word means: its name, its id or the beginning of it.
    pub fn find(&self, word: &str) -> Result<Profile, Failure> {
        let profiles = self.profiles()?;
        let exact = |profile: &&Profile| {
            profile.id == word || profile.name() == word || profile.url() == word
        };
        let begins = |profile: &&Profile| profile.id.starts_with(word);
        let mut found: Vec<&Profile> = profiles.iter().filter(exact).collect();
        if found.is_empty() {
            found = profiles.iter().filter(begins).collect();
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Failure::new(Kind::NotFound, format!("no cluster is called '{word}'"))
                .remedy("see the clusters with: karman cluster list")),
            several => {
                Err(Failure::usage(format!("{} clusters are called '{word}'", several.len()))
                    .remedy("use the id: karman cluster list"))
            }
        }
    }

    /// A new cluster, or the one of this id with new settings.
    pub fn create(&self, id: &str) -> Result<Profile, Failure> {
        let safe =
            !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !safe {
            return Err(Failure::new(
                Kind::Failed,
                format!("the cluster has an unusable id '{id}'"),
            )
            .remedy("check that the URL is that of a Karman gateway"));
        }
        let dir = self.clusters.join(id);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|error| unwritable(&dir, &error))?;
        if dir.join(FILE).is_file() {
            return Profile::load(dir);
        }
        Ok(Profile { id: id.to_owned(), attached: false, dir, settings: Table::new() })
    }

    /// Makes one cluster the one in use.
    pub fn attach(&self, wanted: &Profile) -> Result<(), Failure> {
        for profile in self.profiles()? {
            if profile.attached && profile.id != wanted.id {
                let mark = profile.dir.join(ATTACHED);
                fs::remove_file(&mark).map_err(|error| unwritable(&mark, &error))?;
            }
        }
        let mark = wanted.dir.join(ATTACHED);
        fs::write(&mark, "").map_err(|error| unwritable(&mark, &error))
    }

    pub fn remove(profile: &Profile) -> Result<(), Failure> {
        fs::remove_dir_all(&profile.dir).map_err(|error| unwritable(&profile.dir, &error))
    }
}

impl Profile {
    fn load(dir: PathBuf) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        let settings = text.parse().map_err(|error: toml::de::Error| {
            Failure::usage(format!("{} is not valid TOML: {}", path.display(), error.message()))
                .remedy("correct it, or set the cluster up again")
        })?;
        let id = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { attached: dir.join(ATTACHED).exists(), id, dir, settings })
    }

    /// A setting as text.
    pub fn get(&self, key: &str) -> Option<String> {
        let (section, name) = key.split_once('.')?;
        match self.settings.get(section)?.as_table()?.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    pub fn name(&self) -> String {
        self.get("cluster.name").unwrap_or_default()
    }

    pub fn url(&self) -> String {
        self.get("core.dcos_url").unwrap_or_default()
    }

    /// All settings, as `section.name` and text.
    pub fn all(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (section, members) in &self.settings {
            for name in members.as_table().into_iter().flat_map(Table::keys) {
                let key = format!("{section}.{name}");
                let value = self.get(&key).unwrap_or_default();
                all.push((key, value));
            }
        }
        all.sort();
        all
    }

    pub fn set(&mut self, key: &str, value: &str) {
        let Some((section, name)) = key.split_once('.') else { return };
        let members = self.settings.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(members) = members {
            let value = match (key, value) {
                ("core.timeout", number) if number.parse::<i64>().is_ok() => {
                    Value::Integer(number.parse().unwrap_or_default())
                }
                ("core.pagination" | "core.prompt_login" | "core.reporting", "true") => {
                    Value::Boolean(true)
                }
                ("core.pagination" | "core.prompt_login" | "core.reporting", "false") => {
                    Value::Boolean(false)
                }
                (_, text) => Value::String(text.to_owned()),
            };
            members.insert(name.to_owned(), value);
        }
    }

    /// Whether there was anything to forget.
    pub fn unset(&mut self, key: &str) -> bool {
        let Some((section, name)) = key.split_once('.') else { return false };
        self.settings
            .get_mut(section)
            .and_then(Value::as_table_mut)
            .is_some_and(|members| members.remove(name).is_some())
    }

    /// Keeps a copy of the certificate authorities with the cluster.
    pub fn keep_authority(&mut self, pem: &[u8]) -> Result<(), Failure> {
        let path = self.dir.join(AUTHORITY);
        replace(&path, pem)?;
        self.set("core.ssl_verify", &path.to_string_lossy());
        Ok(())
    }

    pub fn save(&self) -> Result<(), Failure> {
        replace(&self.dir.join(FILE), self.settings.to_string().as_bytes())
    }
}

/// Replaces a file at once: readers see the old or the new one. The token makes
/// it the user's alone.
fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(dir)?;
        file.write_all(content)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| unwritable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
        .remedy("check its permissions, or set KARMAN_DIR")
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot write {}: {error}", path.display()))
        .remedy("check its permissions, or set KARMAN_DIR")
}

#[cfg(test)]
mod tests;
