//! Builds the records from the task table. Pure.
//!
//! The names are those of Mesos-DNS under the configured domain (`mesos`) and
//! those of the DC/OS network agent under `thisdcos.directory`; what each
//! means stands in [`tasks`] and [`cluster`]. Only running tasks on known
//! agents have names. Virtual IPs have none here.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use karman_api::karman::discovery::Snapshot;

mod cluster;
pub mod label;
mod tasks;

/// How long an answer may be kept, in seconds. Changes are pushed to us within
/// milliseconds, so the life of an answer is all that keeps a client wrong; the
/// network agent of DC/OS says 5 as well, Mesos-DNS says 60 because it polls.
pub const TTL_SECONDS: u32 = 5;
/// How long the absence of a name may be kept: a task is often asked for just
/// before it starts.
pub const NEGATIVE_TTL_SECONDS: u32 = 1;

/// The domain of the DC/OS network agent, and its older spelling.
const DIRECTORY: &str = "thisdcos.directory";
const DIRECTORY_ALIAS: &str = "thisdcos.global";

/// What a zone depends on besides the task table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The domain of Mesos-DNS names, lower-case.
    pub domain: String,
    /// Where this name server listens; it answers for `ns1` of the domain.
    pub server: IpAddr,
    /// All masters; empty where only the leader is known.
    pub masters: Vec<IpAddr>,
}

impl Settings {
    /// The same, with the masters of the cluster.
    #[must_use]
    pub fn with_masters(self, masters: Vec<IpAddr>) -> Self {
        Self { masters, ..self }
    }

    /// None where `domain` is not a name.
    pub fn new(domain: &str, server: IpAddr) -> Option<Self> {
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        let server = if server.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { server };
        label::is_name(&domain).then_some(Self { domain, server, masters: Vec::new() })
    }
}

/// The records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub a: Vec<Ipv4Addr>,
    pub aaaa: Vec<Ipv6Addr>,
    pub srv: Vec<Srv>,
}

/// One place where a service is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    pub target: String,
    pub port: u16,
    pub priority: u16,
    pub weight: u16,
}

/// A task as the enumeration of the HTTP API lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNames {
    pub framework: String,
    pub name: String,
    pub id: String,
    /// Name, data and type (`A`, `SRV`) of its records.
    pub records: Vec<(String, String, &'static str)>,
}

/// All records, by lower-case name without the last dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub generation: u64,
    /// The domain of Mesos-DNS names.
    pub domain: String,
    /// Where authority begins; the longest that fits holds a name.
    pub origins: Vec<String>,
    pub names: BTreeMap<String, Records>,
    pub tasks: Vec<TaskNames>,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The name exists, perhaps without records of the type asked for.
    Records {
        origin: &'a str,
        records: &'a Records,
    },
    Missing {
        origin: &'a str,
    },
    /// Somebody else answers for it.
    Foreign,
}

impl Zone {
    /// Looks up a lower-case name without its last dot.
    pub fn find(&self, name: &str) -> Found<'_> {
        let alias = name
            .strip_suffix(DIRECTORY_ALIAS)
            .filter(|rest| rest.is_empty() || rest.ends_with('.'));
        let renamed = alias.map(|rest| format!("{rest}{DIRECTORY}"));
        let name = renamed.as_deref().unwrap_or(name);
        let Some(origin) = self.origins.iter().find(|origin| is_under(name, origin)) else {
            return Found::Foreign;
        };
        match self.names.get(name) {
            Some(records) => Found::Records { origin, records },
            None => Found::Missing { origin },
        }
    }
}

fn is_under(name: &str, origin: &str) -> bool {
    name.strip_suffix(origin).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The zone of a snapshot.
pub fn build(snapshot: &Snapshot, settings: &Settings) -> Zone {
    let mut builder = Builder::default();
    cluster::add(&mut builder, snapshot, settings);
    let tasks = tasks::add(&mut builder, snapshot, settings);
    builder.copy_domain(&settings.domain, &format!("mesos.{DIRECTORY}"));
    let origins =
        vec![settings.domain.clone(), DIRECTORY.to_owned(), "spartan".to_owned(), "zk".to_owned()];
    let names = builder.finish(&origins);
    Zone { generation: snapshot.generation, domain: settings.domain.clone(), origins, names, tasks }
}

/// Collects records and puts them in order.
#[derive(Debug, Default)]
struct Builder {
    names: BTreeMap<String, Records>,
}

impl Builder {
    /// Adds an address. Names that are too long for DNS are left out.
    fn address(&mut self, name: &str, address: IpAddr) {
        let Some(records) = self.records(name) else { return };
        match address {
            IpAddr::V4(address) => records.a.push(address),
            IpAddr::V6(address) => records.aaaa.push(address),
        }
    }

    fn service(&mut self, name: &str, target: &str, port: u16) {
        if !label::is_name(target) {
            return;
        }
        if let Some(records) = self.records(name) {
            records.srv.push(Srv { target: target.to_owned(), port, priority: 0, weight: 1 });
        }
    }

    fn records(&mut self, name: &str) -> Option<&mut Records> {
        label::is_name(name).then(|| self.names.entry(name.to_owned()).or_default())
    }

    /// Repeats all records of one domain under another.
    fn copy_domain(&mut self, from: &str, to: &str) {
        let rename = |name: &str| name.strip_suffix(from).map(|rest| format!("{rest}{to}"));
        let copies: Vec<(String, Records)> = self
            .names
            .iter()
            .filter(|(name, _)| is_under(name, from))
            .filter_map(|(name, records)| {
                let mut records = records.clone();
                for srv in &mut records.srv {
                    srv.target = rename(&srv.target).unwrap_or_else(|| srv.target.clone());
                    srv.priority = 1;
                }
                Some((rename(name)?, records)).filter(|(name, _)| label::is_name(name))
            })
            .collect();
        self.names.extend(copies);
    }

    /// Sorts, removes duplicates, and adds the names between a name and its
    /// origin: they exist, even without records.
    fn finish(mut self, origins: &[String]) -> BTreeMap<String, Records> {
        let mut between: Vec<String> = origins.to_vec();
        for (name, Records { a, aaaa, srv }) in &mut self.names {
            a.sort_unstable();
            a.dedup();
            aaaa.sort_unstable();
            aaaa.dedup();
            srv.sort_unstable();
            srv.dedup();
            let mut rest = name.as_str();
            while let Some((_, parent)) = rest.split_once('.') {
                between.push(parent.to_owned());
                rest = parent;
            }
        }
        for name in between {
            if origins.iter().any(|origin| is_under(&name, origin)) {
                self.names.entry(name).or_default();
            }
        }
        self.names
    }
}

#[cfg(test)]
mod tests;
