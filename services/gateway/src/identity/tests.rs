use std::time::Duration;

use ::http::HeaderValue;
use karman_store::embedded::Embedded;

use super::token::{Invalid, VALID_SECONDS};
use super::*;
use crate::Password;

const LIMIT: Duration = Duration::from_secs(10);

fn superuser(password: &str) -> Superuser {
    Superuser { uid: "admin".into(), password: Password::Plain(password.into()) }
}

#[test]
fn tokens_are_signed_and_end() {
    let (signer, stored) = Signer::generate().unwrap();
    let token = signer.sign("ann", 1000).unwrap();
    assert_eq!(signer.verify(&token, 1000), Ok("ann".into()));
    assert_eq!(Signer::decode(&stored).unwrap().verify(&token, 1000), Ok("ann".into()));
    assert_eq!(signer.verify(&token, 1000 + VALID_SECONDS), Err(Invalid::Expired));

    let (other, _) = Signer::generate().unwrap();
    assert_eq!(other.verify(&token, 1000), Err(Invalid::Signature));
    for damaged in ["", "a.b", "a.b.c", &token.replace('.', ""), &format!("{token}A")] {
        assert!(signer.verify(damaged, 1000).is_err(), "{damaged}");
    }
    // {"alg":"none"} with the claims of a real token.
    let claims = token.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiIn0.{claims}.");
    assert_eq!(signer.verify(&unsigned, 1000), Err(Invalid::Signature));
}

#[tokio::test]
async fn users_and_key_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let token = {
        let tasks = Tasks::new();
        let store = Embedded::open(&path).unwrap();
        let identity =
            Identity::open(store, "me", &superuser("first-password"), &tasks).await.unwrap();
        let user = identity.check("admin", "first-password".into(), "1.1.1.1").await.unwrap();
        assert_eq!(
            identity.check("admin", "wrong".into(), "1.1.1.1").await.unwrap_err(),
            Denied::Wrong
        );
        assert_eq!(
            identity.check("nobody", "x".into(), "1.1.1.1").await.unwrap_err(),
            Denied::Wrong
        );
        let token = identity.signer().sign(&user.uid, now_ms() / 1000).unwrap();
        drop(identity);
        tasks.shutdown(LIMIT).await.unwrap();
        token
    };
    let tasks = Tasks::new();
    let store = Embedded::open(&path).unwrap();
    // The configured password counts only for a user that is not there yet.
    let identity =
        Identity::open(store, "me", &superuser("second-password"), &tasks).await.unwrap();
    assert!(identity.check("admin", "first-password".into(), "1.1.1.1").await.is_ok());
    assert!(identity.check("admin", "second-password".into(), "1.1.1.1").await.is_err());

    let mut headers = HeaderMap::new();
    headers.insert(
        header::COOKIE,
        HeaderValue::from_str(&format!("a=b; {AUTH_COOKIE}={token}")).unwrap(),
    );
    assert_eq!(identity.caller(&headers), Some("admin".into()));
    headers
        .insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("token={token}")).unwrap());
    assert_eq!(identity.caller(&headers), Some("admin".into()));
    // A wrong header is not saved by a right cookie.
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static("token=nonsense"));
    assert_eq!(identity.caller(&headers), None);

    identity.remove("admin").await.unwrap();
    headers.remove(header::AUTHORIZATION);
    assert_eq!(identity.caller(&headers), None, "a token ends with its user");
}

#[tokio::test]
async fn a_bad_superuser_stops_the_start() {
    let tasks = Tasks::new();
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    for (uid, password, expected) in [
        ("admin", Password::Plain("1234".into()), "password of superuser 'admin'"),
        ("admin", Password::Hash("$6$rounds=1$x$y".into()), "password of superuser 'admin'"),
        ("a b", Password::Plain("long enough".into()), "superuser 'a b'"),
    ] {
        let superuser = Superuser { uid: uid.into(), password };
        let error = Identity::open(Arc::<Embedded>::clone(&store), "me", &superuser, &tasks)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn one_gateway_writes_and_all_of_them_know() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Embedded::open(&folder.path().join("store")).unwrap();
    let (one, two) = (Tasks::new(), Tasks::new());
    let open = |holder: &'static str, tasks: Tasks| {
        let store = Arc::clone(&store);
        async move { Identity::open(store, holder, &superuser("a-password"), &tasks).await.unwrap() }
    };
    let first = open("first", one.clone()).await;
    wait(|| first.leads()).await;
    let second = open("second", two.clone()).await;
    assert!(!second.leads());
    let ann = User { uid: "ann".into(), ..first.user("admin").unwrap() };
    let refused = second.save(ann.clone()).await.unwrap_err();
    assert!(matches!(refused, WriteError::NotLeading), "{refused}");
    first.save(ann).await.unwrap();
    wait(|| second.user("ann").is_some()).await;
    let token = first.signer().sign("ann", now_ms() / 1000).unwrap();
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("token={token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    assert_eq!(second.caller(&headers), Some("ann".into()));
    one.shutdown(LIMIT).await.unwrap();
    wait(|| second.leads()).await;
    second.remove("ann").await.unwrap();
    assert_eq!(second.caller(&headers), None);
    two.shutdown(LIMIT).await.unwrap();
}

async fn wait(condition: impl Fn() -> bool) {
    let polled = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, polled).await.expect("it happens in time");
}

#[test]
fn the_hash_of_nobody_is_a_hash() {
    password::check_hash(password::NOBODY).unwrap();
}
