//! What stays the same while an agent runs.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use karman_api::convert::{Format, attributes_to_wire, resources_to_wire};
use karman_api::mesos::v1::agent_info::Capability;
use karman_api::mesos::v1::agent_info::capability::Type;
use karman_api::mesos::v1::{AgentId, AgentInfo};
use karman_image::{Fetcher, Store};
use karman_model::attribute::Attributes;
use karman_model::resource::Resources;

use crate::cgroup::Hierarchy;
use crate::domain::FaultDomain;
use crate::executors::Patience;
use crate::shim::records::RunDir;

/// Where commands are searched if the agent itself has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A folder of the kernel's that is on no disk.
const SECRETS: &str = "/run/karman/secrets";

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) work_dir: PathBuf,
    pub(crate) hostname: String,
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    /// Where the agent answers to its own machine.
    pub(crate) door: SocketAddr,
    pub(crate) resources: Resources,
    pub(crate) attributes: Attributes,
    pub(crate) domain: Option<FaultDomain>,
    pub(crate) shim: PathBuf,
    pub(crate) fetcher: Fetcher,
    pub(crate) executors: Patience,
    pub(crate) version: &'static str,
    pub(crate) boot_id: String,
    pub(crate) hierarchy: Option<Hierarchy>,
    /// Whether this process may become other users.
    pub(crate) root: bool,
    /// The `PATH` of tasks that set none.
    pub(crate) path: String,
    pub(crate) started_ms: u64,
    /// What of the machine tasks must not see.
    pub(crate) hidden: Vec<PathBuf>,
    /// Absent where this process cannot stack images.
    pub(crate) images: Option<Store>,
}

impl Settings {
    pub(crate) fn path_of_agent() -> String {
        std::env::var("PATH")
            .ok()
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| PATH_DEFAULT.into())
    }

    /// Where this agent answers.
    pub(crate) fn endpoint(&self) -> String {
        SocketAddr::new(self.ip, self.port).to_string()
    }

    /// In the notation of the original's actors.
    pub(crate) fn pid(&self) -> String {
        format!("slave(1)@{}", self.endpoint())
    }

    pub(crate) fn agent_info(&self, id: Option<&str>) -> AgentInfo {
        AgentInfo {
            hostname: self.hostname.clone(),
            port: Some(i32::from(self.port)),
            resources: resources_to_wire(&self.resources, Format::Refined),
            attributes: attributes_to_wire(&self.attributes),
            id: id.map(|value| AgentId { value: value.to_owned() }),
            domain: self.domain.as_ref().map(FaultDomain::to_wire),
        }
    }

    /// What `/flags` shows.
    pub(crate) fn flags(&self) -> serde_json::Map<String, serde_json::Value> {
        let text = |text: String| serde_json::Value::String(text);
        [
            ("attributes", self.attributes.to_string()),
            ("domain", self.domain.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("hostname", self.hostname.clone()),
            ("ip", self.ip.to_string()),
            (
                "isolation",
                if self.hierarchy.is_some() {
                    "cgroups/cpu,cgroups/mem".into()
                } else {
                    String::new()
                },
            ),
            ("port", self.port.to_string()),
            ("resources", self.resources.to_string()),
            ("switch_user", self.root.to_string()),
            ("work_dir", self.work_dir.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), text(value)))
        .into_iter()
        .collect()
    }

    /// What a container writes into the files of its image.
    pub(crate) fn files(&self, container_id: &str) -> PathBuf {
        self.all_files().join(container_id)
    }

    pub(crate) fn all_files(&self) -> PathBuf {
        self.work_dir.join("rootfs")
    }

    /// The secrets of a container, in memory only.
    pub(crate) fn secrets(&self, container_id: &str) -> PathBuf {
        self.all_secrets().join(container_id)
    }

    /// Other agents of the machine have other work folders.
    pub(crate) fn all_secrets(&self) -> PathBuf {
        let own = self.work_dir.to_string_lossy().replace('/', "-");
        Path::new(SECRETS).join(own.trim_start_matches('-'))
    }

    /// Checkpoints of one agent id.
    pub(crate) fn meta(&self, agent_id: &str) -> PathBuf {
        self.work_dir.join("meta/slaves").join(agent_id)
    }

    /// The checkpoints of one container.
    pub(crate) fn run_dir(&self, agent_id: &str, container_id: &str) -> RunDir {
        RunDir::new(self.meta(agent_id).join("runs").join(container_id))
    }

    /// The checkpoints of one container that an operator started inside of another.
    pub(crate) fn nested_dir(&self, agent_id: &str, container_id: &str) -> RunDir {
        RunDir::new(self.meta(agent_id).join("nested").join(container_id))
    }

    /// The checkpoints of one executor that its framework brought along.
    pub(crate) fn executor_dir(&self, agent_id: &str, container_id: &str) -> RunDir {
        RunDir::new(self.meta(agent_id).join("executors").join(container_id))
    }
}

/// What this agent can do beyond the least.
const CAPABILITIES: [Type; 7] = [
    Type::MultiRole,
    Type::HierarchicalRole,
    Type::ReservationRefinement,
    Type::ResizeVolume,
    Type::AgentOperationFeedback,
    Type::AgentDraining,
    Type::TaskResourceLimits,
];

pub(crate) fn capabilities() -> Vec<Capability> {
    CAPABILITIES.map(|kind| Capability { r#type: Some(kind.into()) }).to_vec()
}

pub(crate) fn capability_names() -> [&'static str; CAPABILITIES.len()] {
    CAPABILITIES.map(|kind| kind.as_str_name())
}
