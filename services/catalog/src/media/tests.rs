use super::*;

const LIST: &str = "application/vnd.dcos.package.list-response+json;charset=utf-8;version=v1";

#[test]
fn the_text_of_a_type_is_exact() {
    assert_eq!(MediaType::dcos("package.list-response", 1).to_string(), LIST);
    assert_eq!(MediaType::parse(LIST).unwrap().to_string(), LIST);
    assert_eq!(
        MediaType::parse("Application/JSON ; Charset=\"utf-8\"").unwrap().to_string(),
        "application/json;charset=utf-8"
    );
}

#[test]
fn what_is_no_type_is_refused() {
    for text in ["", "application", "/json", "a/b/c", "a/b;c", "a/b;q=2", "a/b;q=x", "a b/c"] {
        assert!(MediaType::parse(text).is_err(), "{text}");
    }
}

#[track_caller]
fn check(accept: &str, expected: Option<&str>) {
    let offered = [
        MediaType::dcos("package.describe-response", 2),
        MediaType::dcos("package.describe-response", 3),
    ];
    let wanted = parse_accept(accept).unwrap();
    let chosen = choose(&wanted, &offered).map(|media| media.parameters["version"].as_str());
    assert_eq!(chosen, expected, "{accept}");
}

#[test]
fn the_best_offer_is_chosen() {
    let describe = "application/vnd.dcos.package.describe-response+json";
    check(&format!("{describe};charset=utf-8;version=v2"), Some("v2"));
    check(&format!("{describe};version=v3"), Some("v3"));
    check(describe, Some("v3"));
    check(&format!("{describe};version=v2;q=0.9,{describe};version=v3;q=0.1"), Some("v2"));
    check(&format!("{describe};version=v3;q=0,{describe};version=v2;q=0.1"), Some("v2"));
    check(&format!("{describe},{describe};version=v2"), Some("v2"));
    check(&format!("{describe};charset=latin1;version=v3"), None);
    check("*/*", None);
    check("application/json", None);
}
