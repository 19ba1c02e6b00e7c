//! `karman marathon about` and `ping`.

use std::time::Instant;

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use crate::format::document::{flag, text};
use crate::format::fields;
use crate::http::limited;
use crate::output::{Answer, Outcome};
use crate::session::Session;

const PONG_BYTES_MAX: usize = 1024;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show version, leader and framework of the orchestrator
    About,
    /// Ask whether the orchestrator answers
    Ping,
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::About => about(session).await,
        Command::Ping => ping(session).await,
    }
}

async fn about(session: &Session) -> Outcome {
    let info = session.get_marathon("/v2/info").await?;
    let text = fields(&[
        ("name", text(&info, "/name").to_owned()),
        ("version", text(&info, "/version").to_owned()),
        ("leader", text(&info, "/leader").to_owned()),
        ("elected", if flag(&info, "/elected") { "yes" } else { "no" }.to_owned()),
        ("framework", text(&info, "/frameworkId").to_owned()),
    ]);
    Ok(Answer::new(info, text))
}

async fn ping(session: &Session) -> Outcome {
    let started = Instant::now();
    let response =
        session.client.send(Session::marathon(Method::GET, "/ping").accept("text/plain")).await?;
    let body = limited(response, PONG_BYTES_MAX).await?;
    let took_ms = started.elapsed().as_millis();
    let said = String::from_utf8_lossy(&body).trim().to_owned();
    Ok(Answer::new(
        json!({ "answer": said, "ms": u64::try_from(took_ms).ok() }),
        format!("{said} ({took_ms} ms)\n"),
    ))
}
