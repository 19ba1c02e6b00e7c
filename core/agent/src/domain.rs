//! Where a machine stands, as far as failures go: what shares a zone fails
//! together. Pure.
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use karman_api::mesos::v1::DomainInfo;
use karman_api::mesos::v1::domain_info::FaultDomain as Wire;
use karman_api::mesos::v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};

/// The longest name of a region or a zone.
const NAME_BYTES_MAX: usize = 255;

/// A region and a zone in it, written `region/zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultDomain {
    pub region: String,
    pub zone: String,
}

/// The text is no fault domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no fault domain; write it as region/zone, for example europe/a")]
pub struct Error {
    text: String,
}

impl FromStr for FaultDomain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = |name: &str| {
            let name = name.trim();
            let good = !name.is_empty()
                && name.len() <= NAME_BYTES_MAX
                && !name.contains(|c: char| c == '/' || c.is_control());
            good.then(|| name.to_owned())
        };
        let parts = text.split_once('/').map(|(region, zone)| (name(region), name(zone)));
        match parts {
            Some((Some(region), Some(zone))) => Ok(Self { region, zone }),
            _ => Err(Error { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for FaultDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, zone } = self;
        write!(f, "{region}/{zone}")
    }
}

impl FaultDomain {
    pub fn to_wire(&self) -> DomainInfo {
        let Self { region, zone } = self.clone();
        let (region, zone) = (RegionInfo { name: region }, ZoneInfo { name: zone });
        DomainInfo { fault_domain: Some(Wire { region, zone }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_and_zone_are_read() {
        let domain: FaultDomain = " europe / a".parse().unwrap();
        assert_eq!(domain, FaultDomain { region: "europe".into(), zone: "a".into() });
        assert_eq!(domain.to_string().parse(), Ok(domain));
    }

    #[test]
    fn both_are_needed() {
        for text in ["", "europe", "europe/", "/a", "europe/a/b"] {
            assert_eq!(text.parse::<FaultDomain>(), Err(Error { text: text.into() }), "{text}");
        }
    }
}
