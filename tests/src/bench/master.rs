//! The master as a process of its own, so that its memory and its processor
//! time are its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use karman_rt::Tasks;
use karman_store::embedded::Embedded;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The argument that makes this program a master.
pub(crate) const ROLE: &str = "master";

/// A master in another process; it ends with this value.
pub(crate) struct Master {
    process: Child,
    pub(crate) http: u16,
    pub(crate) session: String,
}

impl Master {
    /// Starts one with its state in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the master")?;
        let mut line = String::new();
        let output = process.stdout.take().context("the master has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).context("the master did not start")?;
        let port = |name: &str| {
            let port =
                ready.get(name).and_then(Value::as_u64).and_then(|it| u16::try_from(it).ok());
            port.with_context(|| format!("the master tells no {name} port"))
        };
        let session = format!("http://127.0.0.1:{}", port("session")?);
        Ok(Self { http: port("http")?, session, process })
    }

    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .context("cannot look at the master's memory")?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .context("the kernel tells no resident memory")?;
        Ok(kib / 1024.0)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Is a master until its standard input ends.
pub(crate) fn serve(folder: Option<&str>) -> Result<()> {
    let folder = Path::new(folder.context("the master needs a folder")?).to_owned();
    // As the real binary does.
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    super::runtime()?.block_on(async move {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let http = TcpListener::bind((local, 0)).await?;
        let session = TcpListener::bind((local, 0)).await?;
        let ports = json!({
            "http": http.local_addr()?.port(),
            "session": session.local_addr()?.port(),
        });
        let tasks = Tasks::new();
        let config = karman_master::Config {
            cluster_name: "bench".to_owned(),
            hostname: "127.0.0.1".to_owned(),
            ip: local,
            urls: karman_master::Urls {
                http: format!("http://{}", http.local_addr()?),
                session: format!("http://{}", session.local_addr()?),
            },
            http: http.into(),
            session,
            tls: None,
            store: Embedded::open(&folder.join("state"))?,
            version: "bench",
            settings: karman_master::ledger::Settings::default(),
            access: karman_master::access::Access::default(),
        };
        karman_master::start(config, &tasks).await?;
        writeln!(std::io::stdout().lock(), "{ports}")?;
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}
