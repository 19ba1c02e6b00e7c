//! `karman node`: the machines of the cluster.

use clap::Subcommand;
use serde_json::Value;

use crate::format::node;
use crate::output::{Answer, Outcome};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the agents, and how much of them is in use
    #[command(visible_alias = "ls")]
    List,
}

pub async fn run(command: Command, session: &Session) -> Outcome {
    match command {
        Command::List => {
            let summary = session.client.get("/mesos/master/state-summary").await?;
            let nodes = node::nodes(&summary);
            let table = node::table_of(&nodes);
            Ok(Answer::new(Value::Array(nodes), table))
        }
    }
}
