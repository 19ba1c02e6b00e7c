use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::conformance::{CASES, list, put};

mod crash;

fn open(folder: &Path) -> Arc<Embedded> {
    Embedded::open(&folder.join("state.redb")).unwrap()
}

#[tokio::test]
async fn it_keeps_every_promise_of_the_trait() {
    for (name, case) in CASES {
        println!("{name}");
        let folder = tempfile::tempdir().unwrap();
        case(open(folder.path())).await;
    }
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let leader = store.campaign("test", "me").await.unwrap();
    let revision = store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    drop(store);

    let store = open(folder.path());
    assert_eq!(list(&*store, "/").await, [("/a".to_owned(), "1".to_owned())]);
    assert_eq!(store.load("/").await.unwrap().revision, revision);
    // The history is in memory only: whoever is behind lists again.
    assert_eq!(store.watch("/", revision - 1).recv().await, Some(crate::WatchEvent::Relist));
    let again = store.campaign("test", "me").await.unwrap();
    assert!(again.fence.token > leader.fence.token);
    assert!(matches!(store.commit(&leader.fence, vec![]).await, Err(Error::Fenced { .. })));
    assert!(store.commit(&again.fence, vec![]).await.unwrap() > revision);
}

#[tokio::test]
async fn leadership_ends_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut leader = store.campaign("test", "me").await.unwrap();
    drop(store);
    assert!(leader.lost.changed().await.is_err());
}

#[tokio::test]
async fn a_lonely_commit_costs_one_synchronisation() {
    let disk = Disk::default();
    let store = Embedded::start(Box::new(disk.clone())).unwrap();
    let leader = store.campaign("test", "me").await.unwrap();
    let before = disk.state.syncs.load(Ordering::SeqCst);
    for _ in 0..10 {
        store.commit(&leader.fence, vec![put("/a", "1")]).await.unwrap();
    }
    assert_eq!(disk.state.syncs.load(Ordering::SeqCst) - before, 10);
    let before = disk.state.syncs.load(Ordering::SeqCst);
    let commits = (0..100).map(|_| store.commit(&leader.fence, vec![put("/a", "1")]));
    futures::future::join_all(commits).await;
    assert!(disk.state.syncs.load(Ordering::SeqCst) - before < 50);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_is_survived() {
    let disk = Disk::default();
    let store = Embedded::start(Box::new(disk.clone())).unwrap();
    let leader = store.campaign("test", "me").await.unwrap();
    store.commit(&leader.fence, vec![put("/a", "kept")]).await.unwrap();
    let mut watch = store.watch("/", store.load("/").await.unwrap().revision);

    disk.state.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = store
            .commit(&leader.fence, vec![put("/a", "lost"), put("/b", "lost")])
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    disk.state.full.store(false, Ordering::SeqCst);

    assert_eq!(list(&*store, "/").await, [("/a".to_owned(), "kept".to_owned())]);
    let revision = store.commit(&leader.fence, vec![put("/a", "new")]).await.unwrap();
    assert_eq!(list(&*store, "/").await, [("/a".to_owned(), "new".to_owned())]);
    let changes = vec![put("/a", "new")];
    assert_eq!(watch.recv().await, Some(crate::WatchEvent::Changes { revision, changes }));
}

/// A disk in a temporary file that can be full.
#[derive(Clone, Debug)]
struct Disk {
    file: Arc<tempfile::NamedTempFile>,
    state: Arc<DiskState>,
}

#[derive(Debug, Default)]
struct DiskState {
    full: AtomicBool,
    syncs: std::sync::atomic::AtomicUsize,
}

impl Default for Disk {
    fn default() -> Self {
        Self { file: Arc::new(tempfile::NamedTempFile::new().unwrap()), state: Arc::default() }
    }
}

impl database::Open for Disk {
    fn open(&self) -> Result<redb::Database, redb::Error> {
        let file = FileBackend::new(self.file.reopen()?)?;
        Ok(redb::Database::builder()
            .create_with_backend(Faulty { file, state: Arc::clone(&self.state) })?)
    }
}

#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    state: Arc<DiskState>,
}

impl Faulty {
    fn room(&self) -> std::io::Result<()> {
        if self.state.full.load(Ordering::SeqCst) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.state.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}
