//! Which cluster a command talks to.
//!
//! In this order: `--cluster`, `KARMAN_URL`/`DCOS_URL`, `KARMAN_CLUSTER`/
//! `DCOS_CLUSTER`, the attached cluster, a datacenter on this machine.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::args::Global;
use crate::failure::{Failure, Kind};
use crate::http::{Client, Target, Trust, is_loopback};
use crate::output::tell;
use crate::profile::{Home, Profile, TOKEN};

/// Where `karmand up` listens.
const LOCAL: &str = "http://127.0.0.1:8000";
const LOCAL_TIMEOUT: Duration = Duration::from_millis(700);
const TIMEOUT: Duration = Duration::from_secs(60);
pub const VERSION_PATH: &str = "/dcos-metadata/dcos-version.json";

/// A client of the cluster that this command is for.
pub async fn client(global: &Global) -> Result<Client, Failure> {
    let home = Home::from_env()?;
    if let Some(word) = &global.cluster {
        return match word.contains("://") {
            true => Client::new(of_url(parse_url(word)?, global)?),
            false => Client::new(of_profile(&home.find(word)?, global)?),
        };
    }
    if let Some(url) = env(&["KARMAN_URL", "DCOS_URL"]) {
        return Client::new(of_url(parse_url(&url)?, global)?);
    }
    if let Some(word) = env(&["KARMAN_CLUSTER", "DCOS_CLUSTER"]) {
        return Client::new(of_profile(&home.find(&word)?, global)?);
    }
    match home.attached()? {
        Some(profile) => Client::new(of_profile(&profile, global)?),
        None => local(global).await,
    }
}

/// The profile that settings are read from and written to.
pub fn profile(global: &Global) -> Result<Profile, Failure> {
    let home = Home::from_env()?;
    if let Some(word) = global.cluster.clone().or_else(|| env(&["KARMAN_CLUSTER", "DCOS_CLUSTER"]))
    {
        return home.find(&word);
    }
    home.attached()?.ok_or_else(|| {
        Failure::usage("no cluster is set up").remedy("set one up with: karman cluster setup URL")
    })
}

async fn local(global: &Global) -> Result<Client, Failure> {
    let none = |_: Failure| {
        Failure::new(
            Kind::Unreachable,
            format!("no cluster is set up, and none answers at {LOCAL}"),
        )
        .remedy("start one with: karmand up, or name one with: karman cluster setup URL")
    };
    let target = of_url(parse_url(LOCAL)?, global)?;
    let probe = Client::new(Target { timeout: LOCAL_TIMEOUT, ..target.clone() })?;
    let version = probe.get(VERSION_PATH).await.map_err(none)?;
    if version["version"].is_string() {
        tell(&format!("using the datacenter on this machine, {LOCAL} (no cluster is set up)"));
        Client::new(target)
    } else {
        Err(none(Failure::usage("")))
    }
}

/// How to reach a URL that no profile describes.
pub fn of_url(url: Url, global: &Global) -> Result<Target, Failure> {
    let trust = match global.trust.clone().or_else(env_trust) {
        Some(trust) => trust,
        None => Trust::System,
    };
    Ok(Target {
        url,
        token: env_token(),
        trust,
        timeout: timeout(None)?,
        verbose: global.verbosity(),
    })
}

/// How to reach a cluster that was set up; flags and environment win.
pub fn of_profile(profile: &Profile, global: &Global) -> Result<Target, Failure> {
    let trust = match global.trust.clone().or_else(env_trust) {
        Some(trust) => trust,
        None => match profile.get("core.ssl_verify").as_deref() {
            None => Trust::System,
            Some(value) => verify(value),
        },
    };
    Ok(Target {
        url: parse_url(&profile.url())
            .map_err(|failure| failure.remedy("set the cluster up again"))?,
        token: env_token().or_else(|| profile.get(TOKEN)),
        trust,
        timeout: timeout(profile.get("core.timeout"))?,
        verbose: global.verbosity(),
    })
}

/// A URL as people type it: the scheme may be left out.
pub fn parse_url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::usage(format!("'{text}' is not the URL of a cluster: {why}"))
            .remedy("write for example https://dc.example.com")
    };
    let parse = |text: &str| {
        Url::parse(text.trim_end_matches('/')).map_err(|error| wrong(error.to_string()))
    };
    let url = if text.contains("://") {
        parse(text)?
    } else {
        let plain = parse(&format!("http://{text}"))?;
        if is_loopback(&plain) { plain } else { parse(&format!("https://{text}"))? }
    };
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(wrong(format!("'{other}' is neither http nor https"))),
    }
}

/// `core.ssl_verify`: `true`, `false`, or a file of authorities.
fn verify(value: &str) -> Trust {
    match value.to_lowercase().as_str() {
        "true" | "1" | "" => Trust::System,
        "false" | "0" => Trust::Anyone,
        _ => Trust::Authorities(PathBuf::from(value)),
    }
}

fn env_trust() -> Option<Trust> {
    if env(&["KARMAN_INSECURE", "DCOS_TLS_INSECURE"])
        .is_some_and(|value| verify(&value) == Trust::System)
    {
        return Some(Trust::Anyone);
    }
    if let Some(path) = env(&["KARMAN_CA_CERTS", "DCOS_TLS_CA_PATH"]) {
        return Some(Trust::Authorities(PathBuf::from(path)));
    }
    env(&["DCOS_SSL_VERIFY"]).map(|value| verify(&value))
}

fn env_token() -> Option<String> {
    env(&["KARMAN_TOKEN", "DCOS_ACS_TOKEN"])
}

fn timeout(setting: Option<String>) -> Result<Duration, Failure> {
    let Some(text) = env(&["KARMAN_TIMEOUT", "DCOS_TIMEOUT"]).or(setting) else {
        return Ok(TIMEOUT);
    };
    crate::format::time::parse_duration(&text)
        .map_err(|error| Failure::usage(format!("the timeout is wrong: {error}")))
}

/// The first of these environment variables that says something.
pub fn env(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}
