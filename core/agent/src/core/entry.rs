//! One container as the agent keeps it.

use std::sync::Arc;

use karman_api::mesos::v1::FrameworkInfo;
use karman_api::mesos::v1::framework_info::capability::Type;
use karman_model::resource::Resources;
use tokio_util::sync::CancellationToken;

use super::status;
use crate::admit::{self, Plan};
use crate::cgroup::Group;
use crate::driver::{Job, Parent};
use crate::lifecycle::{Container, Traits};
use crate::meta::Record;
use crate::shim::records::RunDir;
use crate::updates::Stream;
use crate::view::View;
use crate::volumes::{self, Volume};

/// Everything about a container until its end is acknowledged.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) record: Arc<Record>,
    pub(super) run: RunDir,
    pub(super) group: Option<Group>,
    pub(super) machine: Container,
    pub(super) updates: Stream,
    /// Lines written since its updates were last looked through.
    pub(super) lines: usize,
    /// As what it runs; absent if it was refused.
    pub(super) plan: Option<Arc<Plan>>,
    /// What it takes from the agent, as it is counted.
    pub(super) resources: Resources,
    pub(super) volumes: Vec<Volume>,
    /// Whether it takes anything: what is refused never does.
    pub(super) counted: bool,
    /// Its framework is gone: nobody wants to hear.
    pub(super) silent: bool,
    /// Cancelled when it is to stop.
    pub(super) stop: CancellationToken,
    /// Cancelled when it has ended.
    pub(super) over: CancellationToken,
    /// What others see; made anew with each change.
    pub(super) view: Arc<View>,
}

impl Entry {
    pub(super) fn new(
        record: Record,
        run: RunDir,
        group: Option<Group>,
        plan: Option<Plan>,
        framework: &Arc<FrameworkInfo>,
    ) -> Self {
        let record = Arc::new(record);
        let mut view = View::new(Arc::clone(&record), Arc::clone(framework), group.clone());
        view.check = record.task.check.as_ref().map(|info| status::check(info, None));
        let memory = plan.as_ref().and_then(|plan| plan.limits.memory_bytes);
        let mut traits = traits(framework, memory);
        // Its executor says so itself.
        traits.reports_killing &= !record.is_hosted();
        Self {
            view: Arc::new(view),
            machine: Container::new(traits),
            resources: Resources::EMPTY,
            volumes: Vec::new(),
            counted: false,
            record,
            run,
            group,
            plan: plan.map(Arc::new),
            updates: Stream::default(),
            lines: 0,
            silent: false,
            stop: CancellationToken::new(),
            over: CancellationToken::new(),
        }
    }

    /// From now on it takes what it asks for.
    pub(super) fn count(&mut self) {
        let uses = admit::resources(&self.record.task).unwrap_or_default();
        let volumes = volumes::uses(&uses).unwrap_or_default();
        self.volumes = volumes.into_iter().map(|used| used.volume).collect();
        self.resources = admit::countable(&uses);
        self.counted = true;
    }

    pub(super) fn job(&self) -> Job {
        Job {
            container_id: self.record.container_id.clone(),
            run: self.run.clone(),
            sandbox: self.record.sandbox.clone(),
            parent: self.record.member.as_ref().map(|member| Parent {
                group: member.group.clone().unwrap_or_default(),
                sandbox: member.sandbox.clone(),
                task_id: self.record.task.task_id.value.clone(),
            }),
            group: self.group.clone(),
            stop: self.stop.clone(),
        }
    }

    pub(super) fn key(&self) -> (String, String) {
        (self.record.framework_id.clone(), self.record.task.task_id.value.clone())
    }

    pub(super) fn view_mut(&mut self) -> &mut View {
        Arc::make_mut(&mut self.view)
    }

    pub(super) fn grace_ms(&self) -> u64 {
        admit::grace_ms(&self.record.task)
    }
}

/// What a container needs to know of its framework and its own limits.
fn traits(framework: &FrameworkInfo, memory_limit_bytes: Option<u64>) -> Traits {
    let capable = |wanted: Type| {
        framework.capabilities.iter().any(|capability| capability.r#type() == wanted)
    };
    Traits {
        reports_killing: capable(Type::TaskKillingState),
        partition_aware: capable(Type::PartitionAware),
        memory_limit_bytes,
    }
}
