//! What an image was built for.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The one that this program was built for.
    pub fn native() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(ToOwned::to_owned),
        }
    }

    /// How well something runs here: less is better, `None` not at all. What
    /// says nothing of itself may.
    pub(super) fn rank(&self, offered: Option<&Self>) -> Option<u8> {
        let Some(Self { architecture, os, variant }) = offered else { return Some(100) };
        if *os != self.os || *architecture != self.architecture {
            return None;
        }
        let level = |variant: &Option<String>| {
            variant.as_ref().and_then(|variant| variant.strip_prefix('v')?.parse::<u8>().ok())
        };
        match (level(&self.variant), level(variant)) {
            _ if variant == &self.variant => Some(0),
            // Older instructions run on newer processors.
            (Some(own), Some(other)) => own.checked_sub(other),
            (_, None) => Some(50),
            (None, Some(other)) => (other <= 1).then_some(1),
        }
    }

    /// Whether a configuration names another platform than this. Some tools
    /// leave it out.
    pub(super) fn runs(&self, architecture: &str, os: &str) -> bool {
        (architecture.is_empty() || architecture == self.architecture)
            && (os.is_empty() || os == self.os)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
