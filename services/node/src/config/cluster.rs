//! The `cluster` section of the configuration file: for the machines of a
//! cluster, which `karmand serve` runs on.

use std::net::IpAddr;

use karman_rt::config::Shape;
use uuid::Uuid;

use crate::reader::Reader;

/// The keys of the section.
pub(super) const SHAPE: Shape =
    Shape::Map(&[("id", Shape::Text), ("masters", Shape::List), ("store", Shape::Text)]);

/// What keeps the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Files of the only master.
    Embedded,
    Etcd,
}

/// What all machines of a cluster agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub id: String,
    pub masters: Vec<IpAddr>,
    pub engine: Engine,
}

impl Cluster {
    /// The base URL of a door of a machine; IPv6 addresses stand in brackets.
    pub fn url(&self, scheme: &str, address: IpAddr, port: u16) -> String {
        match address {
            IpAddr::V4(address) => format!("{scheme}://{address}:{port}"),
            IpAddr::V6(address) => format!("{scheme}://[{address}]:{port}"),
        }
    }

    /// The base URLs of the same door of every master.
    pub fn masters_at(&self, port: u16) -> Vec<String> {
        self.masters.iter().map(|master| self.url("https", *master, port)).collect()
    }
}

/// The section; absent in the configuration of `karmand up`.
pub(super) fn read(file: &mut Reader<'_>) -> Option<Cluster> {
    if !file.has("cluster") {
        return None;
    }
    let id = id(file);
    let masters = masters(file);
    let engine = engine(file, masters.as_deref().unwrap_or_default());
    Some(Cluster { id: id?, masters: masters?, engine: engine? })
}

fn id(file: &mut Reader<'_>) -> Option<String> {
    let text = file.needed("cluster.id", "the UUID that the installer has made")?;
    match Uuid::parse_str(&text) {
        Ok(id) => Some(id.to_string()),
        Err(_) => {
            file.mistake(
                "cluster.id",
                format!("'{text}' is no UUID; restore the one that was made"),
            );
            None
        }
    }
}

fn masters(file: &mut Reader<'_>) -> Option<Vec<IpAddr>> {
    let key = "cluster.masters";
    let texts = file.texts(key).unwrap_or_default();
    let mut masters = Vec::new();
    for text in &texts {
        match text.parse() {
            Ok(address) if !masters.contains(&address) => masters.push(address),
            Ok(_) => file.mistake(key, format!("'{text}' is named twice")),
            Err(_) => {
                file.mistake(key, format!("'{text}' is no IP address; write it as 192.0.2.1"));
            }
        }
    }
    if masters.is_empty() {
        file.mistake(key, "must name the addresses of the masters".to_owned());
        return None;
    }
    Some(masters)
}

fn engine(file: &mut Reader<'_>, masters: &[IpAddr]) -> Option<Engine> {
    let key = "cluster.store";
    match file.needed(key, "etcd or embedded")?.as_str() {
        "etcd" => Some(Engine::Etcd),
        "embedded" if masters.len() > 1 => {
            let problem = format!("{} masters cannot share a file; write etcd", masters.len());
            file.mistake(key, problem);
            None
        }
        "embedded" => Some(Engine::Embedded),
        other => {
            file.mistake(key, format!("'{other}' is not known; write etcd or embedded"));
            None
        }
    }
}
