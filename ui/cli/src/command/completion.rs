//! Completion scripts for shells.

use clap::CommandFactory as _;
use clap_complete::aot::{Shell, generate};
use serde_json::Value;

use crate::args::{self, Args};
use crate::output::Answer;

pub fn script(shell: args::Shell) -> Answer {
    let shell = match shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "karman", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    Answer::new(Value::String(text.clone()), text)
}
