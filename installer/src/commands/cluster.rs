//! The commands that reach machines.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::{Cluster, DONE, INCOMPLETE, INVALID, Output, valid};
use crate::config::Config;
use crate::crew::{self, Crew, Report};
use crate::payload;
use crate::plan::Role;
use crate::site::{Added, Site};

/// A cluster that is worked with, and the lock that keeps others away.
struct Work {
    crew: Crew,
    runtime: tokio::runtime::Runtime,
    _lock: File,
}

/// Opens the cluster of a configuration; none after its mistakes were printed.
fn open(cluster: &Cluster, out: &mut impl Write) -> anyhow::Result<Option<Work>> {
    let Some(config) = valid(&cluster.config, cluster.output, out)? else { return Ok(None) };
    open_with(config, &cluster.config, &payload::own_file()?).map(Some)
}

fn open_with(config: Config, path: &Path, installer: &Path) -> anyhow::Result<Work> {
    let site = Site::beside(path);
    let lock = site.lock()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    Ok(Work { crew: Crew::new(config, path, site, installer)?, runtime, _lock: lock })
}

fn print(report: &Report, output: Output, out: &mut impl Write) -> anyhow::Result<u8> {
    match output {
        Output::Text => report.print(out)?,
        Output::Json => writeln!(out, "{}", report.json())?,
    }
    Ok(if report.is_good() { DONE } else { INCOMPLETE })
}

pub(super) fn preflight(cluster: &Cluster, out: &mut impl Write) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let Work { crew, runtime, .. } = &work;
    let report = runtime.block_on(async {
        let (nodes, report) = crew::preflight(crew, crew.reachable()).await;
        Crew::each(nodes, |node: crew::Node| node.remote.close()).await;
        report
    });
    crew.clear();
    print(&report, cluster.output, out)
}

pub(super) fn deploy(
    cluster: &Cluster,
    _bundle: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    deploy_with(&work, cluster.output, out)
}

fn deploy_with(work: &Work, output: Output, out: &mut impl Write) -> anyhow::Result<u8> {
    let Work { crew, runtime, .. } = work;
    let report = runtime.block_on(crew::deploy(crew, crew.reachable()));
    crew.clear();
    let code = print(&report, output, out)?;
    if code != DONE {
        if output == Output::Text {
            writeln!(
                out,
                "Not all machines are ready. {} has a log of each; repeat to go on.",
                crew.site.folder.join("log").display()
            )?;
        }
        return Ok(code);
    }
    let report = runtime.block_on(crew::postflight(crew));
    crew.clear();
    let code = match output {
        Output::Text => {
            writeln!(out)?;
            print(&report, output, out)?
        }
        Output::Json if report.is_good() => DONE,
        Output::Json => INCOMPLETE,
    };
    if output == Output::Text && code == DONE {
        welcome(crew, out)?;
    }
    Ok(code)
}

fn welcome(crew: &Crew, out: &mut impl Write) -> io::Result<()> {
    let Crew { config, cluster, site, .. } = crew;
    writeln!(out, "\n'{}' is ready.", config.cluster_name)?;
    for master in &config.master_list {
        let host = if master.is_ipv6() { format!("[{master}]") } else { master.to_string() };
        writeln!(out, "  dashboard  https://{host}/")?;
    }
    writeln!(out, "  user       {}", config.superuser)?;
    if let Some(password) = &cluster.password {
        writeln!(out, "  password   {password}")?;
    }
    let folder = site.folder.display();
    writeln!(out, "  authority  {folder}/ca.pem (let browsers and clients trust it)")?;
    writeln!(out, "  frameworks {folder}/credentials (principal and secret)")
}

pub(super) fn status(cluster: &Cluster, out: &mut impl Write) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let report = work.runtime.block_on(crew::status(&work.crew));
    work.crew.clear();
    print(&report, cluster.output, out)
}

pub(super) fn postflight(cluster: &Cluster, out: &mut impl Write) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let report = work.runtime.block_on(crew::postflight(&work.crew));
    work.crew.clear();
    print(&report, cluster.output, out)
}

pub(super) fn add_node(
    cluster: &Cluster,
    address: IpAddr,
    role: Role,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(config) = valid(&cluster.config, cluster.output, out)? else { return Ok(INVALID) };
    if role == Role::Master {
        bail!("the number of masters cannot be changed in this version; add an agent");
    }
    if config.master_list.contains(&address) {
        bail!("{address} is in master_list; a machine has one role");
    }
    let site = Site::beside(&cluster.config);
    if !site.exists() {
        bail!("there is no cluster yet; list the machine in the configuration and run `deploy`");
    }
    let mut members = site.members()?;
    members.removed.remove(&address);
    members.added.insert(address, Added { role, joined: false });
    site.write_json("members.json", &members)?;
    let work = open_with(config, &cluster.config, &payload::own_file()?)?;
    let Work { crew, runtime, .. } = &work;
    let new = crew.members.iter().filter(|member| member.address == address).cloned().collect();
    let report = runtime.block_on(crew::deploy(crew, new));
    crew.clear();
    print(&report, cluster.output, out)
}

pub(super) fn remove_node(
    cluster: &Cluster,
    address: IpAddr,
    gone: bool,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let Work { crew, runtime, .. } = &work;
    let said = runtime.block_on(crew::remove_node(crew, address, gone));
    crew.clear();
    let said = said?;
    let Config { agent_list, public_agent_list, .. } = &crew.config;
    match cluster.output {
        Output::Json => writeln!(out, "{}", serde_json::json!({ "good": true, "what": said }))?,
        Output::Text => {
            writeln!(out, "Removed {address}: {said}.")?;
            if agent_list.contains(&address) || public_agent_list.contains(&address) {
                let file = cluster.config.display();
                writeln!(
                    out,
                    "Take it out of {file} too; until then it is left out of deployments."
                )?;
            }
        }
    }
    Ok(DONE)
}

pub(super) fn uninstall(cluster: &Cluster, yes: bool, out: &mut impl Write) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let Work { crew, runtime, .. } = &work;
    if !yes {
        if !io::stdin().is_terminal() {
            bail!("this removes the cluster with all its data; give --yes");
        }
        let (name, count) = (&crew.config.cluster_name, crew.members.len());
        writeln!(
            out,
            "This ends all tasks of '{name}' and removes its data from {count} machines."
        )?;
        write!(out, "Write the name of the cluster to go on: ")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        if line.trim() != name {
            bail!("that is not its name; nothing was done");
        }
    }
    let report = runtime.block_on(crew::uninstall(crew));
    crew.clear();
    print(&report, cluster.output, out)
}
