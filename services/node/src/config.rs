//! The configuration file and the command line, made into one [`Settings`].
//! Every mistake of both is reported at once; the command line wins.

pub(crate) mod access;
pub mod cluster;
mod master;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use karman_agent::FaultDomain;
use karman_gateway::{Auth, Password, Superuser};
use karman_master::access::Access;
use karman_rt::config::{Mistake, Shape, check, parse};

use crate::args;
use crate::ports::{AGENTS_MAX, Ports};
use crate::reader::Reader;
use crate::resources;

/// Everything that `karmand` can be told.
#[derive(Debug)]
pub struct Settings {
    /// Only for the machines of a cluster.
    pub cluster: Option<cluster::Cluster>,
    /// `None` is the default folder, or a temporary one if `ephemeral`.
    pub data_dir: Option<PathBuf>,
    pub ephemeral: bool,
    pub cluster_name: String,
    pub agents: u32,
    pub resources: Vec<String>,
    pub attributes: Vec<String>,
    pub fault_domains: Vec<FaultDomain>,
    pub ports: Ports,
    pub master: karman_master::ledger::Settings,
    /// Without the credentials of Karman's own services.
    pub access: Access,
    pub dns_domain: String,
    /// Where names of other domains are asked for; `None` is what the machine uses.
    pub dns_upstreams: Option<Vec<SocketAddr>>,
    pub auth: Auth,
    pub log_level: String,
    pub log_format: karman_rt::log::Format,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration file {}; check its path and permissions", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} must be corrected: {}", path.as_ref().map_or("the command line".into(), |path| path.display().to_string()), list(mistakes))]
    Mistakes { path: Option<PathBuf>, mistakes: Vec<Mistake> },
}

pub(crate) fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The keys of the file.
const SHAPE: Shape = Shape::Map(&[
    ("data_dir", Shape::Text),
    ("ephemeral", Shape::Flag),
    ("cluster_name", Shape::Text),
    ("cluster", cluster::SHAPE),
    ("agents", Shape::Number),
    ("resources", Shape::List),
    ("attributes", Shape::List),
    ("fault_domains", Shape::List),
    (
        "ports",
        Shape::Map(&[
            ("gateway", Shape::Number),
            ("master", Shape::Number),
            ("session", Shape::Number),
            ("agent", Shape::Number),
            ("marathon", Shape::Number),
            ("metronome", Shape::Number),
            ("catalog", Shape::Number),
            ("dns", Shape::Number),
            ("dns_http", Shape::Number),
        ]),
    ),
    ("master", master::SHAPE),
    ("dns", Shape::Map(&[("domain", Shape::Text), ("upstreams", Shape::List)])),
    (
        "auth",
        Shape::Map(&[
            ("local", Shape::Flag),
            ("user", Shape::Text),
            ("password", Shape::Text),
            ("password_hash", Shape::Text),
        ]),
    ),
    ("log", Shape::Map(&[("level", Shape::Text), ("format", Shape::Text)])),
]);

/// Reads the file that `args` names, if any, and lays `args` over it.
pub fn load(args: &args::Up) -> Result<Settings, Error> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.clone(), source })?,
        None => String::new(),
    };
    let (settings, mistakes) = merge(&text, args, Reads { credentials: true });
    match settings {
        Some(settings) if mistakes.is_empty() => Ok(settings),
        _ => Err(Error::Mistakes { path: args.config.clone(), mistakes }),
    }
}

/// Reads the file that all machines of a cluster have. What only this command
/// line's roles may read is read for them alone.
pub fn load_cluster(args: &args::Serve) -> Result<Settings, Error> {
    let path = Some(args.config.clone());
    let read = |source| Error::Read { path: args.config.clone(), source };
    let text = std::fs::read_to_string(&args.config).map_err(read)?;
    let up = args::Up { log_level: args.log_level.clone(), ..args::Up::default() };
    let reads = Reads { credentials: args.roles.contains(&args::Role::Master) };
    let (settings, mut mistakes) = merge(&text, &up, reads);
    let settings = settings.filter(|settings| {
        let is_cluster = settings.cluster.is_some();
        if !is_cluster && mistakes.is_empty() {
            let problem = "is missing; it says what the machines of a cluster agree on".to_owned();
            mistakes.push(Mistake { path: "cluster".to_owned(), problem });
        }
        is_cluster
    });
    match settings {
        Some(settings) if mistakes.is_empty() => Ok(settings),
        _ => Err(Error::Mistakes { path, mistakes }),
    }
}

/// Which files beside the configuration are read.
#[derive(Clone, Copy)]
struct Reads {
    credentials: bool,
}

/// Checks the file alone.
pub fn check_file(path: &Path) -> Result<(), Error> {
    load(&args::Up { config: Some(path.to_owned()), ..args::Up::default() }).map(drop)
}

/// The settings from a file's text and the command line, and every mistake.
fn merge(text: &str, args: &args::Up, reads: Reads) -> (Option<Settings>, Vec<Mistake>) {
    let document = match parse(text) {
        Ok(document) => document,
        Err(mistake) => return (None, vec![mistake]),
    };
    let mut file = Reader::new(&document, check(&document, SHAPE));
    let settings = read(&mut file, args, reads);
    let mistakes = file.finish();
    (Some(settings), mistakes)
}

fn read(file: &mut Reader<'_>, args: &args::Up, reads: Reads) -> Settings {
    let ephemeral = args.ephemeral || file.flag("ephemeral").unwrap_or(false);
    let agents = match args.agents {
        Some(agents) => file.ranged("--agents", u64::from(agents), 1, u64::from(AGENTS_MAX)),
        None => file.number("agents", 1, u64::from(AGENTS_MAX)),
    };
    let agents = agents.and_then(|agents| u32::try_from(agents).ok()).unwrap_or(1);
    let in_file = ports(file, agents);
    let ports = if ephemeral { Ports::EPHEMERAL } else { in_file };
    let resources = given(file, "resources", &args.resources);
    let attributes = given(file, "attributes", &args.attributes);
    let domains = given(file, "fault_domains", &args.fault_domain);
    per_agent(file, agents, &resources, &attributes, &domains);
    let fault_domains = fault_domains(file, &domains);
    Settings {
        cluster: cluster::read(file),
        data_dir: args.data_dir.clone().or_else(|| file.text("data_dir").map(PathBuf::from)),
        ephemeral,
        cluster_name: args
            .cluster_name
            .clone()
            .or_else(|| file.text("cluster_name"))
            .unwrap_or_else(|| "karman".to_owned()),
        agents,
        resources,
        attributes,
        master: master::read(file, &fault_domains),
        access: if reads.credentials {
            access::read(file, args.credentials.as_deref())
        } else {
            Access::default()
        },
        fault_domains,
        ports,
        dns_domain: file.text("dns.domain").unwrap_or_else(|| "mesos".to_owned()),
        dns_upstreams: file.addresses("dns.upstreams"),
        auth: auth(file),
        log_level: args
            .log_level
            .clone()
            .or_else(|| file.text("log.level"))
            .unwrap_or_else(|| "warn".to_owned()),
        log_format: log_format(file, args),
    }
}

fn given(file: &mut Reader<'_>, key: &'static str, args: &[String]) -> Vec<String> {
    let in_file = file.texts(key).unwrap_or_default();
    if args.is_empty() { in_file } else { args.to_vec() }
}

fn ports(file: &mut Reader<'_>, agents: u32) -> Ports {
    let default = Ports::default();
    let mut port = |key: &str, default: u16| {
        let number = file.number(key, 0, u64::from(u16::MAX));
        number.and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
    };
    let ports = Ports {
        gateway: port("ports.gateway", default.gateway),
        master: port("ports.master", default.master),
        session: port("ports.session", default.session),
        agent: port("ports.agent", default.agent),
        marathon: port("ports.marathon", default.marathon),
        metronome: port("ports.metronome", default.metronome),
        catalog: port("ports.catalog", default.catalog),
        dns: port("ports.dns", default.dns),
        dns_http: port("ports.dns_http", default.dns_http),
    };
    for conflict in ports.conflicts(agents) {
        file.mistake("ports", conflict);
    }
    ports
}

/// Mistakes in what is given to each agent; the machine is not looked at yet.
fn per_agent(
    file: &mut Reader<'_>,
    agents: u32,
    resources: &[String],
    attributes: &[String],
    domains: &[String],
) {
    let any = resources::Machine { cpus: 1, mem_mib: 1, disk_mib: 1 };
    if let Err(error) = resources::divide(resources, any, agents as usize) {
        file.mistake("resources", error.to_string());
    }
    for (key, list) in [("attributes", attributes), ("fault_domains", domains)] {
        let given = list.len();
        if resources::each(list, agents as usize).is_none() {
            let problem = format!(
                "given {given} times for {agents} agents; give them once or once per agent"
            );
            file.mistake(key, problem);
        }
    }
}

fn fault_domains(file: &mut Reader<'_>, texts: &[String]) -> Vec<FaultDomain> {
    let mut domains = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(domain) => domains.push(domain),
            Err(error) => {
                let error: karman_agent::DomainError = error;
                file.mistake("fault_domains", error.to_string());
            }
        }
    }
    domains
}

fn auth(file: &mut Reader<'_>) -> Auth {
    let user = file.text("auth.user").unwrap_or_else(|| "admin".to_owned());
    let (plain, hash) = (file.text("auth.password"), file.text("auth.password_hash"));
    if !file.flag("auth.local").unwrap_or(false) {
        return Auth::Off;
    }
    let password = match (plain, hash) {
        (Some(plain), None) => Password::Plain(plain),
        (None, Some(hash)) => Password::Hash(hash),
        (Some(_), Some(_)) => {
            file.mistake("auth", "has both password and password_hash; keep one".to_owned());
            return Auth::Off;
        }
        (None, None) => {
            file.mistake("auth", "local login needs password or password_hash".to_owned());
            return Auth::Off;
        }
    };
    Auth::Local(Superuser { uid: user, password })
}

fn log_format(file: &mut Reader<'_>, args: &args::Up) -> karman_rt::log::Format {
    use karman_rt::log::Format;
    let in_file = match file.text("log.format").as_deref() {
        None | Some("text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => {
            file.mistake("log.format", format!("'{other}' is not known; write text or json"));
            Format::Text
        }
    };
    match args.log_format {
        Some(args::LogFormat::Text) => Format::Text,
        Some(args::LogFormat::Json) => Format::Json,
        None => in_file,
    }
}

#[cfg(test)]
mod tests;
