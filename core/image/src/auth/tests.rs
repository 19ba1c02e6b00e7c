use proptest::prelude::*;
use serde_json::json;

use super::challenge::{Challenge, parse};
use super::*;

fn read(value: &serde_json::Value) -> Result<Auth, Error> {
    Auth::from_docker_config(value.to_string().as_bytes())
}

fn shown(auth: &Auth, host: &str, repository: &str) -> String {
    match auth.find(host, repository) {
        Some(Credentials::Password { user, password }) => format!("{user}:{password}"),
        Some(Credentials::Identity { token }) => format!("identity {token}"),
        Some(Credentials::Bearer { token }) => format!("bearer {token}"),
        None => "nothing".to_owned(),
    }
}

#[test]
fn every_way_to_keep_a_secret_is_read() {
    let auth = read(&json!({"auths": {
        "https://index.docker.io/v1/": {"auth": STANDARD.encode("hub:a:b")},
        "localhost:5000": {"username": "u", "password": "p"},
        "azure.example": {"auth": STANDARD.encode("00000000-0000-0000-0000-000000000000:t")},
        "quay.io": {"identitytoken": "t", "auth": "ignored"},
        "r.example": {"registrytoken": "t"},
        "quay.io/team": {"auth": STANDARD.encode("team:x")},
        "helper.example": {},
    }, "credsStore": "desktop"}))
    .unwrap();
    assert_eq!(shown(&auth, "registry-1.docker.io", "library/nginx"), "hub:a:b");
    assert_eq!(shown(&auth, "localhost:5000", "a"), "u:p");
    assert_eq!(shown(&auth, "localhost", "a"), "nothing");
    assert_eq!(shown(&auth, "azure.example", "a"), "identity t");
    assert_eq!(shown(&auth, "quay.io", "other/app"), "identity t");
    assert_eq!(shown(&auth, "quay.io", "team/app"), "team:x");
    assert_eq!(shown(&auth, "r.example", "a"), "bearer t");
    assert_eq!(shown(&auth, "helper.example", "a"), "nothing");
    let old = read(&json!({"quay.io": {"auth": STANDARD.encode("a:b"), "email": "x"}})).unwrap();
    assert_eq!(shown(&old, "quay.io", "a"), "a:b");
    assert_eq!(shown(&old.or(&auth), "quay.io", "a"), "a:b");
}

#[test]
fn secrets_are_not_quoted() {
    let wrong = read(&json!({"auths": {"quay.io": {"auth": "c2VjcmV0"}}})).unwrap_err();
    assert!(!wrong.to_string().contains("c2VjcmV0") && !wrong.to_string().contains("secret"));
    let unclear = Auth::from_docker_config(b"{\"auths\": {\"a\": \"secret\"}}").unwrap_err();
    assert!(!unclear.to_string().contains("secret"), "{unclear}");
    let auth = Auth::default().with_password("quay.io", "user", "secret");
    assert!(!format!("{auth:?}").contains("secret"));
    assert!(Auth::from_docker_config(&vec![b' '; CONFIG_BYTES_MAX + 1]).is_err());
}

#[test]
fn a_challenge_is_taken_apart() {
    let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
    assert_eq!(
        parse(header),
        Some(Challenge::Bearer {
            realm: "https://auth.docker.io/token".parse().unwrap(),
            service: Some("registry.docker.io".to_owned()),
            scope: Some("repository:a/b:pull,push".to_owned()),
        })
    );
    assert_eq!(parse("basic realm=x"), Some(Challenge::Basic));
    assert_eq!(parse("Bearer service=x"), None);
    assert_eq!(parse("Negotiate"), None);
}

proptest! {
    #[test]
    fn any_challenge_is_read_to_its_end(text in "(Bearer )?[a-z=\", \\\\]{0,60}") {
        let _challenge = parse(&text);
    }
}
