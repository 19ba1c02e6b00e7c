//! How an image wants to be run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, Platform};
use crate::digest::Digest;

/// What the builder of the image said about running it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub environment: Vec<(String, String)>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub directory: Option<String>,
    /// `name`, `uid`, `name:group` or `uid:gid`; names are those of the image.
    pub user: Option<String>,
    pub stop_signal: Option<String>,
    /// `80/tcp`.
    pub exposed: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// Folders that the builder wants to be volumes.
    pub volumes: Vec<String>,
}

/// A configuration together with the names of what its layers unpack to, lowest
/// first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub config: Config,
    pub diffs: Vec<Digest>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    config: Option<Inner>,
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

type Names = Option<BTreeMap<String, serde::de::IgnoredAny>>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inner {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    exposed_ports: Names,
    labels: Option<BTreeMap<String, String>>,
    volumes: Names,
}

impl Described {
    /// Reads the configuration of an image with so many layers.
    pub fn parse(bytes: &[u8], layers: usize, platform: &Platform) -> Result<Self, Error> {
        let Raw { architecture, os, config, rootfs } = serde_json::from_slice(bytes)
            .map_err(|error| Error::Config { problem: error.to_string() })?;
        if !platform.runs(&architecture, &os) {
            let offered = Platform { architecture, os, variant: None }.to_string();
            return Err(Error::Platform { offered, wanted: platform.clone() });
        }
        let diffs = rootfs.diff_ids.unwrap_or_default();
        if diffs.len() != layers {
            return Err(Error::LayerCount { layers, named: diffs.len() });
        }
        let config = config.map_or_else(Config::default, Inner::into_config);
        config.check()?;
        Ok(Self { config, diffs })
    }
}

impl Inner {
    fn into_config(self) -> Config {
        let Self {
            env,
            entrypoint,
            cmd,
            working_dir,
            user,
            stop_signal,
            exposed_ports,
            labels,
            volumes,
        } = self;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let names = |names: Names| names.map(|names| names.into_keys().collect());
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Config {
            environment: env.unwrap_or_default().into_iter().map(pair).collect(),
            entrypoint: entrypoint.unwrap_or_default(),
            command: cmd.unwrap_or_default(),
            directory: filled(working_dir),
            user: filled(user),
            stop_signal: filled(stop_signal),
            exposed: names(exposed_ports).unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            volumes: names(volumes).unwrap_or_default(),
        }
    }
}

impl Config {
    /// No text here may end before its end when the kernel reads it.
    fn check(&self) -> Result<(), Error> {
        let Self {
            environment,
            entrypoint,
            command,
            directory,
            user,
            stop_signal,
            exposed: _,
            labels: _,
            volumes: _,
        } = self;
        let pairs = environment.iter().flat_map(|(name, value)| [name, value]);
        let options = [directory, user, stop_signal].into_iter().flatten();
        let mut texts = pairs.chain(entrypoint).chain(command).chain(options);
        if texts.any(|text| text.contains('\0')) {
            return Err(Error::Config { problem: "a text holds a NUL character".to_owned() });
        }
        if environment.iter().any(|(name, _)| name.is_empty()) {
            return Err(Error::Config { problem: "a variable has no name".to_owned() });
        }
        Ok(())
    }
}
