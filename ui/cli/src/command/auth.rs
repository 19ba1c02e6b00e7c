//! `karman auth`: logging in and out.

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use crate::args::Global;
use crate::choose::{self, env};
use crate::failure::{Failure, Kind};
use crate::format::document::text;
use crate::http::{Call, Client};
use crate::output::{Answer, Outcome};
use crate::profile::TOKEN;
use crate::tty;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to the attached cluster
    Login(Login),
    /// Forget the login
    Logout,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct Login {
    /// User name; asked for if left out
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password; visible to other users of this machine, prefer --password-file
    #[arg(long, conflicts_with = "password_file")]
    password: Option<String>,
    /// File that contains the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub async fn run(command: Command, global: &Global) -> Outcome {
    let mut profile = choose::profile(global)?;
    match command {
        Command::Login(login) => {
            let client = Client::new(choose::of_profile(&profile, global)?)?;
            let token = password_login(&client, &login).await?;
            profile.set(TOKEN, &token);
            profile.save()?;
            Ok(Answer::new(
                json!({ "cluster": profile.name() }),
                format!("logged in to {}\n", profile.name()),
            ))
        }
        Command::Logout => {
            profile.unset(TOKEN);
            profile.save()?;
            Ok(Answer::new(
                json!({ "cluster": profile.name() }),
                format!("logged out of {}\n", profile.name()),
            ))
        }
    }
}

/// Trades user name and password for a token.
pub async fn password_login(client: &Client, login: &Login) -> Result<String, Failure> {
    let username =
        match login.username.clone().or_else(|| env(&["KARMAN_USERNAME", "DCOS_USERNAME"])) {
            Some(username) => username,
            None => tty::ask("user name")?,
        };
    let password = match (&login.password, &login.password_file) {
        (Some(password), _) => password.clone(),
        (None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        (None, None) => match env(&["KARMAN_PASSWORD", "DCOS_PASSWORD"]) {
            Some(password) => password,
            None => tty::ask_secret(&format!("password of {username}"))?,
        },
    };
    let call = Call::new(Method::POST, "/acs/api/v1/auth/login")
        .body(json!({ "uid": username, "password": password }));
    let answer = client.json(call).await.map_err(|failure| match failure.kind {
        Kind::Denied => Failure::new(
            Kind::Denied,
            format!("{username} was not let in: wrong user name or password"),
        )
        .remedy("try again with: karman auth login"),
        Kind::NotFound => {
            Failure::new(Kind::NotFound, "this cluster has no login").remedy("no login is needed")
        }
        _ => failure,
    })?;
    match text(&answer, "/token") {
        "" => Err(Failure::new(Kind::Failed, "the cluster answered the login without a token")),
        token => Ok(token.to_owned()),
    }
}
