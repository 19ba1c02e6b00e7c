//! Logging to standard error, and the last part of it in memory: what a process
//! says can be read over HTTP and be made more detailed while it runs.

mod ring;

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, reload};

pub use ring::{Excerpt, Ring};

/// So much of the log is kept in memory.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Says again what is logged; a logger that is gone need not.
type Reload = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The log of this process: its last lines and how detailed it is.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    /// What the configuration asks for.
    base: String,
    kept: Mutex<Ring>,
    detail: Mutex<Detail>,
    reload: OnceLock<Reload>,
}

/// How much more is logged than the configuration asks for.
#[derive(Debug, Default)]
struct Detail {
    level: u32,
    /// Counts the changes.
    change: u64,
}

/// A change of the level, to be taken back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change(u64);

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("base", &self.0.base).finish_non_exhaustive()
    }
}

impl Log {
    fn new(base: String) -> Self {
        Self(Arc::new(Inner {
            base,
            kept: Mutex::new(Ring::new(KEPT_BYTES_MAX)),
            detail: Mutex::default(),
            reload: OnceLock::new(),
        }))
    }

    /// The log of the process; without a logger it stays empty.
    pub fn of_process() -> Self {
        LOG.get_or_init(|| Self::new(String::new())).clone()
    }

    /// Up to `length` bytes from `offset` on, counted from the start of the process.
    pub fn read(&self, offset: u64, length: usize) -> Excerpt {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).read(offset, length)
    }

    /// Bytes that were logged since the start of the process.
    pub fn size(&self) -> u64 {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).end()
    }

    /// 0 is what the configuration asks for.
    pub fn level(&self) -> u32 {
        self.0.detail.lock().unwrap_or_else(PoisonError::into_inner).level
    }

    /// Logs more: at 1 what Karman decides, at 2 how it gets there, from 3 on
    /// everything that its libraries say, too.
    pub fn set_level(&self, level: u32) -> Change {
        let mut detail = self.0.detail.lock().unwrap_or_else(PoisonError::into_inner);
        detail.level = level;
        detail.change += 1;
        self.apply(level);
        Change(detail.change)
    }

    /// Back to what the configuration asks for, unless somebody has changed the
    /// level again.
    pub fn revert(&self, Change(change): Change) {
        let mut detail = self.0.detail.lock().unwrap_or_else(PoisonError::into_inner);
        if detail.change == change {
            detail.level = 0;
            self.apply(0);
        }
    }

    fn apply(&self, level: u32) {
        if let Some(reload) = self.0.reload.get() {
            reload(EnvFilter::new(directives(&self.0.base, level)));
        }
    }
}

fn directives(base: &str, level: u32) -> String {
    match level {
        0 => base.to_owned(),
        1 => format!("{base},karman=debug"),
        2 => format!("{base},karman=trace"),
        _ => "trace".to_owned(),
    }
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Installs the logger. `filter` follows the `RUST_LOG` syntax; the environment
/// variable `KARMAN_LOG` overrides it.
pub fn init(filter: &str, format: Format) {
    let from_environment = std::env::var("KARMAN_LOG").ok();
    let base = from_environment.filter(|text| EnvFilter::try_new(text).is_ok());
    let base = base.unwrap_or_else(|| filter.to_owned());
    let log = Log::new(base);
    // A second logger in one process (tests) is ignored.
    if LOG.set(log.clone()).is_err() {
        return;
    }
    // Colours are for people: a file or a journal gets plain text.
    let colours = io::stderr().is_terminal();
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&log.0.base));
    let layer = fmt::layer().with_writer(Tee(log.clone())).with_target(true).with_ansi(colours);
    let layer = match format {
        Format::Text => layer.compact().boxed(),
        Format::Json => layer.json().boxed(),
    };
    let installed = tracing_subscriber::registry().with(filter).with(layer).try_init();
    if installed.is_ok() {
        // It was made above and has none.
        drop(log.0.reload.set(Box::new(move |filter| drop(handle.reload(filter)))));
    }
}

/// Writes to standard error and to the kept part.
struct Tee(Log);

impl<'a> MakeWriter<'a> for Tee {
    type Writer = TeeWriter<'a>;

    fn make_writer(&'a self) -> TeeWriter<'a> {
        TeeWriter(&self.0)
    }
}

struct TeeWriter<'a>(&'a Log);

impl Write for TeeWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.0.kept.lock().unwrap_or_else(PoisonError::into_inner).write(line);
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_logged_on_demand_and_kept() {
        init("warn", Format::Text);
        let log = Log::of_process();
        let said = |text: &str| {
            let all = log.read(0, KEPT_BYTES_MAX);
            String::from_utf8_lossy(&all.data).contains(text)
        };
        tracing::debug!(target: "karman_test", "too much");
        tracing::warn!(target: "karman_test", "just right");
        assert!(said("just right") && !said("too much"));

        let first = log.set_level(1);
        let second = log.set_level(2);
        log.revert(first);
        assert_eq!(log.level(), 2, "somebody has changed the level again");
        tracing::debug!(target: "karman_test", "wanted now");
        assert!(said("wanted now"));
        log.revert(second);
        assert_eq!(log.level(), 0);
        tracing::debug!(target: "karman_test", "no longer");
        assert!(!said("no longer"));
        assert_eq!(log.size(), log.read(0, KEPT_BYTES_MAX).data.len() as u64);
    }
}
