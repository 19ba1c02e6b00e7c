//! The certificates of a cluster: its authorities, and what they sign.
//!
//! A node makes its keys itself and sends a [`Request`]; nothing but the public
//! key is taken from it. What a certificate says comes from a [`Subject`], that
//! is from whoever runs the cluster. The store has an authority of its own, so
//! that no certificate of an agent opens it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use ring::rand::SecureRandom as _;

use crate::plan::Role;

mod folder;

pub use folder::{FolderError, write_node};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An authority outlives all that it signs.
const AUTHORITY_VALID: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const CERTIFICATE_VALID: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);
/// A node whose clock is late must not refuse a certificate that was just made.
const BACKDATED: Duration = DAY;
const SERIAL_BYTES: usize = 16;

/// The name by which one node of the cluster asks for another.
pub const MASTER_NAME: &str = "master.node.karman";
/// The same for agents, public ones too: it is the right to do what agents may.
pub const AGENT_NAME: &str = "agent.node.karman";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the certificate or key of the authority is damaged")]
    Authority(#[source] rcgen::Error),
    #[error("the request for a certificate is damaged, or not signed by its own key")]
    Request(#[source] rcgen::Error),
    #[error("'{name}' cannot be a name in a certificate")]
    Name {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("the certificate cannot be made")]
    Make(#[source] rcgen::Error),
    #[error("the system gives no random numbers")]
    Random,
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A node towards other nodes.
    Node { role: Role, address: IpAddr, host: String },
    /// The roles of a master towards the store.
    StoreClient,
    /// A member of the store towards its clients.
    StoreServer { address: IpAddr },
    /// A member of the store towards the others.
    StorePeer { address: IpAddr },
    /// The server from which machines without SSH join.
    Installer { addresses: Vec<IpAddr>, names: Vec<String> },
}

/// An authority: who signs.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A key and what is signed with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("certificate", &self.certificate)
            .field("key", &"***")
            .finish()
    }
}

/// A new key and the request to sign it.
pub struct Request {
    /// PEM; stays where it was made.
    pub key: String,
    /// PEM; may be seen by anybody.
    pub request: String,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("key", &"***").field("request", &self.request).finish()
    }
}

impl Request {
    /// A request with a new key. It names nothing: names are the signer's to give.
    pub fn create() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Make)?;
        Self::of(&key)
    }

    /// A request for a key that exists.
    pub fn with_key(key: &str) -> Result<Self, Error> {
        Self::of(&KeyPair::from_pem(key).map_err(Error::Request)?)
    }

    fn of(key: &KeyPair) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let request = params.serialize_request(key).and_then(|request| request.pem());
        Ok(Self { key: key.serialize_pem(), request: request.map_err(Error::Make)? })
    }
}

impl Authority {
    /// A new authority.
    pub fn create(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Make)?;
        let mut params = dated(AUTHORITY_VALID)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(Error::Make)?.pem();
        Self::load(&certificate, &key.serialize_pem())
    }

    /// An authority that was made before.
    pub fn load(certificate: &str, key: &str) -> Result<Self, Error> {
        let pair = KeyPair::from_pem(key).map_err(Error::Authority)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).map_err(Error::Authority)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), issuer })
    }

    /// PEM of its certificate, for everybody who shall trust it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// PEM of its key; whoever has it is the authority.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Signs the public key of a request, and nothing else of it.
    pub fn sign(&self, request: &str, subject: &Subject) -> Result<String, Error> {
        let mut request =
            CertificateSigningRequestParams::from_pem(request).map_err(Error::Request)?;
        request.params = params(subject)?;
        Ok(request.signed_by(&self.issuer).map_err(Error::Make)?.pem())
    }

    /// A certificate with a new key, where request and signature are in one hand.
    pub fn issue(&self, subject: &Subject) -> Result<Issued, Error> {
        let Request { key, request } = Request::create()?;
        Ok(Issued { certificate: self.sign(&request, subject)?, key })
    }
}

fn params(subject: &Subject) -> Result<CertificateParams, Error> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (name, addresses, names) = match subject {
        Subject::Node { role, address, host } => {
            let role = match role {
                Role::Master => MASTER_NAME,
                Role::Agent | Role::PublicAgent => AGENT_NAME,
            };
            (address.to_string(), vec![*address, local], vec!["localhost", role, host])
        }
        Subject::StoreClient => ("karman".to_owned(), vec![], vec![]),
        Subject::StoreServer { address } => {
            (format!("store {address}"), vec![*address, local], vec!["localhost"])
        }
        Subject::StorePeer { address } => {
            (format!("store peer {address}"), vec![*address, local], vec!["localhost"])
        }
        Subject::Installer { addresses, names } => {
            let names = names.iter().map(String::as_str).collect();
            ("karman-installer".to_owned(), addresses.clone(), names)
        }
    };
    let mut params = dated(CERTIFICATE_VALID)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Every node is both ends of some connection; etcd calls itself too.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = addresses.into_iter().map(SanType::IpAddress).collect();
    let mut said = Vec::new();
    for name in names {
        if name.is_empty() || said.contains(&name) || name.parse::<IpAddr>().is_ok() {
            continue;
        }
        said.push(name);
        let dns =
            name.try_into().map_err(|source| Error::Name { name: name.to_owned(), source })?;
        params.subject_alt_names.push(SanType::DnsName(dns));
    }
    Ok(params)
}

/// Valid from now on for so long, under a number of its own.
fn dated(valid: Duration) -> Result<CertificateParams, Error> {
    let mut serial = [0; SERIAL_BYTES];
    let random = ring::rand::SystemRandom::new();
    random.fill(&mut serial).map_err(|ring::error::Unspecified| Error::Random)?;
    // A positive number, as the standard demands.
    serial[0] = serial[0] & 0x7f | 0x40;
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + valid).into();
    Ok(params)
}

#[cfg(test)]
mod tests;
