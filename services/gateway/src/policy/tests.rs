use super::*;

const HOST: Option<&str> = Some("127.0.0.1:8000");

#[test]
fn tokens_are_asked_for_only_where_sign_in_is_on() {
    let anybody = Caller::default();
    let person = Caller { page: true, ..anybody };
    let user = Caller { uid: Some("ann"), ..anybody };
    for (auth, access, caller, expected) in [
        (false, Access::SignedIn, anybody, Decision::Allow),
        (true, Access::Open, anybody, Decision::Allow),
        (true, Access::SignedIn, anybody, Decision::Unauthorized),
        (true, Access::SignedIn, person, Decision::SignIn),
        (true, Access::SignedIn, user, Decision::Allow),
    ] {
        assert_eq!(decide(auth, access, caller), expected, "{auth} {access:?} {caller:?}");
    }
}

#[test]
fn other_websites_change_nothing() {
    let post = Caller { changes: true, uid: Some("ann"), host: HOST, ..Caller::default() };
    for (caller, expected) in [
        (post, Decision::Allow),
        (Caller { origin: Some("http://127.0.0.1:8000"), ..post }, Decision::Allow),
        (Caller { origin: Some("http://127.0.0.1:9000"), ..post }, Decision::CrossSite),
        (Caller { origin: Some("https://evil.example"), ..post }, Decision::CrossSite),
        (Caller { origin: Some("null"), ..post }, Decision::CrossSite),
        (Caller { origin: Some("http://127.0.0.1:8000"), host: None, ..post }, Decision::CrossSite),
        (Caller { fetch_site: Some("cross-site"), ..post }, Decision::CrossSite),
        (Caller { fetch_site: Some("same-origin"), ..post }, Decision::Allow),
        (Caller { fetch_site: Some("none"), ..post }, Decision::Allow),
        (Caller { changes: false, origin: Some("https://evil.example"), ..post }, Decision::Allow),
    ] {
        assert_eq!(decide(true, Access::SignedIn, caller), expected, "{caller:?}");
        assert_eq!(decide(false, Access::Open, caller), expected, "{caller:?}");
    }
}
