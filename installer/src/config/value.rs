//! From YAML values to those of the configuration. Pure.
//!
//! As in DC/OS, a number may be written as text, and a list as the text of a
//! JSON list.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use yaml_serde::Value;

use super::{Check, Resolver, Script, Tuning};

const CLUSTER_NAME_BYTES_MAX: usize = 255;
/// What resolvers understand.
const DNS_SEARCH_BYTES_MAX: usize = 255;
const DNS_SEARCH_DOMAINS_MAX: usize = 6;
/// Where our own name server listens on every machine.
pub(super) const OWN_RESOLVERS: std::ops::RangeInclusive<Ipv4Addr> =
    Ipv4Addr::new(198, 51, 100, 1)..=Ipv4Addr::new(198, 51, 100, 3);

const SUPERUSER: &str = "admin";
/// What the gateway takes as the name of a user.
const USER_BYTES_MAX: usize = 96;

/// Reads values and notes their mistakes; after one it goes on with a default.
pub(super) struct Reader<'a> {
    pub(super) values: &'a BTreeMap<&'a str, &'a Value>,
    pub(super) check: &'a mut Check,
}

impl Reader<'_> {
    pub(super) fn cluster_name(&mut self) -> String {
        let name = self.text("cluster_name").unwrap_or_default();
        if name.is_empty() {
            if self.is_absent("cluster_name") {
                self.check.mistake("cluster_name", "is missing", "give the cluster a name");
            }
        } else if name.len() > CLUSTER_NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let problem =
                format!("has more than {CLUSTER_NAME_BYTES_MAX} bytes or control characters");
            self.check.mistake("cluster_name", problem, "choose a shorter, printable name");
        }
        name
    }

    pub(super) fn ssh_user(&mut self) -> String {
        let Some(user) = self.text("ssh_user") else { return "root".to_owned() };
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
        if user.is_empty() || user.starts_with(['-', '.']) || !user.bytes().all(allowed) {
            let remedy = "use the name of an account on the machines, such as 'root'";
            self.check.mistake(
                "ssh_user",
                format!("'{user}' is not the name of an account"),
                remedy,
            );
        }
        user
    }

    pub(super) fn port(&mut self, key: &str, default: u16) -> u16 {
        let Some(text) = self.text(key) else { return default };
        text.trim().parse().ok().filter(|port| *port > 0).unwrap_or_else(|| {
            self.check.mistake(
                key,
                format!("'{text}' is not a port"),
                "give a number from 1 to 65535",
            );
            default
        })
    }

    /// Text or a number; none where the key is missing or empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.values.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
                self.check.mistake(
                    key,
                    "is not text",
                    format!("write one value, as in '{key}: value'"),
                );
                None
            }
        }
    }

    fn is_absent(&self, key: &str) -> bool {
        self.values.get(key).is_none_or(|value| matches!(value, Value::Null | Value::String(_)))
    }

    pub(super) fn addresses(&mut self, key: &str) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for text in self.list(key) {
            match text.parse::<IpAddr>() {
                Ok(address)
                    if address.is_unspecified()
                        || address.is_loopback()
                        || address.is_multicast() =>
                {
                    let problem =
                        format!("{address} is no address of a machine that others can reach");
                    self.check.mistake(
                        key,
                        problem,
                        "give the address in the network of the cluster",
                    );
                }
                Ok(address) => addresses.push(address),
                Err(_not_an_address) => {
                    let problem = format!("'{text}' is not an IP address");
                    self.check.mistake(
                        key,
                        problem,
                        "give addresses such as 192.0.2.10, not names",
                    );
                }
            }
        }
        addresses
    }

    pub(super) fn resolvers(&mut self) -> Vec<Resolver> {
        let mut resolvers = Vec::new();
        for text in self.list("resolvers") {
            let plain = text.parse::<IpAddr>().map(|address| Resolver { address, port: 53 });
            let with_port = text.parse::<SocketAddr>();
            let with_port =
                with_port.map(|socket| Resolver { address: socket.ip(), port: socket.port() });
            match plain.or(with_port) {
                Ok(Resolver { address: IpAddr::V4(address), .. })
                    if OWN_RESOLVERS.contains(&address) =>
                {
                    let problem = format!("{address} is the cluster's own name server");
                    self.check.mistake(
                        "resolvers",
                        problem,
                        "name servers outside the cluster go here",
                    );
                }
                Ok(resolver) => resolvers.push(resolver),
                Err(_neither) => {
                    let problem = format!("'{text}' is not an IP address with or without a port");
                    self.check.mistake(
                        "resolvers",
                        problem,
                        "give addresses such as 192.0.2.53 or 192.0.2.53:5353",
                    );
                }
            }
        }
        resolvers
    }

    pub(super) fn dns_search(&mut self) -> Vec<String> {
        let text = self.text("dns_search").unwrap_or_default();
        let domains: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if text.len() > DNS_SEARCH_BYTES_MAX || domains.len() > DNS_SEARCH_DOMAINS_MAX {
            let problem = format!(
                "has more than {DNS_SEARCH_DOMAINS_MAX} domains or {DNS_SEARCH_BYTES_MAX} bytes"
            );
            self.check.mistake("dns_search", problem, "resolvers would cut it; shorten it");
        }
        domains
    }

    pub(super) fn ip_detect(&mut self) -> Option<Script> {
        match (self.text("ip_detect"), self.text("ip_detect_filename")) {
            (Some(_), Some(_)) => {
                let remedy = "keep one of them";
                self.check.mistake(
                    "ip_detect",
                    "is given together with ip_detect_filename",
                    remedy,
                );
                None
            }
            (Some(script), None) if !script.starts_with("#!") => {
                let remedy =
                    "begin with '#!/bin/sh', or give the path of a file as ip_detect_filename";
                self.check.mistake("ip_detect", "is not a script", remedy);
                None
            }
            (Some(script), None) => Some(Script::Text(script)),
            (None, file) => file.filter(|file| !file.is_empty()).map(Script::File),
        }
    }

    pub(super) fn file(&mut self, key: &str) -> Option<Script> {
        self.text(key).filter(|file| !file.is_empty()).map(Script::File)
    }

    pub(super) fn superuser(&mut self) -> String {
        let key = "superuser_username";
        let Some(name) = self.text(key).filter(|name| !name.is_empty()) else {
            return SUPERUSER.to_owned();
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@.".contains(&byte);
        let fits = name.len() <= USER_BYTES_MAX && name != "anonymous" && name.bytes().all(allowed);
        if !fits {
            let problem = format!("'{name}' is not the name of a user");
            let remedy =
                format!("use up to {USER_BYTES_MAX} letters, digits, '-', '_', '@' and '.'");
            self.check.mistake(key, problem, remedy);
        }
        name
    }

    pub(super) fn superuser_password_hash(&mut self) -> Option<String> {
        let key = "superuser_password_hash";
        let hash = self.text(key).filter(|hash| !hash.is_empty())?;
        if !hash.starts_with("$argon2id$") {
            let remedy = "run 'karman-installer hash-password', or leave the key out: a password is made up then";
            self.check.mistake(key, "is not an argon2id hash", remedy);
        }
        Some(hash)
    }

    /// What single agents say of their machine, by address.
    pub(super) fn machines(&mut self) -> BTreeMap<IpAddr, Tuning> {
        let mut machines = BTreeMap::new();
        let entries = match self.values.get("machines") {
            None | Some(Value::Null) => return machines,
            Some(Value::Mapping(entries)) => entries.clone(),
            Some(_) => {
                let remedy = "write 'ADDRESS: {attributes: ..., resources: ..., fault_domain: ...}' on each line";
                self.check.mistake("machines", "is not a list of machines by address", remedy);
                return machines;
            }
        };
        for (address, says) in &entries {
            let address = address.as_str().unwrap_or_default();
            let Ok(ip) = address.parse() else {
                let problem = format!("'{address}' is not an IP address");
                self.check.mistake(
                    "machines",
                    problem,
                    "begin each line with the address of an agent",
                );
                continue;
            };
            match yaml_serde::from_value::<Tuning>(says.clone()) {
                Ok(tuning) => drop(machines.insert(ip, tuning)),
                Err(error) => {
                    let problem = format!("of {address} cannot be read: {error}");
                    let remedy = "give texts as resources, attributes and fault_domain";
                    self.check.mistake("machines", problem, remedy);
                }
            }
        }
        for (address, Tuning { fault_domain, .. }) in &machines {
            let parts = |text: &String| text.split('/').filter(|part| !part.is_empty()).count();
            if fault_domain.as_ref().is_some_and(|text| parts(text) != 2) {
                let problem = format!("of {address} has a fault_domain that is no region and zone");
                self.check.mistake("machines", problem, "write it as region/zone");
            }
        }
        machines
    }

    /// A list of texts, or the text of a JSON list of texts.
    fn list(&mut self, key: &str) -> Vec<String> {
        let items = match self.values.get(key) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Sequence(items)) => items.clone(),
            Some(Value::String(text)) if text.trim().is_empty() => return Vec::new(),
            Some(Value::String(text)) => match yaml_serde::from_str(text) {
                Ok(Value::Sequence(items)) => items,
                _ => vec![Value::String(text.clone())],
            },
            Some(Value::Bool(_) | Value::Number(_) | Value::Mapping(_) | Value::Tagged(_)) => {
                self.check.mistake(
                    key,
                    "is not a list",
                    "write each element on a line of its own, after '- '",
                );
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for item in items {
            match item {
                Value::String(text) => texts.push(text.trim().to_owned()),
                other => self.check.mistake(
                    key,
                    format!("{} is not text", show(&other)),
                    "write it in quotes",
                ),
            }
        }
        texts
    }
}

pub(super) fn show(value: &Value) -> String {
    yaml_serde::to_string(value)
        .map_or_else(|_| "a value".to_owned(), |text| format!("'{}'", text.trim()))
}
