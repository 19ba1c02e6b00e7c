use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;

use super::*;

fn address() -> IpAddr {
    "10.0.0.11".parse().unwrap()
}

fn node(role: Role) -> Subject {
    Subject::Node { role, address: address(), host: "one.example".to_owned() }
}

fn roots(authority: &Authority) -> Arc<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

fn pair(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    (vec![certificate], PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap())
}

/// Shakes hands in memory; whether both sides were content.
fn meet(client: &Issued, server: &Issued, trusted: &Authority, name: &str) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificates, key) = pair(server);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(trusted), Arc::clone(&provider));
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(certificates, key)
        .unwrap();
    let (certificates, key) = pair(client);
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(trusted))
        .with_client_auth_cert(certificates, key)
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
        }
        server.process_new_packets().map_err(|error| format!("server: {error}"))?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
        }
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
    }
    Ok(())
}

#[test]
fn nodes_trust_each_other_under_every_name_they_have() {
    let authority = Authority::create("Karman cluster x").unwrap();
    let master = authority.issue(&node(Role::Master)).unwrap();
    let agent = authority.issue(&node(Role::PublicAgent)).unwrap();
    for name in ["10.0.0.11", "127.0.0.1", "localhost", "one.example", MASTER_NAME] {
        meet(&agent, &master, &authority, name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    meet(&master, &agent, &authority, AGENT_NAME).unwrap();
    assert!(meet(&master, &agent, &authority, MASTER_NAME).is_err(), "an agent is no master");
    assert!(meet(&agent, &master, &authority, "10.0.0.12").is_err(), "that is another machine");
}

#[test]
fn strangers_are_refused() {
    let authority = Authority::create("Karman cluster x").unwrap();
    let store = Authority::create("Karman store of x").unwrap();
    let member = store.issue(&Subject::StoreServer { address: address() }).unwrap();
    let client = store.issue(&Subject::StoreClient).unwrap();
    let agent = authority.issue(&node(Role::Agent)).unwrap();
    meet(&client, &member, &store, "127.0.0.1").unwrap();
    meet(&member, &member, &store, "10.0.0.11").unwrap();
    let refused = meet(&agent, &member, &store, "10.0.0.11").unwrap_err();
    assert!(refused.starts_with("server"), "{refused}");
}

#[test]
fn only_the_key_of_a_request_counts() {
    let authority = Authority::create("a").unwrap();
    let authority = Authority::load(authority.certificate(), authority.key()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::new(vec![MASTER_NAME.to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let request = greedy.serialize_request(&key).unwrap().pem().unwrap();
    let certificate = authority.sign(&request, &node(Role::Agent)).unwrap();
    let got = Issued { certificate, key: key.serialize_pem() };
    meet(&got, &got, &authority, AGENT_NAME).unwrap();
    assert!(meet(&got, &got, &authority, MASTER_NAME).is_err());
    let signer = Authority::load(&got.certificate, &got.key).unwrap();
    let child = signer.issue(&node(Role::Master)).unwrap();
    assert!(meet(&child, &got, &authority, AGENT_NAME).is_err(), "a node signs nobody");
}

#[test]
fn damage_is_named() {
    let authority = Authority::create("a").unwrap();
    let error = authority.sign("nonsense", &Subject::StoreClient).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
    assert!(matches!(Authority::load("x", authority.key()), Err(Error::Authority(_))));
    let subject =
        Subject::Node { role: Role::Agent, address: address(), host: "no\u{e4}me".to_owned() };
    assert!(matches!(authority.issue(&subject), Err(Error::Name { .. })));
}

#[test]
fn keys_are_not_shown() {
    let issued = Authority::create("a").unwrap().issue(&Subject::StoreClient).unwrap();
    assert!(!format!("{issued:?}").contains("PRIVATE"));
    assert!(!format!("{:?}", Request::create().unwrap()).contains("PRIVATE"));
}

#[test]
fn a_folder_has_all_that_a_master_needs() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (cluster, store) = (Authority::create("a").unwrap(), Authority::create("b").unwrap());
    write_node(folder.path(), &cluster, Some(&store), Role::Master, address(), "one").unwrap();
    let names = [
        "ca.pem",
        "node.pem",
        "node.key",
        "store/ca.pem",
        "store/client.pem",
        "store/client.key",
        "store/server.pem",
        "store/server.key",
        "store/peer.pem",
        "store/peer.key",
    ];
    for name in names {
        let mode = folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o137, if name.ends_with(".key") { 0 } else { 0o004 }, "{name} {mode:o}");
    }
}
