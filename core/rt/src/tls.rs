//! TLS between machines: both sides show a certificate of the cluster's own
//! authority. A certificate says what its machine is by a DNS name among its
//! names: masters may do what agents may not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs, io};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

/// The name in the certificate of every master.
pub const MASTER: &str = "master.node.karman";
/// The name in the certificate of every agent.
pub const AGENT: &str = "agent.node.karman";

/// HTTP in both versions, for servers; clients of roles speak HTTP/1.1.
const SERVED: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Where the parts of an identity lie, each in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What is in the files, for libraries that take it as it is.
#[derive(Clone)]
pub struct Pem {
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A file of an identity cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("'{}' cannot be read", path.display())]
pub struct Unreadable {
    pub path: PathBuf,
    source: io::Error,
}

impl Files {
    /// Reads all three.
    ///
    /// # Errors
    /// With the first file that cannot be read.
    pub fn read(&self) -> Result<Pem, Unreadable> {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|source| Unreadable { path: path.clone(), source })
        };
        let Self { ca, certificate, key } = self;
        Ok(Pem { ca: read(ca)?, certificate: read(certificate)?, key: read(key)? })
    }
}

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read '{}'; it must be PEM that this user may read", path.display())]
    Read { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("there is no certificate in '{}'", path.display())]
    Empty { path: PathBuf },
    #[error("the certificate of the authority in '{}' cannot be used", path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("the certificate '{}' and its key do not fit together", path.display())]
    Pair { path: PathBuf, source: rustls::Error },
    #[error("the certificate of the authority in '{}' cannot check others", path.display())]
    Verifier { path: PathBuf, source: rustls::server::VerifierBuilderError },
}

/// What this machine shows to others, and whom it believes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    /// For peers: who connects must show a certificate too.
    pub(crate) peers: Arc<ServerConfig>,
    /// For everybody: only this side shows one.
    pub(crate) public: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    files: Files,
}

impl Identity {
    /// Reads the files; a crypto provider must be installed.
    pub fn load(files: Files) -> Result<Self, Error> {
        let roots = Arc::new(roots(&files.ca)?);
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| Error::Read { path: files.key.clone(), source })?;
        let pair = |source| Error::Pair { path: files.certificate.clone(), source };
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots))
            .build()
            .map_err(|source| Error::Verifier { path: files.ca.clone(), source })?;
        let modern = &[&version::TLS13];
        let mut peers = ServerConfig::builder_with_protocol_versions(modern)
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(pair)?;
        peers.alpn_protocols = protocols();
        let mut public = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(pair)?;
        public.alpn_protocols = protocols();
        let client = ClientConfig::builder_with_protocol_versions(modern)
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(pair)?;
        Ok(Self {
            peers: Arc::new(peers),
            public: Arc::new(public),
            client: Arc::new(client),
            files,
        })
    }

    /// How to connect to peers.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// Where it was read from, for libraries that read for themselves.
    pub fn files(&self) -> &Files {
        &self.files
    }
}

fn protocols() -> Vec<Vec<u8>> {
    SERVED.iter().map(|name| name.to_vec()).collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(read)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if found.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(found) }
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| Error::Authority { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// The machine at the other end of a connection; among the extensions of its
/// requests where it has shown a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Master,
    Agent,
}

impl Peer {
    /// What a verified certificate says; `None` for one that is neither.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let is = |name: &'static str| {
            ServerName::try_from(name)
                .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if is(MASTER) {
            Some(Self::Master)
        } else if is(AGENT) {
            Some(Self::Agent)
        } else {
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
