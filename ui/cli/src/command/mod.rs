//! One file per noun of the command line: its arguments, and what they do.

pub mod app;
pub mod auth;
pub mod cluster;
pub mod completion;
pub mod config;
pub mod debug;
pub mod deployment;
pub mod image;
pub mod instance;
pub mod marathon;
pub mod node;
pub mod sandbox;
pub mod service;
pub mod task;
pub mod wait;

use crate::args::{Args, Command, Marathon};
use crate::output::Outcome;
use crate::session::Session;

/// Runs one command to its answer.
pub async fn run(args: Args) -> Outcome {
    let Args { global, command } = args;
    match command {
        Command::Cluster(command) => cluster::run(command, &global).await,
        Command::Auth(command) => auth::run(command, &global).await,
        Command::Config(command) => config::run(command, &global),
        Command::Completion { shell } => Ok(completion::script(shell)),
        Command::App(command) | Command::Marathon(Marathon::App(command)) => {
            app::run(command, &Session::open(&global).await?).await
        }
        Command::Deployment(command) | Command::Marathon(Marathon::Deployment(command)) => {
            deployment::run(command, &Session::open(&global).await?).await
        }
        Command::Marathon(Marathon::Task(command)) => {
            instance::run(command, &Session::open(&global).await?).await
        }
        Command::Marathon(Marathon::Debug(command)) => {
            debug::run(command, &Session::open(&global).await?).await
        }
        Command::Marathon(Marathon::Own(command)) => {
            marathon::run(command, &Session::open(&global).await?).await
        }
        Command::Task(command) => task::run(command, &Session::open(&global).await?).await,
        Command::Node(command) => node::run(command, &Session::open(&global).await?).await,
        Command::Image(command) => image::run(command, &Session::open(&global).await?).await,
        Command::Service(command) => service::run(command, &Session::open(&global).await?).await,
    }
}
