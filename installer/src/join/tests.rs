use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::bundle::{SigningKey, verify};
use crate::crew::Crew;
use crate::layout::Order;
use crate::payload::pack;
use crate::release::sha256;
use crate::site::{Members, Site};

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
    let checked = Command::new("sh").arg("-n").arg(file.path()).status().unwrap();
    assert!(checked.success());
    let refused = Command::new("sh").arg(file.path()).args(["king", "t"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("'king' is no role"));
}

#[test]
fn the_printed_line() {
    let line = command_line("https://10.0.0.9:9443", "sha256//pin=", Role::PublicAgent, "t0k");
    expect_test::expect!["curl -fsSk --pinnedpubkey 'sha256//pin=' https://10.0.0.9:9443/install.sh | sudo sh -s -- public-agent t0k"]
        .assert_eq(&line);
}

/// A server for a cluster with one master; its settings end up here too.
struct Server {
    folder: tempfile::TempDir,
    url: String,
    pin: String,
    key: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        let installer = here.join("packed");
        pack(&crate::payload::tests::programs(here), here, here, &installer).unwrap();
        let config =
            crate::config::check("cluster_name: x\nmaster_list: [10.0.0.1]\n").config.unwrap();
        let site = Site { folder: here.join(".karman") };
        let crew = Crew::new(config, (here, here), site, &installer).unwrap();
        let identity = Identity::load(&crew.site, &crew.cluster.authority).unwrap();
        let key = SigningKey::parse(&SigningKey::generate().unwrap()).unwrap();
        let (pin, public) = (identity.pin.clone(), key.public());
        let bytes = std::fs::read(&installer).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let sha256 = sha256(&bytes);
        let settings =
            Settings { url: url.clone(), identity, key, installer: bytes.into(), sha256 };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stop = async { drop(stopped.await) };
                serve(crew, settings, listener, stop).await.unwrap();
            });
        });
        Self { folder, url, pin, key: public, stop: Some(stop), thread: Some(thread) }
    }

    fn site(&self) -> Site {
        Site { folder: self.folder.path().join(".karman") }
    }

    fn curl(&self, pin: &str, arguments: &[&str], path: &str) -> std::process::Output {
        let mut curl = Command::new("curl");
        curl.args(["-sSk", "--max-time", "20", "--pinnedpubkey", pin]).args(arguments);
        curl.arg(format!("{}{path}", self.url)).output().unwrap()
    }

    /// The status and the body of an answer to a request to join.
    fn join(&self, request: &Request) -> (String, String) {
        let file = self.folder.path().join("request");
        std::fs::write(&file, serde_json::to_string(request).unwrap()).unwrap();
        let data = format!("@{}", file.display());
        let header = "Content-Type: application/json";
        let arguments = ["-H", header, "--data-binary", &data, "-w", "\n%{http_code}"];
        let output = self.curl(&self.pin, &arguments, "/join");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn request(token: &str, role: Role, address: &str) -> Request {
    let address: IpAddr = address.parse().unwrap();
    let mut facts = crate::findings::tests::good();
    facts.addresses = [address].into();
    facts.clock_ms = Timestamp::now().as_millisecond();
    facts.arch = std::env::consts::ARCH.to_owned();
    let ask = crate::pki::Request::create().unwrap().request;
    let requests = [("node".to_owned(), ask.clone()), ("store/peer".to_owned(), ask)].into();
    Request { token: token.to_owned(), role, address: Some(address), facts, requests }
}

fn has_curl() -> bool {
    let there = Path::new("/usr/bin/curl").exists();
    if !there {
        eprintln!("SKIPPED: curl is not installed");
        assert!(std::env::var_os("CI").is_none());
    }
    there
}

#[test]
fn a_machine_joins_and_learns_what_to_be() {
    if !has_curl() {
        return;
    }
    let server = Server::start();
    let script = server.curl(&server.pin, &[], "/install.sh");
    assert!(String::from_utf8_lossy(&script.stdout).contains(&server.key));
    let fetched = server.curl(&server.pin, &[], "/karman-installer").stdout;
    assert!(String::from_utf8_lossy(&script.stdout).contains(&sha256(&fetched)));
    let stranger =
        server.curl("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &[], "/install.sh");
    assert!(!stranger.status.success() && stranger.stdout.is_empty(), "another key, not a byte");

    let token = invite(&server.site(), Role::Agent, Duration::from_secs(600), 1).unwrap();
    let first = request(&token, Role::Agent, "10.0.0.7");
    let (status, body) = server.join(&first);
    assert_eq!(status, "200", "{body}");
    let Answer { order, signature } = serde_json::from_str(&body).unwrap();
    verify(&server.key, order.as_bytes(), &signature).unwrap();
    assert!(
        verify(&server.key, order.replace("10.0.0.7", "10.0.0.8").as_bytes(), &signature).is_err()
    );
    let order: Order = serde_json::from_str(&order).unwrap();
    assert_eq!((order.role, order.address.to_string().as_str()), (Role::Agent, "10.0.0.7"));
    assert_eq!(order.certificates.keys().collect::<Vec<_>>(), ["ca.pem", "node.pem"]);
    assert_eq!(order.credentials, None, "what masters have is for masters");
    let members: Members = server.site().members().unwrap();
    assert!(members.added[&order.address].joined);

    assert_eq!(server.join(&first).0, "200", "interrupted, it asks again");
    let (status, body) = server.join(&request(&token, Role::Agent, "10.0.0.8"));
    assert!(status == "403" && body.contains("used as often"), "{status} {body}");
}

#[test]
fn who_may_not_join_learns_why() {
    if !has_curl() {
        return;
    }
    let server = Server::start();
    let token = |role| invite(&server.site(), role, Duration::from_secs(600), 9).unwrap();
    let (agent, master) = (token(Role::Agent), token(Role::Master));
    let mut unfit = request(&agent, Role::Agent, "10.0.0.7");
    unfit.facts.systemd = 1;
    let elsewhere =
        Request { address: "10.0.0.99".parse().ok(), ..request(&agent, Role::Agent, "10.0.0.7") };
    let cases = [
        (request("guess", Role::Agent, "10.0.0.7"), "not known"),
        (request(&agent, Role::PublicAgent, "10.0.0.7"), "for the role agent"),
        (request(&agent, Role::Agent, "10.0.0.1"), "configured as master"),
        (request(&master, Role::Master, "10.0.0.2"), "not in master_list"),
        (unfit, "systemd: 1"),
        (elsewhere, "no address of this machine"),
    ];
    for (request, why) in cases {
        let (status, body) = server.join(&request);
        assert!(status == "403" && body.contains(why), "{why}: {status} {body}");
    }
    assert!(server.site().members().unwrap().added.is_empty());
}
