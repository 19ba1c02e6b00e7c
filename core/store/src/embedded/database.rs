//! The redb file: its tables, how it is read, and what both sides share.
//!
//! redb refuses all work after a failed write until its file is opened again;
//! so the file may be closed for a while, and every use says so.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable, TableDefinition};

use crate::history::History;
use crate::{Entry, Error, Loaded, Revision, codec};

pub(super) const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
pub(super) const FENCES: TableDefinition<'_, &str, u64> = TableDefinition::new("fences");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const REVISION: &str = "revision";
const FORMAT: &str = "format";
/// How the tables are laid out; raised when a reader must know more.
const FORMAT_NEWEST: u64 = 1;

/// Opens the file; a seam to the disk, so that tests can fill it.
pub(super) trait Open: Send {
    fn open(&self) -> Result<Database, redb::Error>;
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Engine(#[from] redb::Error),
    #[error("it has format {found}, and this build knows formats up to {FORMAT_NEWEST}")]
    Format { found: u64 },
    #[error("the writer cannot be started")]
    Thread(#[from] io::Error),
}

/// What the writer keeps in memory about the file.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) revision: Revision,
    /// The newest token of each name.
    pub(super) fences: BTreeMap<String, u64>,
}

/// What the writer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    database: RwLock<Option<Database>>,
    history: Mutex<History>,
}

impl Shared {
    pub(super) fn open(opener: &dyn Open) -> Result<(Self, State), Failure> {
        let database = opener.open()?;
        let state = prepare(&database)?;
        let history = Mutex::new(History::new(state.revision));
        Ok((Self { database: RwLock::new(Some(database)), history }, state))
    }

    /// Opens the file again after a failure closed it.
    pub(super) fn reopen(&self, opener: &dyn Open) -> Result<State, Failure> {
        let database = opener.open()?;
        let state = prepare(&database)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(state)
    }

    pub(super) fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_write(&self) -> Result<redb::WriteTransaction, redb::Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_write()?)
    }

    pub(super) fn load(&self, prefix: &str) -> Result<Loaded, Error> {
        let transaction = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let database =
                database.as_ref().ok_or_else(|| unavailable(&redb::Error::DatabaseClosed))?;
            database.begin_read().map_err(|error| unavailable(&error.into()))?
        };
        read(&transaction, prefix).map_err(|error| match error {
            ReadError::Engine(error) => unavailable(&error),
            ReadError::Object { key, source } => {
                Error::Unavailable { reason: format!("'{key}': {source}") }
            }
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Engine(#[from] redb::Error),
    #[error("object '{key}'")]
    Object { key: String, source: codec::DecodeError },
}

fn read(transaction: &redb::ReadTransaction, prefix: &str) -> Result<Loaded, ReadError> {
    let meta = transaction.open_table(META).map_err(redb::Error::from)?;
    let revision = number(&meta, REVISION)?.unwrap_or_default();
    let objects = transaction.open_table(OBJECTS).map_err(redb::Error::from)?;
    let mut entries = Vec::new();
    for object in objects.range::<&str>(prefix..).map_err(redb::Error::from)? {
        let (key, value) = object.map_err(redb::Error::from)?;
        let key = key.value();
        if !key.starts_with(prefix) {
            break;
        }
        let object = codec::decode(value.value())
            .map_err(|source| ReadError::Object { key: key.to_owned(), source })?;
        let value = Bytes::copy_from_slice(object.value);
        entries.push(Entry { key: key.to_owned(), value, revision: object.revision });
    }
    Ok(Loaded { entries, revision })
}

/// Creates the tables where they are missing and reads the writer's state.
fn prepare(database: &Database) -> Result<State, Failure> {
    let transaction = database.begin_write().map_err(redb::Error::from)?;
    let mut state = State::default();
    let fresh = {
        transaction.open_table(OBJECTS).map_err(redb::Error::from)?;
        let mut meta = transaction.open_table(META).map_err(redb::Error::from)?;
        let fences = transaction.open_table(FENCES).map_err(redb::Error::from)?;
        for fence in fences.iter().map_err(redb::Error::from)? {
            let (name, token) = fence.map_err(redb::Error::from)?;
            state.fences.insert(name.value().to_owned(), token.value());
        }
        state.revision = number(&meta, REVISION)?.unwrap_or_default();
        match number(&meta, FORMAT)? {
            Some(found) if found > FORMAT_NEWEST => return Err(Failure::Format { found }),
            Some(_) => false,
            None => {
                meta.insert(FORMAT, FORMAT_NEWEST).map_err(redb::Error::from)?;
                true
            }
        }
    };
    if fresh {
        transaction.commit().map_err(redb::Error::from)?;
    } else {
        transaction.abort().map_err(redb::Error::from)?;
    }
    Ok(state)
}

fn number(
    table: &impl ReadableTable<&'static str, u64>,
    key: &str,
) -> Result<Option<u64>, redb::Error> {
    Ok(table.get(key)?.map(|number| number.value()))
}

pub(super) fn unavailable(error: &redb::Error) -> Error {
    let reason = match error {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
            "the disk is full; free some space".to_owned()
        }
        redb::Error::DatabaseClosed | redb::Error::PreviousIo => {
            "an earlier write to the disk failed, and it is being opened again".to_owned()
        }
        other => other.to_string(),
    };
    Error::Unavailable { reason }
}
