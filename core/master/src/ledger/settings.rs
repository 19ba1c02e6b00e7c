//! What an admin decides once about the master.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use karman_allocator::Allocator;
use karman_api::mesos::v1;
use karman_model::quantity::Quantity;

/// How the master behaves; [`Settings::default`] is right for most.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// An offer that is not answered is taken back, so that nobody hoards a
    /// cluster.
    pub offer_timeout: Duration,
    /// Between two pings of an agent.
    pub ping_interval: Duration,
    /// An agent that leaves so many pings in a row unanswered is unreachable.
    pub pings_missed_max: u32,
    /// Agents that were there when a master stopped are awaited for so long by
    /// the next one.
    pub agent_reregister_timeout: Duration,
    /// So many agents are given up in so much time; all at once, if absent. A
    /// network that breaks in the middle must not cost a datacenter its tasks.
    pub agent_removal_rate: Option<Rate>,
    /// The region and zone of the master; agents elsewhere are remote.
    pub domain: Option<v1::DomainInfo>,
    /// What is worth an offer to frameworks that do not say: any of these.
    pub min_allocatable: Vec<BTreeMap<String, Quantity>>,
    /// The finished tasks of a framework that are remembered.
    pub completed_tasks_max: usize,
    /// The removed frameworks that are remembered with their tasks.
    pub completed_frameworks_max: usize,
    /// Calls of frameworks, by principal.
    pub rate_limits: RateLimits,
}

impl Default for Settings {
    fn default() -> Self {
        let least = |name: &str, amount| BTreeMap::from([(name.to_owned(), amount)]);
        Self {
            offer_timeout: Duration::from_secs(120),
            ping_interval: Duration::from_secs(15),
            pings_missed_max: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            agent_removal_rate: None,
            domain: None,
            min_allocatable: vec![
                least("cpus", Quantity::from_thousandths(10)),
                least("mem", Quantity::from_units(32)),
            ],
            completed_tasks_max: 1000,
            completed_frameworks_max: 50,
            rate_limits: RateLimits::default(),
        }
    }
}

/// Why a text does not say what is worth an offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not written like cpus:0.01|mem:32, with ';' between what must all be there")]
pub struct MinimumError(String);

impl Settings {
    /// The same with another `min_allocatable`, as `cpus:0.01|mem:32`: any of the
    /// alternatives between the bars, all that semicolons join.
    pub fn with_min_allocatable(self, text: &str) -> Result<Self, MinimumError> {
        let amount = |part: &str| {
            let (name, amount) = part.split_once(':')?;
            let amount = Quantity::from_f64(amount.trim().parse().ok()?).ok();
            let amount = amount.filter(|it| *it > Quantity::ZERO)?;
            (!name.trim().is_empty()).then(|| (name.trim().to_owned(), amount))
        };
        let alternative = |text: &str| text.split(';').map(amount).collect();
        let all: Option<Vec<_>> = text.split('|').map(alternative).collect();
        let min_allocatable = all.ok_or_else(|| MinimumError(text.to_owned()))?;
        Ok(Self { min_allocatable, ..self })
    }

    /// An allocator that knows the master's region and what is worth an offer.
    pub(super) fn allocator(&self) -> Allocator {
        let mut allocator = Allocator::default();
        let domain = self.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
        allocator.set_home_region(domain.map(|domain| domain.region.name.clone()));
        allocator.set_least(self.min_allocatable.clone());
        allocator
    }

    /// How long an agent may be silent before it is given up; as long it waits
    /// for a ping before it looks for another master.
    pub fn silence_max(&self) -> Duration {
        self.ping_interval * self.pings_missed_max
    }
}

/// How many calls a second are let in; who is not named falls under `others`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimits {
    pub principals: BTreeMap<String, CallRate>,
    pub others: CallRate,
}

impl RateLimits {
    pub fn of(&self, principal: Option<&str>) -> CallRate {
        principal.and_then(|it| self.principals.get(it)).copied().unwrap_or(self.others)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallRate {
    /// Absent: as many as come.
    pub per_second: Option<f64>,
    /// Calls that may wait; absent: as many as come.
    pub capacity: Option<u64>,
}

/// So many in so much time, evenly: `100/1mins`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a rate like 100/1mins: a number above zero, a slash, a duration")]
pub struct RateError(String);

/// The units of durations as Mesos writes them, in milliseconds.
const UNITS: &[(&str, f64)] = &[
    ("ms", 1.0),
    ("secs", 1e3),
    ("mins", 6e4),
    ("hrs", 3.6e6),
    ("days", 8.64e7),
    ("weeks", 6.048e8),
];

impl Rate {
    /// The time between two of them.
    pub fn interval(self) -> Duration {
        self.per / self.count
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let parts = || {
            let (count, per) = text.split_once('/')?;
            let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
            let per = per.trim();
            let (unit, factor) = UNITS.iter().find(|(unit, _)| per.ends_with(unit))?;
            let amount: f64 = per.strip_suffix(unit)?.trim().parse().ok()?;
            let per = Duration::try_from_secs_f64(amount * factor / 1000.0).ok()?;
            (!per.is_zero()).then_some(Self { count, per })
        };
        parts().ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}secs", self.count, self.per.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_mesos_writes_them() {
        for (text, count, secs) in
            [("100/1mins", 100, 60.0), ("1/0.5secs", 1, 0.5), ("20 / 2 hrs", 20, 7200.0)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate, Rate { count, per: Duration::from_secs_f64(secs) }, "{text}");
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        assert_eq!("100/1mins".parse::<Rate>().unwrap().interval(), Duration::from_millis(600));
        for text in
            ["", "1", "0/1mins", "-1/1mins", "1/mins", "1/5", "1/-5secs", "1/0secs", "x/1mins"]
        {
            assert_eq!(text.parse::<Rate>(), Err(RateError(text.to_owned())));
        }
    }

    #[test]
    fn what_is_worth_an_offer_is_read() {
        let read = |text: &str| Settings::default().with_min_allocatable(text);
        assert_eq!(read("cpus:0.01|mem:32"), Ok(Settings::default()));
        let several = read("cpus:0.5; mem:32 ;ports:1|gpus:1").unwrap().min_allocatable;
        assert_eq!(several.iter().map(BTreeMap::len).collect::<Vec<_>>(), [3, 1]);
        for text in ["", "cpus", "cpus:x", "cpus:-1", ":1", "cpus:1|", "cpus:1;;mem:1"] {
            assert_eq!(read(text), Err(MinimumError(text.to_owned())));
        }
    }

    #[test]
    fn who_is_not_named_falls_under_the_others() {
        let rate = |per_second| CallRate { per_second: Some(per_second), capacity: None };
        let limits = RateLimits {
            principals: BTreeMap::from([("marathon".to_owned(), rate(100.0))]),
            others: rate(1.0),
        };
        assert_eq!(limits.of(Some("marathon")), rate(100.0));
        assert_eq!(limits.of(Some("spark")), rate(1.0));
        assert_eq!(limits.of(None), rate(1.0));
    }
}
