//! What is printed once the datacenter is ready.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::listeners::Urls;
use crate::args::Output;
use crate::data_dir::DataDir;
use crate::ports::Ports;

/// Where everything is; its JSON is what programs read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) gateway: String,
    pub(super) master: String,
    pub(super) agents: Vec<String>,
    pub(super) marathon: String,
    pub(super) metronome: String,
    pub(super) catalog: String,
    pub(super) dns: SocketAddr,
    pub(super) data_dir: PathBuf,
    pub(super) pid: u32,
    #[serde(skip)]
    temporary: bool,
}

impl Summary {
    pub(super) fn new(urls: &Urls, data_dir: &DataDir) -> Self {
        let Urls {
            gateway,
            master,
            session: _,
            agents,
            marathon,
            metronome,
            catalog,
            dns,
            dns_http: _,
        } = urls.clone();
        Self {
            gateway,
            master,
            agents,
            marathon,
            metronome,
            catalog,
            dns,
            data_dir: data_dir.path().to_owned(),
            pid: std::process::id(),
            temporary: data_dir.is_temporary(),
        }
    }
}

/// Prints the summary to standard output.
pub(super) fn announce(summary: &Summary, output: Output, took: Duration) -> io::Result<()> {
    let text = match output {
        Output::Json => serde_json::to_string(summary).map_err(io::Error::other)? + "\n",
        Output::Text => text(summary, took, nix::unistd::geteuid().is_root()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn text(summary: &Summary, took: Duration, root: bool) -> String {
    let Summary {
        gateway,
        master,
        agents,
        marathon,
        metronome: _,
        catalog: _,
        dns,
        data_dir,
        pid: _,
        temporary,
    } = summary;
    let count = match agents.len() {
        1 => "1 agent".to_owned(),
        n => format!("{n} agents"),
    };
    let kept = if *temporary {
        "removed at the stop, with all tasks"
    } else {
        "tasks run on across restarts"
    };
    // Without any set-up, `karman` talks to the gateway's default port.
    let karman = if *gateway == format!("http://{}", Ports::role(Ports::default().gateway)) {
        "karman".to_owned()
    } else {
        format!("karman --cluster {gateway}")
    };
    let mut text = format!(
        "Karman is up with {count}, {:.1} s after its start. Ctrl-C stops it.\n\n\
         \x20 Dashboard  {gateway}/\n\
         \x20 Marathon   {gateway}/service/marathon, directly {marathon}\n\
         \x20 Mesos      {master}\n\
         \x20 Agents     {}\n\
         \x20 DNS        {dns}\n\
         \x20 Data       {} ({kept})\n\n\
         Three things to try:\n\n\
         \x20 {karman} app add examples/web.json\n\
         \x20 {karman} task list\n\
         \x20 dig @{} -p {} web.marathon.mesos A\n",
        took.as_secs_f64(),
        agents.join(" "),
        data_dir.display(),
        dns.ip(),
        dns.port(),
    );
    if !root {
        let _infallible = write!(
            text,
            "\nNot running as root: tasks are plain processes without isolation, and there are no virtual IPs.\n"
        );
    }
    text
}

#[cfg(test)]
mod tests;
