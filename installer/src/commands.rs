//! The commands: files, output and exit codes.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{self, Checked, IpDetect, Mistake};
use crate::plan::{self, Node, Plan, Role};

const DONE: u8 = 0;
/// The file has mistakes.
const INVALID: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// A file could not be read or written.
const FAILED: u8 = 3;

/// Makes a datacenter of machines.
///
/// Exit codes: 0 done, 1 the configuration has mistakes, 2 wrong usage of this
/// command, 3 a file could not be read or written.
#[derive(Debug, Parser)]
#[command(name = "karman-installer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
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
    Validate {
        /// The file to read.
        #[arg(long, default_value = "config.yaml")]
        config: PathBuf,
        /// How to print the result.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let code = run(std::env::args_os(), &mut io::stdout().lock(), &mut io::stderr().lock());
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
        Ok(Arguments { command: Command::Init { config } }) => init(&config, out),
        Ok(Arguments { command: Command::Validate { config, output } }) => {
            validate(&config, output, out)
        }
    };
    done.unwrap_or_else(|error| {
        let _nowhere_to_say_it = writeln!(errors, "error: {error:#}");
        FAILED
    })
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
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let mut checked = config::check(&text);
    checked.mistakes.extend(missing_files(checked.config.as_ref(), path));
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

/// Files that the configuration names, beside it, and that are not there.
fn missing_files(config: Option<&config::Config>, path: &Path) -> Vec<Mistake> {
    let Some(config) = config else { return Vec::new() };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let script = config.ip_detect.as_ref().and_then(|detect| match detect {
        IpDetect::File(file) => Some(("ip_detect_filename", file.as_str())),
        IpDetect::Script(_) => None,
    });
    // A key in the home folder is for ssh to find.
    let key = config.ssh_key_path.as_deref().filter(|path| !path.starts_with('~'));
    let named = script.into_iter().chain(key.map(|path| ("ssh_key_path", path)));
    let missing = named.filter(|(_, file)| !folder.join(file).is_file());
    let mistake = |(key, file): (&str, &str)| Mistake {
        key: key.to_owned(),
        problem: format!("names '{}', which is not a file", folder.join(file).display()),
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
        let role = match role {
            Role::Master => "master",
            Role::Agent => "agent",
            Role::PublicAgent => "public",
        };
        writeln!(out, "{role:<7}  {address:<15}  {}", units.join(" "))?;
    }
    writeln!(out, "{} is valid: '{cluster_name}' with {} machine(s).", path.display(), nodes.len())
}

#[cfg(test)]
mod tests;
