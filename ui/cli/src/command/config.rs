//! `karman config`: settings of the attached cluster.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::choose;
use crate::failure::{Failure, Kind};
use crate::output::{Answer, Outcome};
use crate::profile::{KEYS, TOKEN};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print all settings, or one
    Show { name: Option<String> },
    /// Change a setting
    Set { name: String, value: String },
    /// Forget a setting
    Unset { name: String },
}

pub fn run(command: Command, global: &Global) -> Outcome {
    match command {
        Command::Show { name: Some(name) } => show_one(&name, global),
        Command::Show { name: None } => show(global),
        Command::Set { name, value } => {
            known(&name)?;
            if name == "core.timeout" {
                crate::format::time::parse_duration(&value).map_err(Failure::usage)?;
            }
            if name == "core.dcos_url" {
                choose::parse_url(&value)?;
            }
            let mut profile = choose::profile(global)?;
            profile.set(&name, &value);
            profile.save()?;
            Ok(Answer::new(json!({ name: value }), ""))
        }
        Command::Unset { name } => {
            known(&name)?;
            let mut profile = choose::profile(global)?;
            if !profile.unset(&name) {
                return Err(Failure::new(Kind::NotFound, format!("{name} is not set"))
                    .remedy("see: karman config show"));
            }
            profile.save()?;
            Ok(Answer::written())
        }
    }
}

fn show(global: &Global) -> Outcome {
    let settings: Vec<(String, String)> = choose::profile(global)?
        .all()
        .into_iter()
        .map(
            |(name, value)| {
                if name == TOKEN { (name, "********".to_owned()) } else { (name, value) }
            },
        )
        .collect();
    let text = settings.iter().map(|(name, value)| format!("{name} {value}\n")).collect::<String>();
    let document: Map<String, Value> =
        settings.into_iter().map(|(name, value)| (name, json!(value))).collect();
    Ok(Answer::new(Value::Object(document), text))
}

fn show_one(name: &str, global: &Global) -> Outcome {
    known(name)?;
    match choose::profile(global)?.get(name) {
        Some(value) => Ok(Answer::new(json!(value), format!("{value}\n"))),
        None => Err(Failure::new(Kind::NotFound, format!("{name} is not set"))
            .remedy("see: karman config show")),
    }
}

/// Refuses a name that nothing reads, and says which was probably meant.
fn known(name: &str) -> Result<(), Failure> {
    if KEYS.contains(&name) {
        return Ok(());
    }
    let nearest =
        KEYS.iter().min_by_key(|key| strsim::levenshtein(key, name)).copied().unwrap_or_default();
    Err(Failure::usage(format!("there is no setting '{name}'"))
        .remedy(format!("did you mean {nearest}?")))
}
