//! All machines of a cluster at once.

use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures::StreamExt as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::config::{Config, Script};
use crate::layout::{Order, certificates};
use crate::node::{Event, Facts};
use crate::payload::Payload;
use crate::plan::{Role, Store};
use crate::release::{ClusterFile, Manifest, cluster_yaml};
use crate::remote::{Copy, Remote};
use crate::site::{Cluster, Member, Site, members};

mod check;
mod deploy;
mod remove;
mod report;
mod state;

pub use check::preflight;
pub use deploy::deploy;
pub use remove::{remove_node, uninstall};
pub use report::{Report, State};
pub use state::{postflight, status};

/// Machines that are worked on at the same time; each is one ssh process here.
const PARALLEL_MAX: usize = 32;
const BAR: &str = "{prefix:<16} {bar:24} {wide_msg}";

/// A cluster, and what its machines get.
#[derive(Debug)]
pub struct Crew {
    pub config: Config,
    /// Where paths of the configuration begin.
    folder: PathBuf,
    pub site: Site,
    pub cluster: Cluster,
    pub members: Vec<Member>,
    /// What is copied to each machine.
    copy: Copy,
    payload: Payload,
    bars: Option<MultiProgress>,
    ip_detect: Option<String>,
    fault_domain_detect: Option<String>,
}

/// A machine that can be worked on.
#[derive(Debug)]
pub struct Node {
    pub member: Member,
    pub remote: Remote,
    pub facts: Facts,
    pub skew_ms: i64,
    pub bar: ProgressBar,
}

impl Crew {
    /// The crew of a configuration with what `installer` carries.
    /// `folders` are those of what ssh needs and of scripts.
    pub fn new(
        config: Config,
        folders: (&Path, &Path),
        site: Site,
        installer: &Path,
    ) -> anyhow::Result<Self> {
        let payload = Payload::open(installer)?;
        let sha256 = crate::payload::file_sha256(installer)
            .with_context(|| format!("cannot read {}", installer.display()))?;
        let (folder, scripts) = folders;
        let script = |script: &Option<Script>| -> anyhow::Result<Option<String>> {
            Ok(match script {
                None => None,
                Some(Script::Text(text)) => Some(text.clone()),
                Some(Script::File(file)) => {
                    let file = scripts.join(file);
                    let text = std::fs::read_to_string(&file);
                    Some(text.with_context(|| format!("cannot read {}", file.display()))?)
                }
            })
        };
        Ok(Self {
            ip_detect: script(&config.ip_detect)?,
            fault_domain_detect: script(&config.fault_domain_detect)?,
            cluster: site.cluster(&config)?,
            members: members(&config, &site.members()?),
            copy: Copy { file: installer.to_owned(), sha256 },
            bars: std::io::stderr().is_terminal().then(MultiProgress::new),
            payload,
            folder: folder.to_owned(),
            site,
            config,
        })
    }

    pub fn store(&self) -> Store {
        if self.config.master_list.len() > 1 { Store::Etcd } else { Store::Embedded }
    }

    pub fn is_etcd(&self) -> bool {
        self.store() == Store::Etcd
    }

    pub fn cluster_yaml(&self) -> String {
        let Config { cluster_name, master_list, resolvers, superuser, .. } = &self.config;
        cluster_yaml(&ClusterFile {
            id: &self.cluster.id,
            name: cluster_name,
            masters: master_list,
            store: self.store(),
            resolvers,
            user: superuser,
            password_hash: &self.cluster.password_hash,
        })
    }

    pub fn release(&self) -> String {
        Manifest::new(&self.payload.items, &self.cluster_yaml()).id()
    }

    /// The order for a machine. `None` for certificates that are to be kept
    /// by no one is no case: each order has them all.
    pub fn order(
        &self,
        member: &Member,
        facts: &Facts,
        requests: &std::collections::BTreeMap<String, String>,
    ) -> anyhow::Result<Order> {
        let mut tuning = member.tuning.clone();
        if member.role != Role::Master && tuning.fault_domain.is_none() {
            tuning.fault_domain.clone_from(&facts.detected_fault_domain);
        }
        let is_master = member.role == Role::Master;
        Ok(Order {
            cluster_id: self.cluster.id.clone(),
            cluster_name: self.config.cluster_name.clone(),
            role: member.role,
            address: member.address,
            masters: self.config.master_list.clone(),
            store: self.store(),
            release: self.release(),
            cluster_yaml: self.cluster_yaml(),
            tuning,
            resolvers: self.config.resolvers.clone(),
            dns_search: self.config.dns_search.clone(),
            certificates: self.site.certificates(&self.cluster, member, &facts.host, requests)?,
            credentials: is_master.then(|| self.cluster.credentials.clone()),
        })
    }

    /// The certificates that a machine needs, as the names of their keys.
    pub fn key_names(&self, role: Role) -> Vec<&'static str> {
        certificates(role, self.store()).to_vec()
    }

    /// What a machine finds out about itself with scripts.
    pub fn ask(&self) -> serde_json::Value {
        json!({ "ip_detect": self.ip_detect, "fault_domain_detect": self.fault_domain_detect })
    }

    fn bar(&self, address: IpAddr) -> ProgressBar {
        let bar = match &self.bars {
            Some(bars) => bars.add(ProgressBar::new(1)),
            None => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template(BAR);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(address.to_string());
        bar
    }

    /// Connects, copies the installer and asks what the machine is.
    pub async fn meet(&self, member: &Member) -> anyhow::Result<Node> {
        let bar = self.bar(member.address);
        let met = self.meet_with(member, &bar).await;
        if let Err(error) = &met {
            bar.abandon_with_message(format!("failed: {error:#}"));
        }
        met
    }

    async fn meet_with(&self, member: &Member, bar: &ProgressBar) -> anyhow::Result<Node> {
        let Member { address, .. } = member;
        bar.set_message("connecting");
        let log = self.site.log(*address)?;
        let known_hosts = std::path::absolute(self.site.folder.join("known_hosts"))?;
        let connecting = Remote::connect(&self.config, &self.folder, &known_hosts, *address, log);
        let mut remote = connecting.await.context("cannot connect")?;
        bar.set_message("copying the installer");
        bar.set_length(std::fs::metadata(&self.copy.file).map_or(1, |file| file.len()));
        remote.upload(&self.copy, |bytes| bar.inc(bytes)).await?;
        bar.set_message("looking");
        let before = now_ms();
        let value = remote.call("facts", &self.ask(), |_| ()).await?;
        let after = now_ms();
        let facts: Facts =
            serde_json::from_value(value).context("the machine's answer is strange")?;
        // Its clock was read between ours, nearer to the end: looking comes first.
        let skew_ms = if facts.clock_ms < before {
            facts.clock_ms - before
        } else {
            (facts.clock_ms - after).max(0)
        };
        Ok(Node { member: member.clone(), remote, facts, skew_ms, bar: bar.clone() })
    }

    /// Does the same with each machine, many at a time; the results in order.
    pub async fn each<T, R, F: Future<Output = R>>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R> {
        let numbered = items.into_iter().enumerate().map(|(number, item)| {
            let work = work(item);
            async move { (number, work.await) }
        });
        let mut results: Vec<(usize, R)> =
            futures::stream::iter(numbered).buffer_unordered(PARALLEL_MAX).collect().await;
        results.sort_by_key(|(number, _)| *number);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// The members that are reached by SSH.
    pub fn reachable(&self) -> Vec<Member> {
        self.members.iter().filter(|member| !member.joined).cloned().collect()
    }

    /// What stays on the terminal are tables.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone shows nothing anyway.
            let _gone = bars.clear();
        }
    }
}

impl Node {
    /// Runs a verb there and shows its steps.
    pub async fn call<T: serde::de::DeserializeOwned>(
        &self,
        verb: &str,
        request: &serde_json::Value,
    ) -> anyhow::Result<T> {
        let show = |event: &Event| match event {
            Event::Step { number, of, what } => {
                self.bar.set_length(*of as u64);
                self.bar.set_position(*number as u64);
                self.bar.set_message(what.clone());
            }
            Event::Warning { text } => self.bar.set_message(text.clone()),
            Event::Result { .. } | Event::Failed { .. } => {}
        };
        let value = self.remote.call(verb, request, show).await?;
        serde_json::from_value(value).context("the machine's answer is strange")
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
