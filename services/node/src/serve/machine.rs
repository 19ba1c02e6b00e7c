//! `node.yaml`: what one machine of a cluster is. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use karman_agent::FaultDomain;
use karman_rt::config::{Mistake, Shape, check, parse as document};
use karman_rt::tls::Files;

use crate::reader::Reader;

const FILES: Shape =
    Shape::Map(&[("ca", Shape::Text), ("certificate", Shape::Text), ("key", Shape::Text)]);
const SHAPE: Shape = Shape::Map(&[
    ("address", Shape::Text),
    ("role", Shape::Text),
    ("resources", Shape::Text),
    ("attributes", Shape::Text),
    ("fault_domain", Shape::Text),
    ("data_dir", Shape::Text),
    ("resolvers", Shape::List),
    ("tls", FILES),
    ("store_tls", FILES),
]);

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Master,
    Agent,
    PublicAgent,
}

/// One machine of a cluster.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What others know it by.
    pub address: IpAddr,
    pub kind: Kind,
    pub resources: Option<String>,
    pub attributes: Option<String>,
    pub fault_domain: Option<FaultDomain>,
    /// Each role has a folder of its own in it.
    pub data_dir: PathBuf,
    /// The name servers that the machine had before Karman served its names.
    pub resolvers: Vec<SocketAddr>,
    pub tls: Files,
    /// For the machines that keep the state: what opens it.
    pub store_tls: Files,
}

/// The machine that a file describes, and every mistake in it.
pub fn parse(text: &str) -> (Option<Machine>, Vec<Mistake>) {
    let document = match document(text) {
        Ok(document) => document,
        Err(mistake) => return (None, vec![mistake]),
    };
    let mut file = Reader::new(&document, check(&document, SHAPE));
    let machine = read(&mut file);
    (machine, file.finish())
}

fn read(file: &mut Reader<'_>) -> Option<Machine> {
    let address = address(file);
    let kind = kind(file);
    let machine = Machine {
        address: address?,
        kind: kind?,
        resources: file.text("resources"),
        attributes: file.text("attributes"),
        fault_domain: fault_domain(file),
        data_dir: path(file, "data_dir", "/var/lib/karman"),
        resolvers: file.addresses("resolvers").unwrap_or_default(),
        tls: files(file, "tls", "/etc/karman/tls", "node"),
        store_tls: files(file, "store_tls", "/etc/karman/tls/store", "client"),
    };
    Some(machine)
}

fn address(file: &mut Reader<'_>) -> Option<IpAddr> {
    let text = file.needed("address", "the address that others know this machine by")?;
    let address = text.parse();
    if address.is_err() {
        file.mistake("address", format!("'{text}' is no IP address; write it as 192.0.2.1"));
    }
    address.ok()
}

fn kind(file: &mut Reader<'_>) -> Option<Kind> {
    match file.needed("role", "master, agent or public-agent")?.as_str() {
        "master" => Some(Kind::Master),
        "agent" => Some(Kind::Agent),
        "public-agent" => Some(Kind::PublicAgent),
        other => {
            let problem = format!("'{other}' is not known; write master, agent or public-agent");
            file.mistake("role", problem);
            None
        }
    }
}

fn fault_domain(file: &mut Reader<'_>) -> Option<FaultDomain> {
    let domain: Result<FaultDomain, karman_agent::DomainError> = file.text("fault_domain")?.parse();
    domain.map_err(|error| file.mistake("fault_domain", error.to_string())).ok()
}

fn path(file: &mut Reader<'_>, key: &str, default: &str) -> PathBuf {
    file.text(key).unwrap_or_else(|| default.to_owned()).into()
}

fn files(file: &mut Reader<'_>, key: &str, folder: &str, name: &str) -> Files {
    Files {
        ca: path(file, &format!("{key}.ca"), &format!("{folder}/ca.pem")),
        certificate: path(file, &format!("{key}.certificate"), &format!("{folder}/{name}.pem")),
        key: path(file, &format!("{key}.key"), &format!("{folder}/{name}.key")),
    }
}

#[cfg(test)]
mod tests;
