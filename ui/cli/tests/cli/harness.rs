//! Running the binary and looking at how it ended.

use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::gateway::Gateway;

/// Runs `karman` against one gateway, with settings of its own.
pub(crate) struct Cli {
    pub settings: TempDir,
    pub gateway: Gateway,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    pub(crate) async fn new() -> Self {
        Self { settings: tempfile::tempdir().unwrap(), gateway: Gateway::start().await }
    }

    /// Without any settings or environment.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_karman"));
        command
            .env_clear()
            .env("KARMAN_DIR", self.settings.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.bare();
        ended(command.env("KARMAN_URL", &self.gateway.url).args(arguments).output().await.unwrap())
    }

    pub(crate) async fn pipe(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.bare();
        command.env("KARMAN_URL", &self.gateway.url).args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Dropping it at the end of the statement closes the pipe.
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        ended(child.wait_with_output().await.unwrap())
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.stderr, "", "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// It failed with this code, one line for people, and nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        self.stderr
    }
}
