use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn resources_and_attributes_are_given_again_for_each_agent() {
    let args = Args::parse_from([
        "karmand",
        "up",
        "--agents=2",
        "--attributes",
        "rack:a",
        "--attributes=rack:b",
        "--resources",
        "cpus:1;mem:64",
    ]);
    let Command::Up(up) = args.command else { panic!("up expected") };
    assert_eq!(up.agents, Some(2));
    assert_eq!(up.attributes, ["rack:a", "rack:b"]);
    assert_eq!(up.resources, ["cpus:1;mem:64"]);
    assert_eq!((up.ephemeral, up.output), (false, Output::Text));
}
