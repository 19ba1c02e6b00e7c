//! `config.yaml`: the description of a cluster. Pure.
//!
//! The keys are those of DC/OS, so that an existing file can be used. A key
//! that DC/OS knows and we have no need for is reported as ignored with the
//! reason; a key that nobody knows is a mistake, and so is every value that
//! cannot be right. All of them are found at once.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use yaml_serde::{Mapping, Value};

mod keys;
mod value;

pub use keys::{KEYS, Key};

/// The file that `init` writes; it is valid once its addresses are real.
pub const TEMPLATE: &str = include_str!("template.yaml");

/// A cluster to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub cluster_name: String,
    pub master_list: Vec<IpAddr>,
    pub agent_list: Vec<IpAddr>,
    pub public_agent_list: Vec<IpAddr>,
    pub ssh_user: String,
    pub ssh_port: u16,
    /// Without one, ssh chooses as it always does.
    pub ssh_key_path: Option<String>,
    /// Instead of the one that ssh takes by itself.
    pub ssh_config_path: Option<String>,
    /// Without any, each machine keeps the ones it has.
    pub resolvers: Vec<Resolver>,
    pub dns_search: Vec<String>,
    pub ip_detect: Option<Script>,
    pub fault_domain_detect: Option<Script>,
    /// Who may do everything; the first user.
    pub superuser: String,
    /// Without one, a password is made up and shown.
    pub superuser_password_hash: Option<String>,
    /// What all agents say of their machine.
    pub agent_resources: Option<String>,
    pub agent_attributes: Option<String>,
    /// What single machines say instead.
    pub machines: BTreeMap<IpAddr, Tuning>,
}

/// What an agent says of its machine beyond what it sees itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_domain: Option<String>,
}

/// A name server for all names that are not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    pub address: IpAddr,
    pub port: u16,
}

/// A script that finds something out on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    Text(String),
    /// A file beside `config.yaml`.
    File(String),
}

/// Whether an address is one at which our own name server answers.
pub fn is_own_resolver(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if value::OWN_RESOLVERS.contains(&address))
}

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// A key without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    pub key: String,
    pub reason: String,
}

/// All that can be said about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// None where there are mistakes.
    pub config: Option<Config>,
    pub mistakes: Vec<Mistake>,
    /// The keys of the file that have an effect.
    pub read: Vec<Key>,
    pub ignored: Vec<Ignored>,
}

/// Reads and checks the text of a file.
pub fn check(text: &str) -> Checked {
    let mut check = Check::default();
    let mapping = match yaml_serde::from_str(text) {
        Ok(Value::Mapping(mapping)) => mapping,
        Ok(Value::Null) => Mapping::new(),
        Ok(_) => {
            check.mistake(
                "file",
                "is not a list of keys with values",
                "write 'key: value' on each line",
            );
            return check.finish(None);
        }
        Err(error) => {
            check.mistake("file", format!("is not valid YAML: {error}"), "correct that place");
            return check.finish(None);
        }
    };
    let known = check.sort(&mapping);
    let config = check.read(&known);
    check.finish(Some(config))
}

#[derive(Debug, Default)]
struct Check {
    mistakes: Vec<Mistake>,
    read: Vec<Key>,
    ignored: Vec<Ignored>,
}

impl Check {
    fn finish(self, config: Option<Config>) -> Checked {
        let Self { mistakes, read, ignored } = self;
        Checked { config: config.filter(|_| mistakes.is_empty()), mistakes, read, ignored }
    }

    fn mistake(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Mistake {
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// The values of the keys we read; every other key is ignored or a mistake.
    fn sort<'a>(&mut self, mapping: &'a Mapping) -> BTreeMap<&'a str, &'a Value> {
        let mut known = BTreeMap::new();
        for (key, value) in mapping {
            let Some(key) = key.as_str() else {
                self.mistake(&value::show(key), "is not a key", "use a word as the key");
                continue;
            };
            if let Some(read) = KEYS.iter().find(|known| known.name == key) {
                self.read.push(*read);
                known.insert(key, value);
            } else if let Some(reason) = keys::ignored(key) {
                self.ignored.push(Ignored { key: key.to_owned(), reason: reason.to_owned() });
            } else {
                let remedy = match keys::nearest(key) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => {
                        "remove it; 'karman-installer init' writes a file with all keys".to_owned()
                    }
                };
                self.mistake(key, "is not a key of this file", remedy);
            }
        }
        known
    }

    fn read(&mut self, values: &BTreeMap<&str, &Value>) -> Config {
        let mut read = value::Reader { values, check: self };
        let config = Config {
            cluster_name: read.cluster_name(),
            master_list: read.addresses("master_list"),
            agent_list: read.addresses("agent_list"),
            public_agent_list: read.addresses("public_agent_list"),
            ssh_user: read.ssh_user(),
            ssh_port: read.port("ssh_port", 22),
            ssh_key_path: read.text("ssh_key_path"),
            ssh_config_path: read.text("ssh_config_path"),
            resolvers: read.resolvers(),
            dns_search: read.dns_search(),
            ip_detect: read.ip_detect(),
            fault_domain_detect: read.file("fault_domain_detect_filename"),
            superuser: read.superuser(),
            superuser_password_hash: read.superuser_password_hash(),
            agent_resources: read.text("agent_resources"),
            agent_attributes: read.text("agent_attributes"),
            machines: read.machines(),
        };
        self.whole(&config);
        config
    }

    /// What no single value shows.
    fn whole(&mut self, config: &Config) {
        let Config { master_list, agent_list, public_agent_list, .. } = config;
        // A list that could not be read has its mistakes already.
        let told = self.mistakes.iter().any(|mistake| mistake.key == "master_list");
        if master_list.is_empty() && !told {
            self.mistake(
                "master_list",
                "names no master",
                "give the addresses of 1, 3 or 5 machines",
            );
        }
        if ![0, 1, 3, 5].contains(&master_list.len()) {
            let problem = format!("has {} masters", master_list.len());
            self.mistake(
                "master_list",
                problem,
                "take 1, 3 or 5: more do not help, and an even number decides nothing",
            );
        }
        for address in config.machines.keys() {
            if !agent_list.contains(address) && !public_agent_list.contains(address) {
                let remedy = "name it in agent_list or public_agent_list, or take it out here";
                self.mistake("machines", format!("names {address}, which is no agent"), remedy);
            }
        }
        let lists = [
            ("master_list", master_list),
            ("agent_list", agent_list),
            ("public_agent_list", public_agent_list),
        ];
        let mut seen: BTreeMap<IpAddr, &str> = BTreeMap::new();
        for (key, address) in
            lists.iter().flat_map(|(key, list)| list.iter().map(move |address| (*key, *address)))
        {
            match seen.insert(address, key) {
                Some(first) if first == key => {
                    self.mistake(key, format!("has {address} twice"), "name each machine once");
                }
                Some(first) => {
                    let remedy = "give each machine one role; for everything on one machine there is 'karmand up'";
                    self.mistake(key, format!("has {address}, which is in {first} too"), remedy);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
