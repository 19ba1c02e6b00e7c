use super::fixture::Authority;
use super::*;

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let good = authority.write(&folder.path().join("a"), &["127.0.0.1", AGENT]);
    let other = authority.write(&folder.path().join("b"), &["127.0.0.1", AGENT]);
    drop(Identity::load(good.clone()).unwrap());
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (files, expected) in [
        (Files { ca: folder.path().join("none"), ..good.clone() }, "cannot read"),
        (Files { certificate: empty.clone(), ..good.clone() }, "no certificate in"),
        (Files { key: empty, ..good.clone() }, "cannot read"),
        (Files { key: other.key, ..good }, "do not fit together"),
    ] {
        let error = Identity::load(files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_certificate_says_what_its_machine_is() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    for (name, expected) in
        [(MASTER, Some(Peer::Master)), (AGENT, Some(Peer::Agent)), ("node.karman", None)]
    {
        let files = authority.write(folder.path(), &["127.0.0.1", name]);
        let certificate = certificates(&files.certificate).unwrap().remove(0);
        assert_eq!(Peer::of(&certificate), expected, "{name}");
    }
}
