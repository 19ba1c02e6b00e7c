//! What became of each machine, as a table.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use crate::plan::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Done,
    Warned,
    /// Left alone because of others.
    Skipped,
    Failed,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Warned => "warning",
            Self::Skipped => "skipped",
            Self::Failed => "FAILED",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    address: IpAddr,
    role: &'static str,
    state: State,
    what: String,
}

/// Rows in the order of their machines.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, address: IpAddr, role: Role, state: State, what: impl Into<String>) {
        self.rows.push(Row { address, role: role.name(), state, what: what.into() });
    }

    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.state < State::Skipped)
    }

    pub fn failed(&self, address: IpAddr) -> bool {
        self.rows.iter().any(|row| row.address == address && row.state >= State::Skipped)
    }

    /// Takes over what another report says of machines that failed or warned.
    pub fn merge_failures(&mut self, other: Self) {
        self.rows.extend(other.rows.into_iter().filter(|row| row.state != State::Done));
    }

    /// Masters first, each machine's rows together.
    pub fn sort(&mut self) {
        self.rows.sort_by_key(|row| (row.role != Role::Master.name(), row.address));
    }

    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.rows.iter().map(|row| row.address.to_string().len()).max().unwrap_or(0);
        for Row { address, role, state, what } in &self.rows {
            let address = address.to_string();
            // What a service said last has lines of its own.
            let what = what.trim_end().replace('\n', "\n      ");
            writeln!(out, "{:<8} {role:<12} {address:<width$}  {what}", state.word())?;
        }
        Ok(())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "good": self.is_good(), "machines": self.rows })
    }
}
