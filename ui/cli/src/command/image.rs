//! `karman image`: what is kept on the nodes to run tasks from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use futures::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::format::document::{integer, text};
use crate::format::{image, node};
use crate::http::Call;
use crate::output::{Answer, Outcome, progress};
use crate::session::{Session, now_ms, segment};

/// Agents take bodies of up to 10 MiB.
const PIECE_BYTES: usize = 8 << 20;
/// Nodes that are spoken to at the same time.
const NODES_AT_ONCE: usize = 8;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the images of the nodes
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Bring an image from its registry onto the nodes, before a task wants it
    Pull {
        /// As in nginx:1.27, or registry.example.com/team/app@sha256:...
        name: String,
        /// Ask the registry even where the name is known
        #[arg(long)]
        fresh: bool,
        /// Show the credentials of this file, as `docker login` writes it
        #[arg(long, value_name = "FILE")]
        docker_config: Option<PathBuf>,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Put the images of an archive onto the nodes, without any registry
    Load {
        /// What `docker save` wrote, or a packed OCI layout
        archive: PathBuf,
        /// Give the image this name, if there is only one
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Remove a name, and its image with the last one
    #[command(visible_alias = "rm")]
    Remove {
        /// A name, or a digest for an image with all its names
        name: String,
        #[command(flatten)]
        nodes: Nodes,
    },
}

#[derive(Debug, clap::Args)]
pub struct Nodes {
    /// Only on this node: an id, a host name or an address; may be repeated
    #[arg(long = "node", value_name = "NODE")]
    only: Vec<String>,
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List { nodes } => {
            let images = everywhere(session, &nodes, |agent| show(session, agent)).await?;
            let table = image::table_of(&images);
            Ok(Answer::new(Value::Array(images), table))
        }
        Command::Pull { name, fresh, docker_config, nodes } => {
            let config = docker_config.as_deref().map(read_config).transpose()?;
            let mut body = json!({"name": name, "fresh": fresh});
            if let (Some(config), Value::Object(members)) = (config, &mut body) {
                members.insert("config".to_owned(), config);
            }
            let done =
                everywhere(session, &nodes, |agent| pull(session, agent, body.clone())).await?;
            Ok(told(done, &format!("{name} is on")))
        }
        Command::Load { archive, name, nodes } => {
            check_archive(&archive)?;
            let name = name.as_deref();
            let done =
                everywhere(session, &nodes, |agent| load(session, agent, &archive, name)).await?;
            Ok(told(done, &format!("{} is loaded on", archive.display())))
        }
        Command::Remove { name, nodes } => {
            let done = everywhere(session, &nodes, |agent| remove(session, agent, &name)).await?;
            Ok(told(done, &format!("{name} is removed from")))
        }
    }
}

fn told(done: Vec<Value>, what: &str) -> Answer {
    let nodes: Vec<&str> = done.iter().map(|item| text(item, "/node")).collect();
    let line = format!("{what} {}\n", nodes.join(", "));
    Answer::new(Value::Array(done), line)
}

/// Does the same on all nodes that are meant, and fails if it did on one.
async fn everywhere<F, W>(session: &Session, nodes: &Nodes, work: F) -> Result<Vec<Value>, Failure>
where
    F: Fn(Value) -> W,
    W: Future<Output = Result<Value, Failure>>,
{
    let summary = session.client.get("/mesos/master/state-summary").await?;
    let agents = choose(&node::nodes(&summary), &nodes.only)?;
    let count = agents.len();
    let answers: Vec<(String, Result<Value, Failure>)> = stream::iter(agents)
        .map(|agent| {
            let name = text(&agent, "/hostname").to_owned();
            let work = work(agent);
            async move { (name, work.await) }
        })
        .buffered(NODES_AT_ONCE)
        .collect()
        .await;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Ok(mut answer) => {
                if let Value::Object(members) = &mut answer {
                    members.insert("node".to_owned(), json!(name));
                }
                done.push(answer);
            }
            // Of one node its own failure says the most.
            Err(failure) if count == 1 => return Err(failure),
            Err(failure) => failed.push(format!("{name}: {failure}")),
        }
    }
    if failed.is_empty() {
        return Ok(done);
    }
    let message = format!("it did not work on {} of {count} nodes", failed.len());
    Err(Failure::new(Kind::Failed, message).details(failed))
}

/// The nodes that are named, or all that answer.
fn choose(agents: &[Value], only: &[String]) -> Result<Vec<Value>, Failure> {
    let is = |agent: &Value, name: &str| {
        ["/id", "/hostname", "/ip"].iter().any(|pointer| text(agent, pointer) == name)
    };
    if let Some(name) = only.iter().find(|name| !agents.iter().any(|agent| is(agent, name))) {
        return Err(Failure::new(Kind::NotFound, format!("there is no node {name}"))
            .remedy("see them with: karman node list"));
    }
    let meant = |agent: &&Value| match only {
        [] => agent.get("active") != Some(&Value::Bool(false)),
        only => only.iter().any(|name| is(agent, name)),
    };
    let chosen: Vec<Value> = agents.iter().filter(meant).cloned().collect();
    if chosen.is_empty() { Err(Failure::new(Kind::Failed, "no node is there")) } else { Ok(chosen) }
}

fn path(agent: &Value, rest: &str) -> String {
    format!("/agent/{}/karman/v1/images{rest}", segment(text(agent, "/id")))
}

async fn show(session: &Session, agent: Value) -> Result<Value, Failure> {
    session.client.get(path(&agent, "")).await
}

async fn pull(session: &Session, agent: Value, body: Value) -> Result<Value, Failure> {
    // It takes as long as it takes.
    let call = Call::new(Method::POST, path(&agent, "/pull")).body(body).endless();
    session.client.json(call).await
}

async fn remove(session: &Session, agent: Value, name: &str) -> Result<Value, Failure> {
    let call = Call::new(Method::DELETE, path(&agent, "")).query("name", name);
    session.client.json(call.endless()).await
}

async fn load(
    session: &Session,
    agent: Value,
    archive: &Path,
    name: Option<&str>,
) -> Result<Value, Failure> {
    let mut file = File::open(archive).map_err(|error| unreadable(archive, &error))?;
    let whole = file.metadata().map_err(|error| unreadable(archive, &error))?.len();
    let id = format!("{:x}{:x}", std::process::id(), now_ms());
    let upload = path(&agent, &format!("/uploads/{id}"));
    let mut offset = 0;
    loop {
        let piece = next_piece(&mut file).map_err(|error| unreadable(archive, &error))?;
        if piece.is_empty() && offset > 0 {
            break;
        }
        let call = Call::new(Method::POST, upload.clone()).query("offset", offset.to_string());
        let answer = session
            .client
            .json(call.stream(piece.into(), "application/octet-stream").endless())
            .await?;
        offset = integer(&answer, "/bytes");
        if whole > PIECE_BYTES as u64 {
            let (done, whole) = (offset >> 20, whole >> 20);
            progress(&format!("{}: {done} of {whole} MiB", text(&agent, "/hostname")));
        }
    }
    let mut call = Call::new(Method::POST, format!("{upload}/load")).endless();
    if let Some(name) = name {
        call = call.query("name", name);
    }
    session.client.json(call).await
}

fn next_piece(file: &mut File) -> io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    file.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

fn check_archive(path: &Path) -> Result<(), Failure> {
    let data = path.metadata().map_err(|error| unreadable(path, &error))?;
    if data.is_dir() {
        let shown = path.display();
        return Err(Failure::usage(format!("{shown} is a folder"))
            .remedy(format!("pack it: tar -C {shown} -cf image.tar .")));
    }
    if data.len() == 0 {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(())
}

fn read_config(path: &Path) -> Result<Value, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    // Its words may quote a password.
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::usage(format!("{} is no docker config", path.display())))
}
