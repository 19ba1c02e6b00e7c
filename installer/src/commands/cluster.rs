//! The commands that reach machines.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{Cluster, DONE, INCOMPLETE, INVALID, Output, folder_of, valid};
use crate::bundle::{SigningKey, Source};
use crate::config::{Config, Script};
use crate::crew::{self, Crew, Report};
use crate::join::{self, ADDRESS_FILE, Identity};
use crate::payload;
use crate::plan::Role;
use crate::site::{Added, Site};

const BUNDLE_KEY: &str = "bundle.key";

/// A cluster that is worked with, and the lock that keeps others away.
struct Work {
    crew: Crew,
    runtime: tokio::runtime::Runtime,
    /// Keeps others away.
    lock: File,
}

/// Opens the cluster of a configuration; none after its mistakes were printed.
fn open(cluster: &Cluster, out: &mut impl Write) -> anyhow::Result<Option<Work>> {
    let Some(config) = valid(&cluster.config, folder_of(&cluster.config), cluster.output, out)?
    else {
        return Ok(None);
    };
    open_with(config, &cluster.config, &payload::own_file()?).map(Some)
}

fn open_with(config: Config, path: &Path, installer: &Path) -> anyhow::Result<Work> {
    let site = Site::beside(path);
    let lock = site.lock()?;
    work(config, (folder_of(path), folder_of(path)), site, installer, lock)
}

/// `folders` are those of what ssh needs and of scripts.
fn work(
    config: Config,
    folders: (&Path, &Path),
    site: Site,
    installer: &Path,
    lock: File,
) -> anyhow::Result<Work> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start")?;
    Ok(Work { crew: Crew::new(config, folders, site, installer)?, runtime, lock })
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
    bundle: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(bundle) = bundle else {
        let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
        return deploy_with(&work, cluster.output, out);
    };
    let site = Site::beside(&cluster.config);
    let lock = site.lock()?;
    let Some(key) = site.read(BUNDLE_KEY)? else {
        bail!(
            "{} has no {BUNDLE_KEY}: nothing tells whether the bundle is the cluster's own; use the .karman that it was made with",
            site.folder.display()
        )
    };
    let key = SigningKey::parse(&key)?.public();
    let (place, manifest) = crate::bundle::open(bundle, &key, &site.folder.join("bundles"))?;
    if cluster.output == Output::Text {
        writeln!(out, "Bundle {} is whole and the cluster's own.\n", manifest.id())?;
    }
    let described = place.join(crate::bundle::CONFIG);
    let Some(config) = valid(&described, folder_of(&cluster.config), cluster.output, out)? else {
        return Ok(INVALID);
    };
    let installer = place.join(crate::bundle::INSTALLER);
    // Keys and configurations of ssh are the admin's, everything else the bundle's.
    let folders = (folder_of(&cluster.config), place.as_path());
    let work = work(config, folders, site, &installer, lock)?;
    let release = work.crew.release();
    if release != manifest.release {
        bail!(
            "the bundle makes release {release}, and says {}; .karman is another one",
            manifest.release
        );
    }
    deploy_with(&work, cluster.output, out)
}

fn signing_key(site: &Site) -> anyhow::Result<SigningKey> {
    let text = match site.read(BUNDLE_KEY)? {
        Some(text) => text,
        None => {
            let text = SigningKey::generate()?;
            site.write(BUNDLE_KEY, &text)?;
            text
        }
    };
    SigningKey::parse(&text).with_context(|| format!("{BUNDLE_KEY} of .karman"))
}

pub(super) fn bundle(cluster: &Cluster, folder: &Path, out: &mut impl Write) -> anyhow::Result<u8> {
    let Some(work) = open(cluster, out)? else { return Ok(INVALID) };
    let Work { crew, .. } = &work;
    let here = folder_of(&cluster.config);
    let source = |path: &str, file: PathBuf| Source { path: path.to_owned(), file };
    let mut sources = vec![
        source(crate::bundle::CONFIG, cluster.config.clone()),
        source(crate::bundle::INSTALLER, payload::own_file()?),
    ];
    let scripts = [&crew.config.ip_detect, &crew.config.fault_domain_detect];
    for script in scripts.into_iter().flatten() {
        if let Script::File(file) = script {
            sources.push(source(file, here.join(file)));
        }
    }
    let about = (crew.cluster.id.as_str(), crew.config.cluster_name.as_str(), &*crew.release());
    let (file, manifest) = crate::bundle::make(folder, about, sources, &signing_key(&crew.site)?)?;
    match cluster.output {
        Output::Text => {
            writeln!(out, "Wrote {}: release {}.", file.display(), manifest.release)?;
            writeln!(out, "Deploy it with: karman-installer deploy --bundle {}", file.display())?;
        }
        Output::Json => {
            let (id, release) = (manifest.id(), &manifest.release);
            let value =
                serde_json::json!({ "good": true, "file": file, "id": id, "release": release });
            writeln!(out, "{value}")?;
        }
    }
    Ok(DONE)
}

pub(super) fn serve(
    cluster: &Cluster,
    listen: SocketAddr,
    address: Option<String>,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(Work { crew, runtime, lock }) = open(cluster, out)? else { return Ok(INVALID) };
    // Deployments go on beside it.
    drop(lock);
    let address = match address {
        Some(address) => address,
        None => own_address(&crew.config, listen)?,
    };
    crew.site.write(ADDRESS_FILE, &address)?;
    let file = payload::own_file()?;
    let installer =
        std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings = join::Settings {
        url: format!("https://{address}"),
        identity: Identity::load(&crew.site, &crew.cluster.authority)?,
        key: signing_key(&crew.site)?,
        sha256: crate::release::sha256(&installer),
        installer: installer.into(),
    };
    writeln!(out, "Machines join '{}' at https://{address}.", crew.config.cluster_name)?;
    writeln!(
        out,
        "`karman-installer invite` prints the line to run on a machine. Ctrl-C ends this."
    )?;
    out.flush()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
        let stop = async {
            // Without a handler only a kill ends it.
            let _no_handler = tokio::signal::ctrl_c().await;
        };
        join::serve(crew, settings, listener, stop).await
    })?;
    Ok(DONE)
}

/// The address that this machine has towards the first master.
fn own_address(config: &Config, listen: SocketAddr) -> anyhow::Result<String> {
    if !listen.ip().is_unspecified() {
        return Ok(listen.to_string());
    }
    let master = config.master_list.first().context("there is no master")?;
    let any: IpAddr =
        if master.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    // Nothing is sent: the kernel only chooses the way.
    let way = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((*master, 9))?;
        socket.local_addr()
    });
    let own = way.with_context(|| format!("no way leads to {master}; give --address"))?;
    Ok(SocketAddr::new(own.ip(), listen.port()).to_string())
}

pub(super) fn invite(
    cluster: &Cluster,
    role: Role,
    uses: u32,
    valid_hours: u32,
    address: Option<String>,
    out: &mut impl Write,
) -> anyhow::Result<u8> {
    let Some(config) = valid(&cluster.config, folder_of(&cluster.config), cluster.output, out)?
    else {
        return Ok(INVALID);
    };
    let site = Site::beside(&cluster.config);
    let address = match address {
        Some(address) => address,
        None => site
            .read(ADDRESS_FILE)?
            .context("start `karman-installer serve` first, or give --address")?,
    };
    let authority = site.cluster(&config)?.authority;
    let pin = Identity::load(&site, &authority)?.pin;
    let valid = Duration::from_secs(u64::from(valid_hours) * 3600);
    let token = join::invite(&site, role, valid, uses)?;
    let line = join::command_line(&format!("https://{address}"), &pin, role, &token);
    match cluster.output {
        Output::Text => writeln!(out, "{line}")?,
        Output::Json => {
            writeln!(
                out,
                "{}",
                serde_json::json!({ "good": true, "token": token, "command": line })
            )?;
        }
    }
    Ok(DONE)
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
    let Some(config) = valid(&cluster.config, folder_of(&cluster.config), cluster.output, out)?
    else {
        return Ok(INVALID);
    };
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
