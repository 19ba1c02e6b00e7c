use jiff::Timestamp;

use super::*;
use crate::release::sha256;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn tokens(uses_left: u32) -> Tokens {
    let invitation = serde_json::json!({
        "role": "agent", "expires": at(1000), "uses_left": uses_left,
    });
    serde_json::from_value(serde_json::json!({ sha256(b"secret"): invitation })).unwrap()
}

#[test]
fn a_token_is_for_one_role_some_time_and_some_machines() {
    let mut tokens = tokens(2);
    let mut ask = |token: &str, role, key: &str, second| tokens.admit(token, role, key, at(second));
    assert_eq!(ask("other", Role::Agent, "a", 5), Err(TokenError::Unknown));
    assert_eq!(ask("secret", Role::Master, "a", 5), Err(TokenError::Role { role: Role::Agent }));
    assert_eq!(ask("secret", Role::Agent, "a", 1000), Err(TokenError::Expired { at: at(1000) }));
    assert_eq!(ask("secret", Role::Agent, "a", 5), Ok(()));
    assert_eq!(ask("secret", Role::Agent, "a", 6), Ok(()), "the same machine again");
    assert_eq!(ask("secret", Role::Agent, "b", 7), Ok(()));
    assert_eq!(ask("secret", Role::Agent, "c", 8), Err(TokenError::Used));
}

#[test]
fn the_script_is_filled_in_and_valid() {
    let text = script("https://10.0.0.9:9443", "sha256//pin", "abc123", "key1");
    assert!(!text.contains('@') || !text.contains("@URL@"), "{text}");
    assert!(["@PIN@", "@SHA256@", "@KEY@"].iter().all(|name| !text.contains(name)));
    assert!(text.trim_end().ends_with("main \"$@\""), "nothing runs before all arrived");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let checked = std::process::Command::new("sh").arg("-n").arg(file.path()).status().unwrap();
    assert!(checked.success());
    let refused =
        std::process::Command::new("sh").arg(file.path()).args(["king", "t"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("'king' is no role"));
}

#[test]
fn the_printed_line() {
    let line = command_line("https://10.0.0.9:9443", "sha256//pin=", Role::PublicAgent, "t0k");
    expect_test::expect!["curl -fsSk --pinnedpubkey 'sha256//pin=' https://10.0.0.9:9443/install.sh | sudo sh -s -- public-agent t0k"]
        .assert_eq(&line);
}
