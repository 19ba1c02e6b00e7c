//! What may be typed: global options and the tree of commands.

use std::path::PathBuf;

use clap::builder::styling::Styles;
use clap::{ArgAction, Parser, Subcommand};

use crate::choose::env;
use crate::command::{
    app, auth, cluster, config, debug, deployment, image, instance, marathon, node, service, task,
};
use crate::http::Trust;

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  the server refused, or the operation failed
  2  the command or its input is wrong; nothing was sent
  3  what the command is about does not exist
  4  the cluster, or the part of it that is needed, cannot be reached
  5  a login is needed, or you may not do this
  6  it did not happen within --timeout

Environment:
  KARMAN_URL, DCOS_URL              talk to this cluster
  KARMAN_CLUSTER, DCOS_CLUSTER      talk to the cluster of this name or id
  KARMAN_TOKEN, DCOS_ACS_TOKEN      log in with this token
  KARMAN_INSECURE, KARMAN_CA_CERTS  as --insecure and --ca-certs
  KARMAN_TIMEOUT, DCOS_TIMEOUT      give up on an answer after this many seconds
  KARMAN_DIR, DCOS_DIR              keep settings here instead of ~/.dcos

Without any cluster set up, a datacenter on this machine (karmand up) is used.";

/// Talk to a Karman datacenter.
#[derive(Debug, Parser)]
#[command(name = "karman", version, after_long_help = EXIT_CODES, max_term_width = 100, styles = Styles::plain(),
    disable_help_subcommand = true, infer_long_args = true)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Show requests on stderr; twice: with their bodies
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Use this cluster: a name, an id or a URL
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    /// Accept any certificate
    #[arg(long, global = true, conflicts_with = "ca_certs")]
    insecure: bool,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca_certs: Option<PathBuf>,
    /// Filled by [`Args::parsed`] from the two options above.
    #[arg(skip)]
    pub trust: Option<Trust>,
}

impl Global {
    pub fn verbosity(&self) -> u8 {
        self.verbose
            .max(env(&["DCOS_VERBOSITY"]).and_then(|level| level.parse().ok()).unwrap_or_default())
    }
}

impl Args {
    pub fn parsed() -> Result<Self, clap::Error> {
        let mut args = Self::try_parse()?;
        let global = &mut args.global;
        global.trust = match (&global.ca_certs, global.insecure) {
            (_, true) => Some(Trust::Anyone),
            (Some(path), false) => Some(Trust::Authorities(path.clone())),
            (None, false) => None,
        };
        Ok(args)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apps (same as: marathon app)
    #[command(subcommand)]
    App(app::Command),
    /// Deployments (same as: marathon deployment)
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// Running tasks of all services, their logs and files
    #[command(subcommand)]
    Task(task::Command),
    /// The machines of the cluster
    #[command(subcommand)]
    Node(node::Command),
    /// Images on the nodes: bring them before tasks want them, or without a registry
    #[command(subcommand)]
    Image(image::Command),
    /// Schedulers that run on the cluster
    #[command(subcommand)]
    Service(service::Command),
    /// Apps, their deployments and tasks, and why something is pending
    #[command(subcommand)]
    Marathon(Marathon),
    /// Set up clusters and switch between them
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Log in and out
    #[command(subcommand)]
    Auth(auth::Command),
    /// Settings of the attached cluster
    #[command(subcommand)]
    Config(config::Command),
    /// Print a completion script; for bash: source <(karman completion bash)
    Completion {
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum Marathon {
    /// Apps
    #[command(subcommand)]
    App(app::Command),
    /// Deployments
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// Tasks of apps
    #[command(subcommand)]
    Task(instance::Command),
    /// Why something is pending
    #[command(subcommand)]
    Debug(debug::Command),
    #[command(flatten)]
    Own(marathon::Command),
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[cfg(test)]
mod tests;
