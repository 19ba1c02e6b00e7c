//! The server's key, by which machines know it.

use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData as _};
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::pki::{Authority, Request, Subject};
use crate::site::Site;

const KEY: &str = "join.key";

/// Key, certificate, and what curl calls the pinned public key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub pin: String,
    pub config: Arc<ServerConfig>,
}

impl Identity {
    /// The same key as ever: its hash is in invitations.
    pub fn load(site: &Site, authority: &Authority) -> anyhow::Result<Self> {
        let key = match site.read(KEY)? {
            Some(key) => key,
            None => {
                let key = Request::create()?.key;
                site.write(KEY, &key)?;
                key
            }
        };
        let pair = KeyPair::from_pem(&key).context("join.key of .karman is damaged")?;
        let pin = STANDARD.encode(digest(&SHA256, &pair.subject_public_key_info()));
        let subject = Subject::Installer {
            addresses: Vec::new(),
            names: vec!["karman-installer".to_owned()],
        };
        let certificate = authority.sign(&Request::with_key(&key)?.request, &subject)?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { pin: format!("sha256//{pin}"), config: Arc::new(config) })
    }
}
