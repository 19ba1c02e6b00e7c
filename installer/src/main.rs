//! The `karman-installer` command.

fn main() -> std::process::ExitCode {
    karman_installer::commands::main()
}
