//! Machines as operators name them.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::net::IpAddr;

use karman_api::mesos::v1;

/// A host name, an address, or both. At least one of them is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// In small letters.
    pub hostname: Option<String>,
    pub ip: Option<IpAddr>,
}

/// Why a machine cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a machine needs a hostname or an ip")]
    Nameless,
    #[error("ip '{0}' of a machine must be an IP address")]
    Ip(String),
}

impl Machine {
    pub fn read(id: &v1::MachineId) -> Result<Self, Error> {
        let v1::MachineId { hostname, ip } = id;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let ip = given(ip).map(|ip| ip.parse().map_err(|_| Error::Ip(ip))).transpose()?;
        let hostname = given(hostname).map(|name| name.to_ascii_lowercase());
        if hostname.is_none() && ip.is_none() {
            return Err(Error::Nameless);
        }
        Ok(Self { hostname, ip })
    }

    pub fn to_wire(&self) -> v1::MachineId {
        v1::MachineId { hostname: self.hostname.clone(), ip: self.ip.map(|ip| ip.to_string()) }
    }

    /// Whether a machine with this name and address is meant: all that is said
    /// must be so.
    pub fn is(&self, hostname: &str, ip: IpAddr) -> bool {
        self.hostname.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(hostname))
            && self.ip.is_none_or(|it| it == ip)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.hostname, self.ip) {
            (Some(hostname), Some(ip)) => write!(f, "{hostname} ({ip})"),
            (Some(hostname), None) => f.write_str(hostname),
            (None, Some(ip)) => ip.fmt(f),
            (None, None) => f.write_str("(nameless)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hostname: &str, ip: &str) -> v1::MachineId {
        let given = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        v1::MachineId { hostname: given(hostname), ip: given(ip) }
    }

    #[test]
    fn machines_have_a_name_or_an_address() {
        assert_eq!(Machine::read(&id("-", "-")), Err(Error::Nameless));
        assert_eq!(Machine::read(&id("", "")), Err(Error::Nameless));
        assert_eq!(Machine::read(&id("a", "1.2.3")), Err(Error::Ip("1.2.3".into())));
        for (hostname, ip) in [("A", "-"), ("-", "::1"), ("a.b", "10.0.0.1")] {
            let machine = Machine::read(&id(hostname, ip)).unwrap();
            assert_eq!(Machine::read(&machine.to_wire()), Ok(machine));
        }
    }

    #[test]
    fn all_that_is_said_must_be_so() {
        let machine = |hostname, ip| Machine::read(&id(hostname, ip)).unwrap();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        for (hostname, address, expected) in [
            ("a", "-", true),
            ("A", "10.0.0.1", true),
            ("-", "10.0.0.1", true),
            ("b", "10.0.0.1", false),
            ("a", "10.0.0.2", false),
        ] {
            assert_eq!(machine(hostname, address).is("a", ip), expected, "{hostname} {address}");
        }
    }
}
