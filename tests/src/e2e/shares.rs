//! Weights and quotas, as frameworks feel them that want everything.

use serde_json::{Value, json};
use tokio::time::timeout;

use super::greedy::{Greedy, amount};
use crate::datacenter::{AGENT, Datacenter, Options};
use crate::eventually::eventually;
use crate::scheduler::{LIMIT, Scheduler};

/// Of each agent.
const CPUS: u32 = AGENT[0].1;
const AGENTS: u32 = 4;

async fn datacenter(agents: u32) -> Datacenter {
    Datacenter::with(Options { agents, ..Options::default() }).await
}

/// The cpus that the tasks of a role use, as the master shows it.
async fn allocated(dc: &Datacenter, role: &str) -> f64 {
    let roles = dc.master().get("/roles").await.expect(200);
    let all = roles["roles"].as_array().expect("a list");
    let found = all.iter().find(|it| it["name"] == role);
    found.and_then(|it| it["allocated"]["cpus"].as_f64()).unwrap_or_default()
}

/// Lets both do what they want until `done`.
async fn play(one: &mut Greedy, other: &mut Greedy, done: impl Fn(&Greedy, &Greedy) -> bool) {
    let play = async {
        while !done(one, other) {
            tokio::select! {
                event = one.scheduler.event() => one.handle(event).await,
                event = other.scheduler.event() => other.handle(event).await,
            }
        }
    };
    let played = timeout(LIMIT, play).await;
    assert!(played.is_ok(), "{} and {} tasks", one.tasks.len(), other.tasks.len());
}

/// Lets one do what it wants until it has so many tasks.
async fn grow(one: &mut Greedy, tasks: usize) {
    let grow = async {
        while one.tasks.len() < tasks {
            let event = one.scheduler.event().await;
            one.handle(event).await;
        }
    };
    let grown = timeout(LIMIT, grow).await;
    assert!(grown.is_ok(), "{} of {tasks} tasks", one.tasks.len());
}

/// Tasks that fit on an agent, and into the cluster.
const SHARED_PER_AGENT: u32 = 20;
const SHARED_TASKS: usize = (AGENTS * SHARED_PER_AGENT) as usize;
/// In each of them one task per agent ends; three quarters of the cluster change
/// hands in 15 of them.
const ROUNDS: usize = 20;
/// How far from its share a role may be, in parts of the cluster.
const TOLERANCE: f64 = 0.02;

#[tokio::test]
async fn roles_with_the_weights_1_and_3_converge_to_a_quarter_and_three() {
    let dc = datacenter(AGENTS).await;
    let weights = json!([{ "role": "one", "weight": 1.0 }, { "role": "three", "weight": 3.0 }]);
    dc.master().put("/weights", &weights).await.expect(200);
    // The one that is owed less comes first and has everything.
    let mut one = Greedy::subscribe(&dc, "one", SHARED_PER_AGENT).await;
    grow(&mut one, SHARED_TASKS).await;
    let mut three = Greedy::subscribe(&dc, "three", SHARED_PER_AGENT).await;
    for _ in 0..ROUNDS {
        one.end_one_per_agent().await;
        // What became free is taken again at once, by one or the other.
        let is_full = |a: &Greedy, b: &Greedy| a.tasks.len() + b.tasks.len() == SHARED_TASKS;
        play(&mut one, &mut three, is_full).await;
    }
    let total = f64::from(AGENTS * CPUS);
    let shares = eventually("the master shows a full cluster", LIMIT, async || {
        let shares = [allocated(&dc, "one").await / total, allocated(&dc, "three").await / total];
        if shares.iter().sum::<f64>() > 0.999 { Ok(shares) } else { Err(format!("{shares:?}")) }
    })
    .await;
    for (share, wanted) in shares.into_iter().zip([0.25, 0.75]) {
        assert!((share - wanted).abs() <= TOLERANCE, "{shares:?} are not 1:3");
    }
}

/// The cpus that are guaranteed to a role, which uses them in tasks of one.
const GUARANTEED: u32 = 20;
const GUARANTEED_PER_AGENT: u32 = CPUS;
/// What is left to the hoarder of two agents, which wants it in tasks of two.
const HOARD_PER_AGENT: u32 = CPUS / 2;
const HOARD_TASKS_MAX: usize = ((2 * CPUS - GUARANTEED) / 2) as usize;

/// A guarantee or a limit of cpus.
fn quota(role: &str, kind: &str, cpus: u32) -> Value {
    let config = json!({ "role": role, kind: { "cpus": { "value": cpus } } });
    json!({ "type": "UPDATE_QUOTA", "update_quota": { "quota_configs": [config] } })
}

#[tokio::test]
async fn a_guaranteed_role_gets_its_part_of_what_another_hoards() {
    let dc = datacenter(2).await;
    // Takes all offers and answers none.
    let mut hoarder = Scheduler::subscribe(&dc.ready.master, "hoarder", true).await;
    let mut held = 0.0;
    while held < f64::from(2 * CPUS) {
        let event = hoarder.next("OFFERS").await;
        held += event["offers"]["offers"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| amount(it, "cpus"))
            .sum::<f64>();
    }
    let mut guaranteed = Greedy::subscribe(&dc, "guaranteed", GUARANTEED_PER_AGENT).await;
    guaranteed.wants = GUARANTEED as usize;
    dc.master().post("/api/v1", &quota("guaranteed", "guarantees", GUARANTEED)).await.expect(200);
    hoarder.next("RESCIND").await;
    grow(&mut guaranteed, GUARANTEED as usize).await;
    eventually("the master shows what it has", LIMIT, async || {
        let has = allocated(&dc, "guaranteed").await;
        if has >= f64::from(GUARANTEED) { Ok(()) } else { Err(has) }
    })
    .await;
}

#[tokio::test]
async fn what_is_guaranteed_waits_for_its_role_while_another_takes_all_else() {
    let dc = datacenter(2).await;
    dc.master().post("/api/v1", &quota("guaranteed", "guarantees", GUARANTEED)).await.expect(200);
    let mut hoarder = Greedy::subscribe(&dc, "hoarder", HOARD_PER_AGENT).await;
    grow(&mut hoarder, HOARD_TASKS_MAX).await;
    let mut guaranteed = Greedy::subscribe(&dc, "guaranteed", GUARANTEED_PER_AGENT).await;
    guaranteed.wants = GUARANTEED as usize;
    let has_all = |_: &Greedy, it: &Greedy| it.tasks.len() == GUARANTEED as usize;
    play(&mut hoarder, &mut guaranteed, has_all).await;
    // What it gives up is kept for it, however much the other wants it.
    for _ in 0..3 {
        guaranteed.end_one_per_agent().await;
        play(&mut hoarder, &mut guaranteed, has_all).await;
    }
    assert_eq!(hoarder.tasks.len(), HOARD_TASKS_MAX);
    assert!(hoarder.most <= f64::from(2 * CPUS - GUARANTEED), "{}", hoarder.most);
}

const LIMITED: u32 = 4;
/// Half a cpu each.
const LIMITED_PER_AGENT: u32 = 2 * CPUS;

#[tokio::test]
async fn a_limited_role_never_has_more_than_its_limit() {
    let dc = datacenter(2).await;
    dc.master().post("/api/v1", &quota("limited", "limits", LIMITED)).await.expect(200);
    let mut limited = Greedy::subscribe(&dc, "limited", LIMITED_PER_AGENT).await;
    let tasks_max = (2 * LIMITED) as usize;
    grow(&mut limited, tasks_max).await;
    // The others may have all that there is, which is offered to it as well.
    let mut free = Greedy::subscribe(&dc, "free", HOARD_PER_AGENT).await;
    // Up to one for each agent does not fit where the tasks of the other lie.
    let free_min = ((2 * CPUS - LIMITED) / 2) as usize - 1;
    let is_full = |a: &Greedy, b: &Greedy| a.tasks.len() == tasks_max && b.tasks.len() >= free_min;
    play(&mut limited, &mut free, is_full).await;
    for _ in 0..3 {
        let ended = [limited.end_one_per_agent().await, free.end_one_per_agent().await];
        assert!(ended.iter().all(|ended| *ended > 0), "{ended:?}");
        play(&mut limited, &mut free, is_full).await;
    }
    assert_eq!(limited.tasks.len(), tasks_max);
    assert!(limited.most <= f64::from(LIMITED), "{} with what was offered", limited.most);
    let has = allocated(&dc, "limited").await;
    assert!(has <= f64::from(LIMITED), "{has}");
}
