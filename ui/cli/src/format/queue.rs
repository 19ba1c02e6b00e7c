//! What waits to be launched, and why. Pure.
#![deny(clippy::disallowed_methods)]

use serde_json::Value;

use super::document::{flag, integer, list, number, plain, text};
use super::{app, count, fields, number as show, or_dash, shorten, table, time};

const REASON_WIDTH: usize = 60;

/// The id of the app or pod that a queue item is about.
pub fn id(item: &Value) -> &str {
    match text(item, "/app/id") {
        "" => text(item, "/pod/id"),
        id => id,
    }
}

/// The item of one app, if it waits.
pub fn item<'a>(queue: &'a Value, app: &str) -> Option<&'a Value> {
    list(queue, "/queue").iter().find(|item| id(item) == app)
}

/// One word for a table: does this app wait, and for how long yet?
pub fn waiting(queue: &Value, app: &str) -> String {
    match item(queue, app) {
        None => "-".to_owned(),
        Some(item) if delayed(item) => format!("{}s", integer(item, "/delay/timeLeftSeconds")),
        Some(_) => "yes".to_owned(),
    }
}

fn delayed(item: &Value) -> bool {
    !flag(item, "/delay/overdue") && integer(item, "/delay/timeLeftSeconds") > 0
}

/// One line per waiting app.
pub fn items(queue: &Value, now_ms: i64) -> String {
    let items = list(queue, "/queue");
    if items.is_empty() {
        return "nothing waits to be launched\n".to_owned();
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            vec![
                id(item).to_owned(),
                integer(item, "/count").to_string(),
                time::ago(now_ms, text(item, "/since")),
                integer(item, "/processedOffersSummary/processedOffersCount").to_string(),
                integer(item, "/processedOffersSummary/unusedOffersCount").to_string(),
                shorten(&reason(item), REASON_WIDTH),
            ]
        })
        .collect();
    table(&["ID", "INSTANCES", "SINCE", "OFFERS", "UNUSED", "REASON"], &rows)
}

/// The one sentence that answers "why is it pending?".
pub fn reason(item: &Value) -> String {
    if delayed(item) {
        return format!("waits {} after failures", time::duration(delay_ms(item)));
    }
    let funnel = refusals(item);
    if let Some((name, declined, _)) = funnel.iter().max_by_key(|(_, declined, _)| *declined)
        && *declined > 0
    {
        let offers: u64 =
            funnel.iter().map(|(_, _, processed)| *processed).max().unwrap_or(*declined);
        return format!(
            "{} on {declined} of {}",
            describe(name),
            count(offers.max(*declined), "offer")
        );
    }
    if integer(item, "/processedOffersSummary/processedOffersCount") == 0 {
        return "no offer has arrived yet".to_owned();
    }
    "waits for the next offer".to_owned()
}

fn delay_ms(item: &Value) -> i64 {
    i64::try_from(integer(item, "/delay/timeLeftSeconds"))
        .unwrap_or(i64::MAX / 1000)
        .saturating_mul(1000)
}

fn refusals(item: &Value) -> Vec<(&str, u64, u64)> {
    let summary = "/processedOffersSummary";
    let mut reasons = list(item, &format!("{summary}/rejectSummaryLastOffers"));
    if reasons.is_empty() {
        reasons = list(item, &format!("{summary}/rejectSummaryLaunchAttempt"));
    }
    reasons
        .iter()
        .map(|entry| {
            (text(entry, "/reason"), integer(entry, "/declined"), integer(entry, "/processed"))
        })
        .collect()
}

fn describe(reason: &str) -> String {
    let known = match reason {
        "UnfulfilledRole" => "role not accepted",
        "UnfulfilledConstraint" => "constraints not met",
        "NoCorrespondingReservationFound" => "no matching reservation",
        "AgentMaintenance" => "agent in maintenance",
        "InsufficientCpus" => "not enough cpus",
        "InsufficientMemory" => "not enough memory",
        "InsufficientDisk" => "not enough disk",
        "InsufficientGpus" => "not enough gpus",
        "InsufficientPorts" => "not enough free ports",
        "DeclinedScarceResources" => "agent with gpus is kept for apps that use them",
        other => other,
    };
    known.to_owned()
}

/// What was looked at when an offer was refused for this reason.
fn check(reason: &str) -> &str {
    match reason {
        "UnfulfilledRole" => "role",
        "UnfulfilledConstraint" => "constraints",
        "NoCorrespondingReservationFound" => "reservation",
        "AgentMaintenance" => "maintenance",
        "InsufficientCpus" => "cpus",
        "InsufficientMemory" => "memory",
        "InsufficientDisk" => "disk",
        "InsufficientGpus" => "gpus",
        "InsufficientPorts" => "ports",
        "DeclinedScarceResources" => "scarce resources",
        other => other,
    }
}

/// What a reason compares against: the request of the app.
fn requested(reason: &str, app: &Value) -> String {
    let amount = |pointer: &str, unit: &str| format!("{}{unit}", show(number(app, pointer)));
    match reason {
        "InsufficientCpus" => amount("/cpus", ""),
        "InsufficientMemory" => amount("/mem", " MiB"),
        "InsufficientDisk" => amount("/disk", " MiB"),
        "InsufficientGpus" => amount("/gpus", ""),
        "InsufficientPorts" => count(list(app, "/portDefinitions").len() as u64, "port"),
        "UnfulfilledConstraint" => {
            list(app, "/constraints").iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        "UnfulfilledRole" => {
            list(app, "/acceptedResourceRoles").iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// Why one app waits: the sentence, its last failure, and each step of the
/// comparison of offers with its request. `waiting` is `None` if it does not.
pub fn summary(spec: &Value, waiting: Option<&Value>, now_ms: i64) -> String {
    let mut pairs = vec![("app", text(spec, "/id").to_owned()), ("state", app::state(spec))];
    match waiting {
        None => pairs.push(("pending", "no: nothing of this app waits to be launched".to_owned())),
        Some(item) => {
            pairs.push((
                "pending",
                format!(
                    "{} since {}: {}",
                    count(integer(item, "/count"), "instance"),
                    time::ago(now_ms, text(item, "/since")),
                    reason(item)
                ),
            ));
        }
    }
    if let Some(failure) = app::last_failure(spec, now_ms) {
        pairs.push(("last failure", failure));
    }
    let mut out = fields(&pairs);
    let funnel = waiting.map(refusals).unwrap_or_default();
    if !funnel.is_empty() {
        let rows: Vec<Vec<String>> = funnel
            .iter()
            .map(|(name, declined, processed)| {
                vec![
                    check(name).to_owned(),
                    or_dash(requested(name, spec)),
                    processed.saturating_sub(*declined).to_string(),
                    declined.to_string(),
                ]
            })
            .collect();
        out.push('\n');
        out.push_str(&table(&["CHECK", "REQUESTED", "PASSED", "FAILED"], &rows));
    }
    out
}

/// The last offers that were not used, and what each lacked.
pub fn details(item: &Value, now_ms: i64) -> String {
    let offers = list(item, "/lastUnusedOffers");
    if offers.is_empty() {
        return format!("{}: {}\n", id(item), reason(item));
    }
    let rows: Vec<Vec<String>> = offers
        .iter()
        .map(|unused| {
            let reasons: Vec<String> =
                list(unused, "/reason").iter().map(|reason| describe(&plain(reason))).collect();
            vec![
                text(unused, "/offer/hostname").to_owned(),
                time::ago(now_ms, text(unused, "/timestamp")),
                reasons.join(", "),
                resources(list(unused, "/offer/resources")),
            ]
        })
        .collect();
    table(&["HOST", "OFFERED", "REFUSED FOR", "RESOURCES"], &rows)
}

fn resources(resources: &[Value]) -> String {
    let scalars: Vec<String> = resources
        .iter()
        .filter(|resource| resource.get("scalar").is_some_and(Value::is_number))
        .map(|resource| {
            format!("{}:{}", text(resource, "/name"), show(number(resource, "/scalar")))
        })
        .collect();
    or_dash(scalars.join(" "))
}
