//! `karman service`: the schedulers that run on the cluster.

use clap::Subcommand;
use serde_json::Value;

use crate::format::service;
use crate::output::{Answer, Outcome};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the services
    #[command(visible_alias = "ls")]
    List {
        /// Also those that are disconnected
        #[arg(long)]
        inactive: bool,
        /// Also those that have ended
        #[arg(long)]
        completed: bool,
    },
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List { inactive, completed } => {
            let frameworks = session.client.get("/mesos/master/frameworks").await?;
            let chosen = service::select(&frameworks, service::Which { inactive, completed });
            let table = service::table_of(&chosen);
            Ok(Answer::new(Value::Array(chosen), table))
        }
    }
}
