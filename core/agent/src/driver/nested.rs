//! Starts a container inside of a running one.

use std::fs;
use std::io;

use super::{Driver, Job, blocking, not_started, prepare};
use crate::core::Event;
use crate::lifecycle;
use crate::nested::{self, Order};
use crate::shim::console::Attach;
use crate::shim::records::{Launch, RunDir, Running, Stored};

/// Between SIGTERM and SIGKILL.
const GRACE_MS: u64 = 3_000;

/// Where the container is that another is to be inside of.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) run: RunDir,
    pub(crate) order: Order,
}

impl Driver {
    pub(crate) fn launch_inside(&self, job: Job, inside: Inside) {
        let driver = self.clone();
        self.tasks.spawn("container", async move {
            let session = inside.order.session;
            let (run, sandbox) = (job.run.clone(), job.sandbox.clone());
            let prepared = blocking(move || prepare_inside(&run, &sandbox, &inside)).await;
            let ended = match prepared {
                Err(error) => not_started(error.to_string()),
                Ok(()) => match driver.start_shim(&job).await {
                    Ok(greeting) => driver.follow(&job, Some(greeting)).await,
                    Err(error) => not_started(format!(
                        "cannot start {}: {error}",
                        driver.settings.shim.display()
                    )),
                },
            };
            if session {
                // Nobody writes there.
                let sandbox = job.sandbox.clone();
                let _absent = blocking(move || fs::remove_dir(sandbox)).await;
            }
            let event = lifecycle::Event::Ended(ended);
            let event = Event::Container { container_id: job.container_id.clone(), event };
            let _stopping = driver.events.send(event).await;
        });
    }
}

fn prepare_inside(run: &RunDir, sandbox: &std::path::Path, inside: &Inside) -> io::Result<()> {
    let gone = |error: io::Error| {
        let text = format!("the container to start it in is not running: {error}");
        io::Error::new(error.kind(), text)
    };
    let parent: Stored<Launch> = read(&inside.run.launch()).map_err(gone)?;
    let Running { task, init } =
        read::<Stored<Running>>(&inside.run.running()).map_err(gone)?.newest();
    let parent = parent.newest();
    let spec = nested::spec(&parent.spec, init.unwrap_or(task), &inside.order);
    let spec = spec.map_err(|error| io::Error::other(error.to_string()))?;
    if !inside.order.session {
        prepare::inner(sandbox).map_err(|error| io::Error::other(karman_rt::chain(&error)))?;
    }
    let launch = Launch {
        spec,
        sandbox: sandbox.to_owned(),
        grace_ms: GRACE_MS,
        completion_ms_max: None,
        attach: Some(Attach { session: inside.order.session }),
    };
    // Not synced: after a crash of the machine it is not read.
    fs::write(run.launch(), serde_json::to_vec(&Stored::V1(launch))?)
}

fn read<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
