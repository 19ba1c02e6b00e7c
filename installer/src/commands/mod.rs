//! The commands: files, output and exit codes.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Checked, Config, Mistake, Script};
use crate::node::Verb;
use crate::payload;
use crate::plan::{self, Node, Plan, Role};

mod cluster;

const DONE: u8 = 0;
/// The file has mistakes.
const INVALID: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// A file could not be read or written, or something else is in the way.
const FAILED: u8 = 3;
/// Some machines are not as they shall be.
const INCOMPLETE: u8 = 4;

/// Makes a datacenter of machines.
///
/// Begin with `init`, change the file that it writes, then `preflight` and
/// `deploy`. Every command may be interrupted and repeated.
///
/// Exit codes: 0 done, 1 the configuration has mistakes, 2 wrong usage of this
/// command, 3 something on this machine is in the way, 4 some machines are not
/// as they shall be (the table says which, and why).
#[derive(Debug, Parser)]
#[command(name = "karman-installer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Cluster {
    /// The description of the cluster. The folder .karman beside it keeps keys,
    /// passwords and logs: it belongs to the administrators alone.
    #[arg(long, default_value = "config.yaml")]
    config: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration with comments, to be changed.
    Init {
        /// The file to write; one that exists is kept.
        #[arg(long, default_value = "config.yaml")]
        config: PathBuf,
    },
    /// Find every mistake of a configuration, and say what would go where.
    Validate(Cluster),
    /// Make the hash of a password, for superuser_password_hash. Reads a line.
    HashPassword,
    /// Check every machine, and change none.
    Preflight(Cluster),
    /// Make the machines what the configuration says, and wait until they serve.
    Deploy {
        #[command(flatten)]
        cluster: Cluster,
        /// Deploy what is in a bundle, after checking it, with its configuration.
        #[arg(long)]
        bundle: Option<PathBuf>,
    },
    /// Say how every machine does.
    Status(Cluster),
    /// Wait until the whole cluster works, and say what does not.
    Postflight(Cluster),
    /// Add an agent.
    AddNode {
        /// The machine.
        address: IpAddr,
        #[arg(long, value_enum, default_value_t = Role::Agent)]
        role: Role,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Empty an agent, take it out of the cluster and leave its machine as it was.
    RemoveNode {
        /// The machine.
        address: IpAddr,
        /// The machine is no more: only take it out of the cluster.
        #[arg(long)]
        gone: bool,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Take Karman and all its data from all machines.
    Uninstall {
        #[command(flatten)]
        cluster: Cluster,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Write everything that a deployment needs into one signed file.
    Bundle {
        #[command(flatten)]
        cluster: Cluster,
        /// The folder to write it into, under a name that is its content.
        #[arg(long, default_value = ".")]
        output_dir: PathBuf,
    },
    /// Let machines join that SSH does not lead to. Ends with Ctrl-C.
    Serve {
        #[command(flatten)]
        cluster: Cluster,
        /// Where to listen.
        #[arg(long, default_value = "0.0.0.0:9443")]
        listen: SocketAddr,
        /// The address and port by which machines reach this one, if not the one
        /// that it has towards the first master.
        #[arg(long)]
        address: Option<String>,
    },
    /// Print the line that joins a machine, with a token for it.
    Invite {
        /// What the machine shall be.
        #[arg(long, value_enum, default_value_t = Role::Agent)]
        role: Role,
        /// How many machines may use it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long it is good for.
        #[arg(long, default_value_t = 24)]
        valid_hours: u32,
        /// The address and port of the server; by default that of the last `serve`.
        #[arg(long)]
        address: Option<String>,
        #[command(flatten)]
        cluster: Cluster,
    },
    /// Make an installer that carries the programs.
    Pack {
        /// The folder of karmand and karman.
        #[arg(long)]
        bin_dir: PathBuf,
        /// The folder of etcd and etcdctl.
        #[arg(long)]
        etcd_dir: PathBuf,
        /// The file to write.
        #[arg(long)]
        output: PathBuf,
    },
    /// What the installer does on a machine of the cluster.
    #[command(hide = true)]
    Node {
        #[command(subcommand)]
        verb: Verb,
        /// A folder that stands for the machine.
        #[arg(long, default_value = "/", global = true)]
        root: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the program.
pub fn main() -> ExitCode {
    // Unlocked: progress and what the server notes come from other threads.
    let code = run(std::env::args_os(), &mut io::stdout(), &mut io::stderr());
    ExitCode::from(code)
}

fn run(
    arguments: impl Iterator<Item = OsString>,
    out: &mut impl Write,
    errors: &mut impl Write,
) -> u8 {
    let done = match Arguments::try_parse_from(arguments) {
        Err(usage) => {
            let (text, is_error) = (usage.render(), usage.use_stderr());
            let written = if is_error { write!(errors, "{text}") } else { write!(out, "{text}") };
            written.map(|()| if is_error { WRONG_USAGE } else { DONE }).map_err(anyhow::Error::from)
        }
        Ok(Arguments { command }) => carry_out(command, out),
    };
    done.unwrap_or_else(|error| {
        let _nowhere_to_say_it = writeln!(errors, "error: {error:#}");
        FAILED
    })
}

fn carry_out(command: Command, out: &mut impl Write) -> anyhow::Result<u8> {
    match command {
        Command::Init { config } => init(&config, out),
        Command::Validate(Cluster { config, output }) => validate(&config, output, out),
        Command::HashPassword => {
            let mut password = String::new();
            io::stdin().read_line(&mut password).context("cannot read a password")?;
            writeln!(
                out,
                "{}",
                crate::site::hash_password(password.trim_end_matches(['\r', '\n']))?
            )?;
            Ok(DONE)
        }
        Command::Pack { bin_dir, etcd_dir, output } => {
            let size = payload::pack(&payload::own_file()?, &bin_dir, &etcd_dir, &output)?;
            writeln!(out, "Wrote {} ({} MiB).", output.display(), size >> 20)?;
            Ok(DONE)
        }
        Command::Node { verb, root } => crate::node::run(&verb, root, out),
        Command::Bundle { cluster, output_dir } => cluster::bundle(&cluster, &output_dir, out),
        Command::Serve { cluster, listen, address } => {
            cluster::serve(&cluster, listen, address, out)
        }
        Command::Invite { role, uses, valid_hours, address, cluster } => {
            cluster::invite(&cluster, role, uses, valid_hours, address, out)
        }
        Command::Preflight(cluster) => cluster::preflight(&cluster, out),
        Command::Deploy { cluster, bundle } => cluster::deploy(&cluster, bundle.as_deref(), out),
        Command::Status(cluster) => cluster::status(&cluster, out),
        Command::Postflight(cluster) => cluster::postflight(&cluster, out),
        Command::AddNode { address, role, cluster } => {
            cluster::add_node(&cluster, address, role, out)
        }
        Command::RemoveNode { address, gone, cluster } => {
            cluster::remove_node(&cluster, address, gone, out)
        }
        Command::Uninstall { cluster, yes } => cluster::uninstall(&cluster, yes, out),
    }
}

fn init(path: &Path, out: &mut impl Write) -> anyhow::Result<u8> {
    let cannot_write = || format!("cannot write '{}'", path.display());
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            anyhow::bail!("'{}' exists and is kept; give another --config", path.display())
        }
        file => file.with_context(cannot_write)?,
    };
    file.write_all(config::TEMPLATE.as_bytes()).with_context(cannot_write)?;
    let path = path.display();
    writeln!(out, "Wrote {path}. Change it, then run: karman-installer validate --config {path}")?;
    Ok(DONE)
}

fn validate(path: &Path, output: Output, out: &mut impl Write) -> anyhow::Result<u8> {
    let checked = read(path, folder_of(path))?;
    let Checked { config, mistakes, read, ignored } = &checked;
    let plan = config.as_ref().filter(|_| mistakes.is_empty()).map(plan::plan);
    match output {
        Output::Json => {
            let value = serde_json::json!({
                "valid": plan.is_some(), "mistakes": mistakes, "read": read, "ignored": ignored, "plan": plan,
            });
            writeln!(out, "{value}")?;
        }
        Output::Text => print(&checked, plan.as_ref(), path, out)?,
    }
    Ok(if plan.is_some() { DONE } else { INVALID })
}

/// Reads a configuration and looks for the files that it names.
/// `ssh` is the folder where paths of what ssh needs begin.
fn read(path: &Path, ssh: &Path) -> anyhow::Result<Checked> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let mut checked = config::check(&text);
    checked.mistakes.extend(missing_files(checked.config.as_ref(), folder_of(path), ssh));
    Ok(checked)
}

/// A configuration without mistakes; none after those were printed.
fn valid(
    path: &Path,
    ssh: &Path,
    output: Output,
    out: &mut impl Write,
) -> anyhow::Result<Option<Config>> {
    let checked = read(path, ssh)?;
    if checked.mistakes.is_empty() {
        return Ok(checked.config);
    }
    match output {
        Output::Json => {
            let value = serde_json::json!({ "good": false, "mistakes": checked.mistakes });
            writeln!(out, "{value}")?;
        }
        Output::Text => print(&checked, None, path, out)?,
    }
    Ok(None)
}

/// Where paths of a configuration begin.
fn folder_of(config: &Path) -> &Path {
    config.parent().unwrap_or_else(|| Path::new("."))
}

/// Files that the configuration names, and that are not there.
fn missing_files(config: Option<&Config>, scripts: &Path, ssh: &Path) -> Vec<Mistake> {
    let Some(config) = config else { return Vec::new() };
    let script = |key, script: &'_ Option<Script>| match script {
        Some(Script::File(file)) => Some((key, scripts.join(file))),
        Some(Script::Text(_)) | None => None,
    };
    // What is in the home folder is for ssh to find.
    let of_ssh = |key, path: &Option<String>| {
        path.as_ref().filter(|path| !path.starts_with('~')).map(|path| (key, ssh.join(path)))
    };
    let named = [
        script("ip_detect_filename", &config.ip_detect),
        script("fault_domain_detect_filename", &config.fault_domain_detect),
        of_ssh("ssh_key_path", &config.ssh_key_path),
        of_ssh("ssh_config_path", &config.ssh_config_path),
    ];
    let named = named.into_iter().flatten();
    let missing = named.filter(|(_, file)| !file.is_file());
    let mistake = |(key, file): (&str, PathBuf)| Mistake {
        key: key.to_owned(),
        problem: format!("names '{}', which is not a file", file.display()),
        remedy: "correct the path, which begins at the folder of the configuration".to_owned(),
    };
    missing.map(mistake).collect()
}

fn print(
    checked: &Checked,
    plan: Option<&Plan>,
    path: &Path,
    out: &mut impl Write,
) -> io::Result<()> {
    let Checked { config: _, mistakes, read, ignored } = checked;
    for config::Key { name, what } in read {
        writeln!(out, "reads    {name}: {what}")?;
    }
    for config::Ignored { key, reason } in ignored {
        writeln!(out, "ignored  {key}: {reason}")?;
    }
    for Mistake { key, problem, remedy } in mistakes {
        writeln!(out, "mistake  {key} {problem}: {remedy}")?;
    }
    let Some(Plan { cluster_name, store: _, nodes }) = plan else {
        return writeln!(out, "{} has {} mistake(s).", path.display(), mistakes.len());
    };
    for Node { address, role, units, .. } in nodes {
        writeln!(out, "{:<12}  {address:<15}  {}", role.name(), units.join(" "))?;
    }
    writeln!(out, "{} is valid: '{cluster_name}' with {} machine(s).", path.display(), nodes.len())
}

#[cfg(test)]
mod tests;
