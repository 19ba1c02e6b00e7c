//! `karman cluster`: setting clusters up and switching between them.

use std::time::Duration;

use clap::Subcommand;
use futures::future::join_all;
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::json;
use url::Url;

use super::auth::{self, Login};
use crate::args::Global;
use crate::choose::{self, VERSION_PATH};
use crate::failure::{Failure, Kind, Remedy as _};
use crate::format::cluster::{Entry, table_of};
use crate::format::document::text;
use crate::http::{Call, Client, Target, Trust};
use crate::output::{Answer, Outcome, tell};
use crate::profile::{Home, Profile, TOKEN};

const LIST_TIMEOUT: Duration = Duration::from_secs(3);
const OTHER_SYSTEM: &str = "check that the URL is that of a Karman or DC/OS gateway";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set a cluster up and attach it
    Setup {
        url: String,
        /// Call the cluster this
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        login: Login,
    },
    /// List the clusters that are set up
    #[command(visible_alias = "ls")]
    List {
        /// Only the attached one
        #[arg(long)]
        attached: bool,
    },
    /// Use this cluster from now on
    Attach { cluster: String },
    /// Forget a cluster
    #[command(visible_alias = "rm")]
    Remove {
        #[arg(required_unless_present = "all")]
        cluster: Option<String>,
        /// Forget all clusters
        #[arg(long, conflicts_with = "cluster")]
        all: bool,
    },
    /// Give a cluster another name
    Rename { cluster: String, name: String },
}

pub async fn run(command: Command, global: &Global) -> Outcome {
    let home = Home::from_env()?;
    match command {
        Command::Setup { url, name, login } => setup(&home, &url, name, &login, global).await,
        Command::List { attached } => list(&home, attached, global).await,
        Command::Attach { cluster } => {
            let profile = home.find(&cluster)?;
            home.attach(&profile)?;
            Ok(done(&profile, "is attached"))
        }
        Command::Remove { cluster, .. } => {
            let removed = match cluster {
                Some(cluster) => vec![home.find(&cluster)?],
                None => home.profiles()?,
            };
            for profile in &removed {
                Home::remove(profile)?;
            }
            let ids: Vec<&str> = removed.iter().map(|profile| profile.id.as_str()).collect();
            let text = removed
                .iter()
                .map(|profile| format!("{} is removed\n", profile.name()))
                .collect::<String>();
            Ok(Answer::new(json!(ids), text))
        }
        Command::Rename { cluster, name } => {
            let mut profile = home.find(&cluster)?;
            free(&home, &name, &profile.id)?;
            profile.set("cluster.name", &name);
            profile.save()?;
            Ok(done(&profile, "is its name now"))
        }
    }
}

fn done(profile: &Profile, what: &str) -> Answer {
    let document =
        json!({ "cluster_id": profile.id, "name": profile.name(), "url": profile.url() });
    Answer::new(document, format!("{} {what}\n", profile.name()))
}

/// Refuses a name that another cluster has: it could not be attached by name.
fn free(home: &Home, name: &str, id: &str) -> Result<(), Failure> {
    match home.profiles()?.iter().find(|profile| profile.name() == name && profile.id != id) {
        None => Ok(()),
        Some(other) => {
            Err(Failure::usage(format!("another cluster is called '{name}': {}", other.url()))
                .remedy("choose another name with --name, or rename that one"))
        }
    }
}

async fn setup(
    home: &Home,
    url: &str,
    name: Option<String>,
    login: &Login,
    global: &Global,
) -> Outcome {
    let mut target = choose::of_url(choose::parse_url(url)?, global)?;
    target.url = canonical(&target).await?;
    let mut client = Client::new(target.clone())?;
    let version = client.get(VERSION_PATH).await.remedy_for(Kind::NotFound, OTHER_SYSTEM)?;
    if text(&version, "/version").is_empty() {
        return Err(Failure::new(Kind::Failed, format!("{} is not a cluster", target.url))
            .remedy(OTHER_SYSTEM));
    }
    let metadata = match client.get("/metadata").await {
        Err(failure) if failure.kind == Kind::Denied => {
            target.token = Some(auth::password_login(&client, login).await?);
            client = Client::new(target.clone())?;
            client.get("/metadata").await?
        }
        other => other.remedy_for(Kind::NotFound, OTHER_SYSTEM)?,
    };
    let id = text(&metadata, "/CLUSTER_ID");
    let name = match name {
        Some(name) => name,
        None => {
            let summary = client.get("/mesos/master/state-summary").await?;
            match text(&summary, "/cluster") {
                "" => target.url.host_str().unwrap_or("cluster").to_owned(),
                name => name.to_owned(),
            }
        }
    };
    free(home, &name, id)?;
    let profile = keep(home, id, &name, &target, global)?;
    home.attach(&profile)?;
    Ok(done(
        &profile,
        &format!(
            "is set up and attached ({}, version {})",
            profile.url(),
            text(&version, "/version")
        ),
    ))
}

fn keep(
    home: &Home,
    id: &str,
    name: &str,
    target: &Target,
    global: &Global,
) -> Result<Profile, Failure> {
    let mut profile = home.create(id)?;
    profile.set("cluster.name", name);
    profile.set("core.dcos_url", target.url.as_str().trim_end_matches('/'));
    match &target.token {
        Some(token) => profile.set(TOKEN, token),
        None => drop(profile.unset(TOKEN)),
    }
    match &global.trust {
        None => profile.set("core.ssl_verify", "true"),
        Some(Trust::System) => profile.set("core.ssl_verify", "true"),
        Some(Trust::Anyone) => {
            tell("warning: the identity of this cluster will never be checked (--insecure)");
            profile.set("core.ssl_verify", "false");
        }
        Some(Trust::Authorities(path)) => {
            let pem = std::fs::read(path).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", path.display()))
            })?;
            profile.keep_authority(&pem)?;
        }
    }
    profile.save()?;
    Ok(profile)
}

/// Where the cluster wants to be reached: follows a redirect from http to https.
async fn canonical(target: &Target) -> Result<Url, Failure> {
    let client = Client::new(target.clone())?;
    let answer = client.exchange(Call::new(Method::HEAD, VERSION_PATH)).await?;
    let Some(to) = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection())
    else {
        return Ok(target.url.clone());
    };
    let to = to
        .to_str()
        .ok()
        .and_then(|to| target.url.join(to).ok())
        .filter(|to| to.scheme() == "https");
    match to {
        Some(mut to) => {
            to.set_path(to.path().to_owned().strip_suffix(VERSION_PATH).unwrap_or_default());
            to.set_query(None);
            Ok(to)
        }
        None => Ok(target.url.clone()),
    }
}

async fn list(home: &Home, attached: bool, global: &Global) -> Outcome {
    let in_use = home.attached().ok().flatten().map(|profile| profile.id);
    let profiles: Vec<Profile> = home
        .profiles()?
        .into_iter()
        .filter(|profile| !attached || in_use.as_ref() == Some(&profile.id))
        .collect();
    let entries =
        join_all(profiles.iter().map(|profile| entry(profile, in_use.as_deref(), global))).await;
    let document = entries.iter().map(Entry::document).collect();
    Ok(Answer::new(document, table_of(&entries)))
}

async fn entry(profile: &Profile, in_use: Option<&str>, global: &Global) -> Entry {
    Entry {
        id: profile.id.clone(),
        name: profile.name(),
        url: profile.url(),
        attached: in_use == Some(profile.id.as_str()),
        version: version(profile, global).await.ok(),
    }
}

async fn version(profile: &Profile, global: &Global) -> Result<String, Failure> {
    let target = Target { timeout: LIST_TIMEOUT, ..choose::of_profile(profile, global)? };
    let document = Client::new(target)?.get(VERSION_PATH).await?;
    Ok(text(&document, "/version").to_owned())
}
