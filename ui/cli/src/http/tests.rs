use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

#[track_caller]
fn check(status: u16, body: &str, kind: Kind, expected: Expect) {
    let document: Value = serde_json::from_str(body).unwrap_or_default();
    let failure = explain(StatusCode::from_u16(status).unwrap(), &document, body);
    assert_eq!(failure.kind, kind);
    expected.assert_eq(&failure.to_string());
}

#[test]
fn each_violated_rule_has_a_line() {
    let body = json!({ "message": "Object is not valid", "details": [
        { "path": "/cpus", "errors": ["must be at least 0.001"] },
        { "path": "/healthChecks(0)/portIndex", "errors": ["out of range", "no ports"] },
        { "path": "", "errors": ["needs cmd, args or container"] },
    ] });
    check(
        422,
        &body.to_string(),
        Kind::Failed,
        expect![[r#"
        Object is not valid
          /cpus: must be at least 0.001
          /healthChecks(0)/portIndex: out of range
          /healthChecks(0)/portIndex: no ports
          /: needs cmd, args or container"#]],
    );
    check(
        400,
        r#"{"message":"Invalid JSON","details":"expected value at line 1"}"#,
        Kind::Failed,
        expect![[r#"
            Invalid JSON
              expected value at line 1"#]],
    );
}

#[test]
fn a_lock_names_the_deployment() {
    let body = json!({ "message": "App is locked", "deployments": [{ "id": "d-1" }] });
    check(
        409,
        &body.to_string(),
        Kind::Failed,
        expect![
            "the app is locked by deployment d-1; wait for it (karman deployment watch d-1) or override it with --force"
        ],
    );
}

#[test]
fn statuses_have_meanings() {
    check(
        404,
        r#"{"message":"App '/web' does not exist"}"#,
        Kind::NotFound,
        expect!["App '/web' does not exist"],
    );
    check(
        401,
        "<html>",
        Kind::Denied,
        expect!["a login is needed; log in with: karman auth login"],
    );
    check(
        403,
        r#"{"title":"Forbidden","description":"not yours"}"#,
        Kind::Denied,
        expect!["not yours; ask an administrator for the permission"],
    );
    check(
        502,
        "",
        Kind::Unreachable,
        expect![
            "the server answered 502 bad gateway; this part of the cluster is not there now; try again in a moment"
        ],
    );
    check(500, "it broke\nbadly.", Kind::Failed, expect!["it broke badly"]);
    check(413, "", Kind::Failed, expect!["the server answered 413 payload too large"]);
}
