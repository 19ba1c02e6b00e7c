//! The `master` section of the configuration file.

use std::time::Duration;

use karman_agent::FaultDomain;
use karman_master::ledger::{CallRate, Rate, RateLimits, Settings};
use karman_rt::config::Shape;

use crate::reader::Reader;

/// The keys of the section.
pub(super) const SHAPE: Shape = Shape::Map(&[
    ("offer_timeout_secs", Shape::Number),
    ("agent_ping_secs", Shape::Number),
    ("agent_pings_missed", Shape::Number),
    ("agent_reregister_secs", Shape::Number),
    ("agent_removal_rate", Shape::Text),
    ("fault_domain", Shape::Text),
    ("rate_limits", Shape::List),
    ("credentials", Shape::Text),
    ("authenticate", Shape::List),
    ("completed_tasks_max", Shape::Number),
    ("completed_frameworks_max", Shape::Number),
    ("min_allocatable", Shape::Text),
]);

const DAY: u64 = 24 * 3600;
/// Each costs some hundred bytes, and readers of `/state` more.
const COMPLETED_MAX: u64 = 1_000_000;

/// `agents`: where they stand, unless the master is said to stand elsewhere; all
/// of them are on this machine.
pub(super) fn read(file: &mut Reader<'_>, agents: &[FaultDomain]) -> Settings {
    let default = Settings::default();
    let mut secs = |key: &str, min: u64, default: Duration| {
        file.number(key, min, DAY).map_or(default, Duration::from_secs)
    };
    let offer_timeout = secs("master.offer_timeout_secs", 1, default.offer_timeout);
    let ping_interval = secs("master.agent_ping_secs", 1, default.ping_interval);
    let agent_reregister_timeout =
        secs("master.agent_reregister_secs", 1, default.agent_reregister_timeout);
    let mut kept = |key: &str, default: usize| {
        let number = file.number(key, 0, COMPLETED_MAX);
        number.and_then(|it| usize::try_from(it).ok()).unwrap_or(default)
    };
    let completed_tasks_max = kept("master.completed_tasks_max", default.completed_tasks_max);
    let completed_frameworks_max =
        kept("master.completed_frameworks_max", default.completed_frameworks_max);
    let missed = file.number("master.agent_pings_missed", 1, 1000);
    Settings {
        offer_timeout,
        ping_interval,
        pings_missed_max: missed
            .and_then(|missed| u32::try_from(missed).ok())
            .unwrap_or(default.pings_missed_max),
        agent_reregister_timeout,
        agent_removal_rate: removal_rate(file),
        domain: domain(file).or_else(|| agents.first().cloned()).map(|it| it.to_wire()),
        rate_limits: rate_limits(file),
        completed_tasks_max,
        completed_frameworks_max,
        ..min_allocatable(file, default)
    }
}

fn removal_rate(file: &mut Reader<'_>) -> Option<Rate> {
    let key = "master.agent_removal_rate";
    let rate: Result<Rate, _> = file.text(key)?.parse();
    rate.map_err(|error| file.mistake(key, error.to_string())).ok()
}

fn min_allocatable(file: &mut Reader<'_>, default: Settings) -> Settings {
    let key = "master.min_allocatable";
    let Some(text) = file.text(key) else { return default };
    default.with_min_allocatable(&text).unwrap_or_else(|error| {
        file.mistake(key, error.to_string());
        Settings::default()
    })
}

fn domain(file: &mut Reader<'_>) -> Option<FaultDomain> {
    let key = "master.fault_domain";
    let domain: Result<FaultDomain, karman_agent::DomainError> = file.text(key)?.parse();
    domain.map_err(|error| file.mistake(key, error.to_string())).ok()
}

/// `marathon=100/1secs` or `marathon=100/1secs;500`, with the calls that may wait;
/// the principal `*` is everybody who is not named.
fn rate_limits(file: &mut Reader<'_>) -> RateLimits {
    let key = "master.rate_limits";
    let mut limits = RateLimits::default();
    for text in file.texts(key).unwrap_or_default() {
        let Some((principal, rate)) = text.split_once('=') else {
            file.mistake(key, format!("'{text}' is not written like principal=100/1secs"));
            continue;
        };
        let (rate, capacity) = match rate.split_once(';') {
            None => (rate, None),
            Some((rate, waiting)) => match waiting.trim().parse() {
                Ok(waiting) => (rate, Some(waiting)),
                Err(_) => {
                    let problem = format!("'{waiting}' is not a number of calls that may wait");
                    file.mistake(key, problem);
                    continue;
                }
            },
        };
        let rate: Rate = match rate.parse() {
            Ok(rate) => rate,
            Err(error) => {
                file.mistake(key, error.to_string());
                continue;
            }
        };
        let per_second = f64::from(rate.count) / rate.per.as_secs_f64();
        let rate = CallRate { per_second: Some(per_second), capacity };
        match principal.trim() {
            "*" => limits.others = rate,
            name => {
                limits.principals.insert(name.to_owned(), rate);
            }
        }
    }
    limits
}
