//! Keeps what was fetched for the next who wants it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::transfer::{Arrived, Transfers, Validators};
use super::{Reason, reopen};
use crate::digest::Digest;
use crate::flights::Flights;

/// Who may look into the folder.
const MODE: u32 = 0o700;

/// A file that stays readable when its name goes.
#[derive(Clone, Debug)]
pub(super) struct Kept(Arc<File>);

impl Kept {
    pub(super) fn reopen(&self) -> io::Result<File> {
        reopen(&self.0)
    }
}

/// What is written down of one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "version")]
enum Stored {
    V1 { bytes: u64, validators: Validators },
}

#[derive(Clone, Debug)]
struct Entry {
    bytes: u64,
    validators: Validators,
    /// Grows with each use.
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    uses: u64,
}

#[derive(Debug)]
pub(super) struct Cache {
    inner: Arc<Inner>,
    flights: Flights<String, Result<Kept, Arc<Reason>>, ()>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

impl Cache {
    /// Finds what an earlier process kept.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        for path in [folder.to_owned(), folder.join("coming")] {
            DirBuilder::new().recursive(true).mode(MODE).create(path)?;
        }
        for entry in fs::read_dir(folder.join("coming"))? {
            fs::remove_file(entry?.path())?;
        }
        let inner = Inner { folder: folder.to_owned(), bytes_max, state: Mutex::default() };
        inner.find()?;
        Ok(Self { inner: Arc::new(inner), flights: Flights::default() })
    }

    /// What is kept, if it is still the same, or else what comes. It comes once
    /// for all who want it at the same time.
    pub(super) async fn get(
        &self,
        transfers: &Transfers,
        from: &str,
        checksum: Option<&Digest>,
    ) -> Result<Kept, Arc<Reason>> {
        let key = Digest::of(format!("{from}\n{checksum:?}").as_bytes()).hex().to_owned();
        let (flight, ()) = self.flights.join(key.clone(), || {
            let (inner, transfers) = (Arc::clone(&self.inner), transfers.clone());
            let (from, checksum) = (from.to_owned(), checksum.cloned());
            let work = async move { inner.bring(&transfers, &key, &from, checksum.as_ref()).await };
            (work.map(|kept| kept.map_err(Arc::new)).boxed(), ())
        });
        flight.await
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    fn record(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    /// Files whose record agrees with them; the others go.
    fn find(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "coming" || name.ends_with(".json") {
                continue;
            }
            let read = || {
                let Stored::V1 { bytes, validators } =
                    serde_json::from_slice(&fs::read(self.record(name)).ok()?).ok()?;
                let data = fs::metadata(&path).ok()?;
                (data.len() == bytes).then_some((data.modified().ok()?, bytes, validators))
            };
            match read() {
                Some((modified, bytes, validators)) => {
                    found.push((modified, name.to_owned(), bytes, validators));
                }
                None => self.forget(name),
            }
        }
        found.sort_by_key(|(modified, ..)| *modified);
        for (_, key, bytes, validators) in found {
            self.remember(key, bytes, validators);
        }
        Ok(())
    }

    fn remember(&self, key: String, bytes: u64, validators: Validators) {
        let mut state = self.state();
        state.uses += 1;
        let used = state.uses;
        state.entries.insert(key, Entry { bytes, validators, used });
        while state.entries.values().map(|entry| entry.bytes).sum::<u64>() > self.bytes_max {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { break };
            state.entries.remove(&key);
            self.forget(&key);
        }
    }

    fn forget(&self, key: &str) {
        for path in [self.record(key), self.data(key)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(file = %path.display(), error = error.to_string(), "cannot remove what is kept no longer");
                }
                _ => {}
            }
        }
    }

    async fn bring(
        &self,
        transfers: &Transfers,
        key: &str,
        from: &str,
        checksum: Option<&Digest>,
    ) -> Result<Kept, Reason> {
        let known = self.state().entries.get(key).cloned();
        let kept = known.as_ref().and_then(|_| File::open(self.data(key)).ok());
        let validators = known.map(|entry| entry.validators).unwrap_or_default();
        if let Some(kept) = &kept {
            // Content with a checksum, or without any mark, does not change.
            if checksum.is_some() || validators.is_empty() {
                return self.used(key, kept);
            }
        }
        let wanted = if kept.is_some() { validators } else { Validators::default() };
        let coming = Coming::new(&self.folder.join("coming"));
        let file = coming.file()?;
        match (transfers.unless(from, file.try_clone()?, checksum, &wanted).await, kept) {
            (Ok(Arrived::Whole(validators)), _) => self.keep(key, &coming, file, validators),
            (Ok(Arrived::Unchanged), Some(kept)) => self.used(key, &kept),
            (Err(Reason::Connect(error)), Some(kept)) => {
                warn!(error = error.to_string(), "a server is away; what was kept of it is used");
                self.used(key, &kept)
            }
            (Ok(Arrived::Unchanged), None) => Err(Reason::Refused { status: 304 }),
            (Err(reason), _) => Err(reason),
        }
    }

    fn used(&self, key: &str, kept: &File) -> Result<Kept, Reason> {
        let mut state = self.state();
        state.uses += 1;
        let used = state.uses;
        if let Some(entry) = state.entries.get_mut(key) {
            entry.used = used;
        }
        drop(state);
        // For the next process.
        let _unimportant = kept.set_modified(std::time::SystemTime::now());
        Ok(Kept(Arc::new(reopen(kept)?)))
    }

    /// Too large a file is used once.
    fn keep(
        &self,
        key: &str,
        coming: &Coming,
        file: File,
        validators: Validators,
    ) -> Result<Kept, Reason> {
        let bytes = file.metadata()?.len();
        let kept = Kept(Arc::new(file));
        if bytes > self.bytes_max {
            return Ok(kept);
        }
        // Without its record a file is nothing.
        self.forget(key);
        fs::rename(&coming.0, self.data(key))?;
        let record = Stored::V1 { bytes, validators: validators.clone() };
        fs::write(self.record(key), serde_json::to_vec(&record).map_err(io::Error::other)?)?;
        self.remember(key.to_owned(), bytes, validators);
        Ok(kept)
    }
}

/// A file in the making; its name goes with this.
struct Coming(PathBuf);

impl Coming {
    fn new(folder: &Path) -> Self {
        Self(folder.join(uuid::Uuid::new_v4().to_string()))
    }

    fn file(&self) -> io::Result<File> {
        File::options().create_new(true).read(true).write(true).open(&self.0)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let _renamed = fs::remove_file(&self.0);
    }
}
