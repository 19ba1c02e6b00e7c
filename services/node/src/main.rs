//! The `karmand` binary: a node daemon, and the parent of each task.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use karman_node::args::{Args, Command};
use karman_node::config::{self, Settings};
use karman_node::{serve, up};
use tokio::runtime::Runtime;

/// Much less memory than the system's allocator with many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == "shim") {
        // Before anything else: the shim is one small single-threaded process
        // per task.
        return karman_agent::shim::main(args);
    }
    match run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            let text: Vec<String> = error.chain().map(ToString::to_string).collect();
            say(&format!("karmand: {}", text.join(": ")));
            ExitCode::FAILURE
        }
    }
}

fn run(args: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    match Args::parse_from(args).command {
        Command::CheckConfig { file } => {
            config::check_file(&file)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Up(args) => {
            let settings = config::load(&args)?;
            let runtime = prepare(&settings)?;
            let code = runtime.block_on(up::run(settings, args.output));
            // What did not stop in time is left behind, not waited for.
            runtime.shutdown_background();
            Ok(code?)
        }
        Command::Serve(args) => {
            let (settings, machine) = serve::load(&args)?;
            let runtime = prepare(&settings)?;
            let code = runtime.block_on(serve::run(&args.roles, settings, machine));
            runtime.shutdown_background();
            Ok(code?)
        }
    }
}

/// What every server of this process needs.
fn prepare(settings: &Settings) -> anyhow::Result<Runtime> {
    raise_descriptors();
    karman_rt::log::init(&settings.log_level, settings.log_format);
    log_panics();
    // The only place that chooses a provider; a second is a bug.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("two TLS providers were chosen"))?;
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// As many as the system lets a server have, at most: some programs, started
/// as tasks, close every number up to the limit.
const DESCRIPTORS_MAX: u64 = 65_536;

/// Every connection takes a descriptor; the 1,024 that processes have by habit
/// are soon used up by clients that connect and say nothing.
fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(DESCRIPTORS_MAX).max(soft);
        if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
            say(&format!("karmand: open files stay limited to {soft}: {error}"));
        }
    }
}

/// A panic is a bug: it goes to the log with its place, like any other error.
fn log_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(panic = %panic, "panicked; this is a bug");
        if !tracing::enabled!(tracing::Level::ERROR) {
            default(panic);
        }
    }));
}

#[expect(clippy::print_stderr, reason = "the one sentence that a failed start ends with")]
fn say(text: &str) {
    eprintln!("{text}");
}
