use expect_test::{Expect, expect};

use super::*;

fn typed() -> Form {
    Form {
        id: " shop/web ".into(),
        cmd: "python3 -m http.server $PORT0\r\n".into(),
        instances: "3".into(),
        cpus: "0,5".into(),
        mem: "64".into(),
        ports: "2".into(),
        env: "A=1\r\nB=x=y\n\n".into(),
        labels: String::new(),
        health: "http".into(),
        health_path: "/ping".into(),
    }
}

#[track_caller]
fn check(form: &Form, expected: Expect) {
    let shown = match app(form) {
        Ok(app) => serde_json::to_string(&app).unwrap(),
        Err(problems) => format!("{problems:?}"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_form_becomes_an_app() {
    check(
        &typed(),
        expect![[
            r#"{"id":"/shop/web","cmd":"python3 -m http.server $PORT0","instances":3,"cpus":0.5,"mem":64.0,"healthChecks":[{"portIndex":0,"gracePeriodSeconds":30,"intervalSeconds":5,"timeoutSeconds":3,"maxConsecutiveFailures":3,"protocol":"HTTP","path":"/ping"}],"portDefinitions":[{"port":0,"protocol":"tcp","name":"port0"},{"port":0,"protocol":"tcp","name":"port1"}],"env":{"A":"1","B":"x=y"}}"#
        ]],
    );
    check(
        &Form { id: "a".into(), cmd: "sleep 9".into(), ports: " ".into(), ..Form::default() },
        expect![[
            r#"{"id":"/a","cmd":"sleep 9","instances":1,"cpus":0.1,"mem":64.0,"portDefinitions":[]}"#
        ]],
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let form = Form {
        id: "/".into(),
        cmd: " ".into(),
        instances: "-1".into(),
        cpus: "many".into(),
        mem: "inf".into(),
        ports: "0".into(),
        env: "A=1\nnonsense\n=x".into(),
        health_path: "ping".into(),
        ..typed()
    };
    check(
        &form,
        expect![[
            r#"Problems { fields: {"cmd": "say what to run", "cpus": "must be a number above 0", "env": "line 2 is not KEY=value; line 3 is not KEY=value", "health_path": "must start with /", "id": "give the service a name, such as web or shop/web", "instances": "must be a whole number, 0 or more", "mem": "must be a number above 0", "ports": "a health check needs at least one port"}, general: [] }"#
        ]],
    );
}

#[test]
fn refusals_go_to_their_fields() {
    let refusal = |json: &str| problems(&serde_json::from_str(json).unwrap());
    let found = refusal(
        r#"{"message":"Object is not valid","details":[
            {"path":"/id","errors":["must be lower case","is too long"]},
            {"path":"/healthChecks(0)/path","errors":["is odd"]},
            {"path":"/upgradeStrategy","errors":["is wrong"]},
            {"path":"/","errors":["cmd or args"]}]}"#,
    );
    assert_eq!(found.of("id"), "must be lower case; is too long");
    assert_eq!(found.of("health_path"), "is odd");
    assert_eq!(found.general, ["/upgradeStrategy: is wrong", "cmd or args"]);
    let found = refusal(r#"{"message":"An app with id [/a] already exists."}"#);
    assert_eq!(found.general, ["An app with id [/a] already exists."]);
    let found = refusal(r#"{"message":"Invalid JSON","details":"line 1"}"#);
    assert_eq!(found.general, ["Invalid JSON: line 1"]);
}
