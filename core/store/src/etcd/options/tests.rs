use super::*;

fn refused(endpoint: &str, tls: bool) -> String {
    uri(endpoint, tls).unwrap_err().to_string()
}

#[test]
fn endpoints_are_urls_with_a_port() {
    for (endpoint, tls, expected) in [
        ("10.0.0.1:2379", false, "http://10.0.0.1:2379/"),
        ("10.0.0.1:2379", true, "https://10.0.0.1:2379/"),
        ("https://master-1.example:2379/", true, "https://master-1.example:2379/"),
        ("[fd00::1]:2379", false, "http://[fd00::1]:2379/"),
    ] {
        assert_eq!(uri(endpoint, tls).unwrap().to_string(), expected);
    }
    for (endpoint, tls, rule) in [
        ("https://a:2379", false, "https needs certificates"),
        ("http://a:2379", true, "with certificates it is https"),
        ("ftp://a:2379", false, "http:// or https://"),
        ("a", false, "a host and a port"),
        ("http://a:2379/v3", false, "no path"),
        ("http://a b:2379", false, "cannot be parsed"),
    ] {
        let refusal = refused(endpoint, tls);
        assert!(refusal.contains(rule) && refusal.contains(endpoint), "{refusal}");
    }
}

#[test]
fn what_cannot_be_right_is_said_at_once() {
    let options = Options::new(vec![]);
    assert!(matches!(Member::all(&options), Err(OpenError::NoEndpoints)));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tls = Files { ca: path("ca"), certificate: path("crt"), key: path("key") };
    let options = Options { tls: Some(tls), ..Options::new(vec!["a:1".into()]) };
    let error = Member::all(&options).unwrap_err();
    let ca = |error: &Unreadable| error.path.ends_with("ca");
    assert!(matches!(&error, OpenError::File(error) if ca(error)), "{error}");
    for name in ["ca", "crt", "key"] {
        std::fs::write(path(name), "no certificate").unwrap();
    }
    assert!(matches!(Member::all(&options), Err(OpenError::Tls(_))));
}
