//! Which endpoint a path means, and who may use it.

use super::auth::Realm;
use super::files::File;
use super::legacy::Read;
use super::legacy::forms::Form;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Scheduler,
    Operator,
    Discovery,
    ExplainOffers,
    ConstraintsDebug,
    Metrics,
    Prometheus,
    Read(Read),
    Redirect,
    Form(Form),
    Quota,
    Weights,
    Schedule,
    MaintenanceStatus,
    MachineDown,
    MachineUp,
    LoggingToggle,
    Files(File),
}

/// Longer names before their prefixes.
const ENDPOINTS: &[(&str, Endpoint)] = &[
    ("api/v1/scheduler", Endpoint::Scheduler),
    ("api/v1", Endpoint::Operator),
    ("karman/v1/discovery", Endpoint::Discovery),
    ("karman/v1/explain/offers", Endpoint::ExplainOffers),
    ("metrics/snapshot", Endpoint::Metrics),
    ("metrics/prometheus", Endpoint::Prometheus),
    ("state-summary", Endpoint::Read(Read::StateSummary)),
    ("state", Endpoint::Read(Read::State)),
    ("slaves", Endpoint::Read(Read::Slaves)),
    ("frameworks", Endpoint::Read(Read::Frameworks)),
    ("tasks", Endpoint::Read(Read::Tasks)),
    ("roles", Endpoint::Read(Read::Roles)),
    ("version", Endpoint::Read(Read::Version)),
    ("health", Endpoint::Read(Read::Health)),
    ("flags", Endpoint::Read(Read::Flags)),
    ("redirect", Endpoint::Redirect),
    ("quota", Endpoint::Quota),
    ("weights", Endpoint::Weights),
    ("maintenance/schedule", Endpoint::Schedule),
    ("maintenance/status", Endpoint::MaintenanceStatus),
    ("machine/down", Endpoint::MachineDown),
    ("machine/up", Endpoint::MachineUp),
    ("reserve", Endpoint::Form(Form::Reserve)),
    ("unreserve", Endpoint::Form(Form::Unreserve)),
    ("create-volumes", Endpoint::Form(Form::CreateVolumes)),
    ("destroy-volumes", Endpoint::Form(Form::DestroyVolumes)),
    ("teardown", Endpoint::Form(Form::Teardown)),
    ("logging/toggle", Endpoint::LoggingToggle),
    ("files/browse", Endpoint::Files(File::Browse)),
    ("files/read", Endpoint::Files(File::Read)),
    ("files/download", Endpoint::Files(File::Download)),
    ("files/debug", Endpoint::Files(File::Debug)),
];

/// Mesos names it after the process of its allocator, with a number that is
/// encoded by some clients.
const ALLOCATORS: [&str; 4] = [
    "allocator",
    "hierarchical-allocator",
    "hierarchical-allocator(1)",
    "hierarchical-allocator%281%29",
];

impl Endpoint {
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("master/").unwrap_or(path);
        if let Some((allocator, rest)) = path.split_once('/')
            && ALLOCATORS.contains(&allocator)
        {
            let is_known = rest.trim_end_matches('/') == "offer_constraints_debug";
            return is_known.then_some(Self::ConstraintsDebug);
        }
        let is_at = |name: &str| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".json")
        };
        ENDPOINTS.iter().find(|(name, _)| is_at(name)).map(|(_, endpoint)| *endpoint)
    }

    /// `None`: open to everybody.
    pub(super) const fn realm(self) -> Option<Realm> {
        match self {
            Self::Scheduler => Some(Realm::Scheduler),
            Self::Operator
            | Self::Form(_)
            | Self::Quota
            | Self::Weights
            | Self::Schedule
            | Self::MaintenanceStatus
            | Self::MachineDown
            | Self::MachineUp
            | Self::LoggingToggle => Some(Realm::ReadWrite),
            // Found by whoever needs it to find out where to log in.
            Self::Read(Read::Health | Read::Version) | Self::Redirect => None,
            Self::Discovery
            | Self::ExplainOffers
            | Self::ConstraintsDebug
            | Self::Metrics
            | Self::Prometheus
            | Self::Read(_)
            | Self::Files(_) => Some(Realm::ReadOnly),
        }
    }

    /// Answered by masters that do not lead, too: what is about this process, and
    /// what is passed on.
    pub(super) const fn is_local(self) -> bool {
        match self {
            Self::Metrics
            | Self::Prometheus
            | Self::Read(Read::Health | Read::Version | Read::Flags)
            | Self::LoggingToggle
            | Self::Discovery
            | Self::Files(_) => true,
            Self::Scheduler
            | Self::Operator
            | Self::ExplainOffers
            | Self::ConstraintsDebug
            | Self::Read(_)
            | Self::Redirect
            | Self::Form(_)
            | Self::Quota
            | Self::Weights
            | Self::Schedule
            | Self::MaintenanceStatus
            | Self::MachineDown
            | Self::MachineUp => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_as_mesos_does() {
        let state = Some(Endpoint::Read(Read::State));
        for path in [
            "/state",
            "/master/state",
            "/state.json",
            "/master/state.json",
            "/master/state/",
            "/state/x",
        ] {
            assert_eq!(Endpoint::of(path), state, "{path}");
        }
        assert_eq!(Endpoint::of("/master/api/v1/scheduler"), Some(Endpoint::Scheduler));
        assert_eq!(Endpoint::of("/api/v1/operator"), Some(Endpoint::Operator));
        assert_eq!(Endpoint::of("/state-summary"), Some(Endpoint::Read(Read::StateSummary)));
        assert_eq!(Endpoint::of("/files/read.json"), Some(Endpoint::Files(File::Read)));
        assert_eq!(Endpoint::of("/master/machine/down"), Some(Endpoint::MachineDown));
        for path in [
            "/allocator/offer_constraints_debug",
            "/hierarchical-allocator(1)/offer_constraints_debug",
            "/hierarchical-allocator%281%29/offer_constraints_debug/",
        ] {
            assert_eq!(Endpoint::of(path), Some(Endpoint::ConstraintsDebug), "{path}");
        }
        for path in
            ["/", "/stateful", "/mastery/state", "/api", "/files", "/machine", "/allocator/x"]
        {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
    }
}
