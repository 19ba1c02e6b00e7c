//! The command line of `karmand`. What may also stand in the configuration file
//! is optional here and wins over it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::serve::machine::Kind;

/// The node daemon of Karman.
#[derive(Debug, Parser)]
#[command(name = "karmand", version, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole datacenter on this machine, on loopback addresses.
    Up(Box<Up>),
    /// Run roles of one machine of a cluster. The installer writes both files.
    Serve(Serve),
    /// Check a configuration file and report every mistake in it.
    CheckConfig {
        /// The YAML file.
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Which roles.
    #[arg(required = true, value_name = "ROLE")]
    pub roles: Vec<Role>,
    /// YAML file with what all machines of the cluster agree on: the keys of config/karman.yaml and
    /// its cluster section.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// YAML file with what this machine is: its address, its role, its certificates.
    #[arg(long, value_name = "FILE")]
    pub node: PathBuf,
    /// Which log lines go to standard error: error, warn, info, debug, trace, or a filter like
    /// "warn,karman_master=debug" [default: what the configuration says, else warn].
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
}

/// What a machine of a cluster can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Who gets which resources.
    Master,
    /// Services, pods, jobs.
    Orchestrator,
    /// Packages.
    Catalog,
    /// The front door: TLS, sign-in, routing, dashboard.
    Gateway,
    /// Names of tasks.
    Net,
    /// Runs containers on this machine.
    Agent,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Orchestrator => "orchestrator",
            Self::Catalog => "catalog",
            Self::Gateway => "gateway",
            Self::Net => "net",
            Self::Agent => "agent",
        }
    }

    /// Whether machines of that kind run it.
    pub fn belongs_on(self, kind: Kind) -> bool {
        match self {
            Self::Net => true,
            Self::Master | Self::Orchestrator | Self::Catalog | Self::Gateway => {
                kind == Kind::Master
            }
            Self::Agent => kind != Kind::Master,
        }
    }
}

#[derive(Debug, Default, clap::Args)]
pub struct Up {
    /// YAML file with the keys of config/karman.yaml; options given here win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for all state [default: /var/lib/karman for root, else $XDG_DATA_HOME/karman or
    /// ~/.local/share/karman].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let the kernel choose every port. Without a data folder, state is temporary: the stop ends
    /// all tasks and removes it.
    #[arg(long)]
    pub ephemeral: bool,
    /// How many agents to run, each with its own work folder, id and share of the machine.
    #[arg(long, value_name = "N")]
    pub agents: Option<u32>,
    /// Resources of the agents, as "cpus:4;mem:8192;disk:10000;ports:[31000-31999]".
    /// Given once it holds for each agent, with the ports divided among them; given once per agent,
    /// the first holds for the first agent and so on. What is not named is taken from the machine.
    /// A JSON list of resources, one per agent, can also say what is revocable and name disks; then
    /// nothing is taken from the machine.
    #[arg(long, value_name = "TEXT")]
    pub resources: Vec<String>,
    /// Attributes of the agents, as "rack:r1;zone:a". Given once it holds for each agent; given once
    /// per agent, the first holds for the first agent and so on.
    #[arg(long, value_name = "TEXT")]
    pub attributes: Vec<String>,
    /// Fault domains of the agents, as "region/zone". Given once it holds for each agent; given once
    /// per agent, the first holds for the first agent and so on.
    #[arg(long, value_name = "REGION/ZONE")]
    pub fault_domain: Vec<String>,
    /// File of principals and secrets that the master asks its callers for, readable by its owner
    /// only: lines of a principal and a secret, or the JSON of Mesos.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Name of the datacenter.
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// What to print once the datacenter is ready; json is exactly one line.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Which log lines go to standard error: error, warn, info, debug, trace, or a filter like
    /// "warn,karman_master=debug" [default: warn].
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// How log lines look [default: text].
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[cfg(test)]
mod tests;
