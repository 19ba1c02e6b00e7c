//! The calls of operators that only look.

use karman_api::mesos::v1::agent::call::{ListFiles, ReadFile, Type};
use karman_api::mesos::v1::agent::response::{self, get_executors, get_frameworks};
use karman_api::mesos::v1::agent::{self, Call};
use karman_api::mesos::v1::{FileInfo, Flag, Metric, TimeInfo, VersionInfo};
use serde_json::Value;

use super::error::Error;
use super::{Shared, containers, executors, metrics, tasks};
use crate::drain::Drain;
use crate::driver::blocking;
use crate::files::{self, READ_BYTES_MAX};

/// `None` for calls that are not supported.
pub(super) async fn answer(shared: &Shared, call: Call) -> Result<Option<agent::Response>, Error> {
    let blank = |kind: response::Type| agent::Response {
        r#type: Some(kind.into()),
        ..agent::Response::default()
    };
    let settings = &shared.settings;
    Ok(Some(match call.r#type() {
        Type::GetHealth => agent::Response {
            get_health: Some(response::GetHealth { healthy: true }),
            ..blank(response::Type::GetHealth)
        },
        Type::GetFlags => {
            let flag = |(name, value): (String, Value)| Flag {
                name,
                value: value.as_str().map(ToOwned::to_owned),
            };
            agent::Response {
                get_flags: Some(response::GetFlags {
                    flags: settings.flags().into_iter().map(flag).collect(),
                }),
                ..blank(response::Type::GetFlags)
            }
        }
        Type::GetVersion => {
            let version_info =
                VersionInfo { version: settings.version.to_owned(), ..VersionInfo::default() };
            agent::Response {
                get_version: Some(response::GetVersion { version_info }),
                ..blank(response::Type::GetVersion)
            }
        }
        Type::GetMetrics => {
            let metric = |(name, value): (String, Value)| Metric { name, value: value.as_f64() };
            agent::Response {
                get_metrics: Some(response::GetMetrics {
                    metrics: metrics::all(shared).into_iter().map(metric).collect(),
                }),
                ..blank(response::Type::GetMetrics)
            }
        }
        Type::ListFiles => {
            list_files(shared, call.list_files, blank(response::Type::ListFiles)).await?
        }
        Type::ReadFile => {
            read_file(shared, call.read_file, blank(response::Type::ReadFile)).await?
        }
        Type::GetState => agent::Response {
            get_state: Some(response::GetState {
                get_tasks: Some(get_tasks(shared)),
                get_executors: Some(get_executors(shared)),
                get_frameworks: Some(get_frameworks(shared)),
            }),
            ..blank(response::Type::GetState)
        },
        Type::GetContainers => agent::Response {
            get_containers: Some(containers::get_containers(shared).await),
            ..blank(response::Type::GetContainers)
        },
        Type::GetFrameworks => agent::Response {
            get_frameworks: Some(get_frameworks(shared)),
            ..blank(response::Type::GetFrameworks)
        },
        Type::GetExecutors => agent::Response {
            get_executors: Some(get_executors(shared)),
            ..blank(response::Type::GetExecutors)
        },
        Type::GetTasks => agent::Response {
            get_tasks: Some(get_tasks(shared)),
            ..blank(response::Type::GetTasks)
        },
        Type::GetAgent => {
            let snapshot = shared.snapshot();
            let drain = snapshot.drain.as_ref();
            let since = |drain: &Drain| TimeInfo {
                nanoseconds: i64::try_from(drain.since_ms)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(1_000_000),
            };
            let get_agent = response::GetAgent {
                agent_info: Some(settings.agent_info(snapshot.agent_id.as_deref())),
                drain_config: drain.map(|drain| drain.config),
                estimated_drain_start_time: drain.map(since),
            };
            agent::Response { get_agent: Some(get_agent), ..blank(response::Type::GetAgent) }
        }
        // What operations make of resources is the master's business, and there are
        // no providers of resources but the agent itself.
        Type::GetOperations => agent::Response {
            get_operations: Some(response::GetOperations { operations: Vec::new() }),
            ..blank(response::Type::GetOperations)
        },
        Type::GetResourceProviders => agent::Response {
            get_resource_providers: Some(response::GetResourceProviders {
                resource_providers: Vec::new(),
            }),
            ..blank(response::Type::GetResourceProviders)
        },
        _ => return Ok(None),
    }))
}

async fn list_files(
    shared: &Shared,
    wanted: Option<ListFiles>,
    blank: agent::Response,
) -> Result<agent::Response, Error> {
    let (roots, path) = (shared.roots(), wanted.ok_or(Error::NoPath)?.path);
    let file_infos = blocking::<_, files::Error>(move || {
        let file = |info: files::Info| FileInfo {
            nlink: Some(info.nlink),
            size: Some(info.size),
            mtime: Some(TimeInfo { nanoseconds: info.modified_s.saturating_mul(1_000_000_000) }),
            mode: Some(info.mode),
            uid: Some(info.user()),
            gid: Some(info.group()),
            path: info.path,
        };
        Ok(roots.browse(&path)?.into_iter().map(file).collect())
    });
    Ok(agent::Response {
        list_files: Some(response::ListFiles { file_infos: file_infos.await? }),
        ..blank
    })
}

async fn read_file(
    shared: &Shared,
    wanted: Option<ReadFile>,
    blank: agent::Response,
) -> Result<agent::Response, Error> {
    let (roots, ReadFile { path, offset, length }) = (shared.roots(), wanted.ok_or(Error::NoPath)?);
    let read = blocking::<_, files::Error>(move || {
        roots.read(&path, offset, length.unwrap_or(READ_BYTES_MAX))
    });
    let (data, size) = read.await?;
    Ok(agent::Response { read_file: Some(response::ReadFile { size, data: data.into() }), ..blank })
}

fn get_tasks(shared: &Shared) -> response::GetTasks {
    let snapshot = shared.snapshot();
    let mut all = response::GetTasks::default();
    for view in snapshot.containers.values() {
        let list = if tasks::has_ended(view) {
            &mut all.terminated_tasks
        } else if snapshot.is_queued(view) {
            &mut all.queued_tasks
        } else {
            &mut all.launched_tasks
        };
        list.push(tasks::operator(view));
    }
    all.completed_tasks = snapshot.completed.iter().map(|view| tasks::operator(view)).collect();
    all
}

fn get_executors(shared: &Shared) -> response::GetExecutors {
    let snapshot = shared.snapshot();
    let (live, done) = executors::executors(&snapshot);
    let executor =
        |it: &executors::Executor<'_>| get_executors::Executor { executor_info: it.info() };
    response::GetExecutors {
        executors: live.iter().map(executor).collect(),
        completed_executors: done.iter().map(executor).collect(),
    }
}

fn get_frameworks(shared: &Shared) -> response::GetFrameworks {
    let snapshot = shared.snapshot();
    let framework = |info: &karman_api::mesos::v1::FrameworkInfo| get_frameworks::Framework {
        framework_info: info.clone(),
    };
    let mut completed = std::collections::BTreeMap::new();
    for view in &snapshot.completed {
        if !snapshot.frameworks.contains_key(&view.record.framework_id) {
            completed.insert(view.record.framework_id.as_str(), framework(&view.framework));
        }
    }
    response::GetFrameworks {
        frameworks: snapshot.frameworks.values().map(|info| framework(info)).collect(),
        completed_frameworks: completed.into_values().collect(),
    }
}
