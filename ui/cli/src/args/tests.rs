use clap::CommandFactory as _;
use expect_test::expect_file;

use super::*;

/// The help of a command and of all below it.
fn help(command: &mut clap::Command, out: &mut String) {
    let name = command.get_bin_name().unwrap_or("karman").to_owned();
    out.push_str(&format!("$ {name} --help\n{}\n", command.render_long_help()));
    for inner in command.get_subcommands_mut() {
        help(inner, out);
    }
}

#[test]
fn help_is_as_written() {
    // clap alone knows which options are global, and would repeat them everywhere.
    let mut command = Args::command().term_width(100);
    command.build();
    let mut text = String::new();
    help(&mut command, &mut text);
    let global = text.find("Global options:").unwrap();
    let end = text.find("Exit codes:").unwrap();
    let repeated = text.get(global..end).unwrap().to_owned();
    let first = end + "Exit codes:".len();
    let (head, rest) = text.split_at(first);
    expect_file!["golden/help.txt"]
        .assert_eq(&format!("{head}{}", rest.replace(repeated.trim_end(), "…")));
}

#[test]
fn arguments_fit_together() {
    Args::command().debug_assert();
}
