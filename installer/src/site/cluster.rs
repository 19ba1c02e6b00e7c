//! The secrets of a cluster, made when it is deployed for the first time.

use std::fmt;

use super::{Site, hash_password, made_up};
use crate::config::Config;
use crate::pki::Authority;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The name that frameworks show with their secret.
const PRINCIPAL: &str = "admin";

#[derive(Serialize, Deserialize)]
struct Identity {
    id: String,
}

/// All that only the administrator has.
pub struct Cluster {
    pub id: String,
    pub authority: Authority,
    pub store_authority: Authority,
    /// None where the configuration brings the hash of one.
    pub password: Option<String>,
    pub password_hash: String,
    pub credentials: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.id)
    }
}

impl Site {
    /// The cluster of this folder; what it lacks is made.
    pub fn cluster(&self, config: &Config) -> anyhow::Result<Cluster> {
        let identity = self.read_or("cluster.json", || {
            let id = uuid::Uuid::new_v4().to_string();
            Ok(serde_json::to_string(&Identity { id })?)
        })?;
        let Identity { id } = serde_json::from_str(&identity).context("cluster.json is damaged")?;
        let (password, password_hash) = match &config.superuser_password_hash {
            Some(hash) => (None, hash.clone()),
            None => {
                let password = self.read_or("password", made_up)?;
                // Hashing again would make another hash, and with it another release.
                let hash = self.read_or("password-hash", || hash_password(&password))?;
                (Some(password), hash)
            }
        };
        Ok(Cluster {
            authority: self.authority("ca", &format!("Karman nodes of {}", config.cluster_name))?,
            store_authority: self
                .authority("store-ca", &format!("Karman store of {}", config.cluster_name))?,
            credentials: self
                .read_or("credentials", || Ok(format!("{PRINCIPAL} {}\n", made_up()?)))?,
            id,
            password,
            password_hash,
        })
    }

    fn authority(&self, name: &str, title: &str) -> anyhow::Result<Authority> {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        if let (Some(certificate), Some(key)) = (self.read(&certificate)?, self.read(&key)?) {
            return Authority::load(&certificate, &key)
                .with_context(|| format!("{name}.pem or {name}.key of .karman is damaged"));
        }
        let authority = Authority::create(title)?;
        // The certificate last: without it nothing was signed yet.
        self.write(&key, authority.key())?;
        self.write(&certificate, authority.certificate())?;
        Ok(authority)
    }
}
