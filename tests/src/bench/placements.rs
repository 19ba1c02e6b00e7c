//! How many durable writes of the size of an instance's record a leader gets
//! through per second, when many of them wait at a time: on three members of
//! etcd with mTLS, on one, and in the embedded engine beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use karman_store::embedded::Embedded;
use karman_store::{Change, Error, Store};

use crate::etcd::Members;
use crate::row::{Row, ms, percentile, say};

const TARGET_PER_S: f64 = 10_000.0;
/// A record of an instance with its launch.
const VALUE_BYTES: usize = 512;
/// Those who wait for the disk at a time.
const CALLERS: usize = 1024;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(5);
/// Until a cluster that was just started leads.
const START_MAX: Duration = Duration::from_secs(30);

pub(crate) fn run() -> Result<()> {
    super::runtime()?.block_on(async {
        let replicated = on_etcd(3).await?;
        replicated.row("durable_placements_per_s_etcd").target(TARGET_PER_S).print();
        Row::new("commit_p99_ms_etcd", ms(replicated.p99), "ms").print();
        on_etcd(1).await?.row("durable_placements_per_s_etcd_single").print();
        let folder = tempfile::tempdir()?;
        let store = Embedded::open(&folder.path().join("state"))?;
        measure(store).await?.row("durable_placements_per_s_embedded").print();
        Ok(())
    })
}

async fn on_etcd(members: usize) -> Result<Measured> {
    let etcd = Members::start(members)?;
    let store = etcd.open(0)?;
    let begun = Instant::now();
    while let Err(error) = store.load("/").await {
        if begun.elapsed() > START_MAX {
            return Err(error.into());
        }
    }
    measure(store).await
}

struct Measured {
    per_s: f64,
    p99: Duration,
}

impl Measured {
    fn row(&self, name: &str) -> Row {
        Row::new(name, self.per_s.round(), "1/s")
    }
}

async fn measure(store: Arc<dyn Store>) -> Result<Measured> {
    let leadership = store.campaign("bench", "bench").await?;
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let (store, fence) = (Arc::clone(&store), leadership.fence.clone());
        let (next, value) = (Arc::clone(&next), value.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < WARM_UP + MEASURED {
                let key = format!("/bench/instances/{}", next.fetch_add(1, Ordering::Relaxed));
                let asked = Instant::now();
                let put = Change::Put { key, value: value.clone() };
                store.commit(&fence, vec![put]).await?;
                if asked - begun > WARM_UP && begun.elapsed() < WARM_UP + MEASURED {
                    times.push(asked.elapsed());
                }
            }
            Ok::<_, Error>(times)
        })
    });
    let mut times = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await??);
    }
    let per_s = times.len() as f64 / MEASURED.as_secs_f64();
    let p99 = percentile(&mut times, 99);
    say(&format!("{per_s:.0}/s, p99 {:.1} ms", ms(p99)));
    Ok(Measured { per_s, p99 })
}
