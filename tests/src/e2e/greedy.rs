//! A framework that takes all that it is offered, in tasks of one size, until
//! it has as many as it wants.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::datacenter::{AGENT, Datacenter};
use crate::scheduler::{Scheduler, scalar};

/// Longer than any test: what it does not want it need not be asked again.
const REFUSED_SECS: f64 = 100_000.0;

#[derive(Debug)]
pub(super) struct Greedy {
    pub(super) scheduler: Scheduler,
    /// So many of its tasks fill an agent, all resources of it alike.
    per_agent: u32,
    pub(super) wants: usize,
    /// The agent of each task that is launched and not told to end.
    pub(super) tasks: BTreeMap<String, Value>,
    launched: usize,
    /// The most cpus that it was offered at a time, with what it had.
    pub(super) most: f64,
}

impl Greedy {
    /// In a role of that name.
    pub(super) async fn subscribe(dc: &Datacenter, name: &str, per_agent: u32) -> Self {
        let scheduler = Scheduler::subscribe(&dc.ready.master, name, true).await;
        let (tasks, launched, most) = (BTreeMap::new(), 0, 0.0);
        Self { scheduler, per_agent, wants: usize::MAX, tasks, launched, most }
    }

    /// What a task needs.
    fn needs(&self) -> [(&'static str, f64); 3] {
        AGENT.map(|(name, amount)| (name, f64::from(amount) / f64::from(self.per_agent)))
    }

    /// How many tasks there is room for.
    fn room(&self, offer: &Value) -> usize {
        let fits = |tasks: usize| {
            let tasks = u32::try_from(tasks).map_or(f64::MAX, f64::from);
            // Sums of fractions are not exact in doubles.
            self.needs().iter().all(|(name, need)| amount(offer, name) >= need * tasks - 0.001)
        };
        let most = self.wants.saturating_sub(self.tasks.len());
        (1..).take_while(|tasks| *tasks <= most && fits(*tasks)).count()
    }

    /// Does what its next event asks for.
    pub(super) async fn handle(&mut self, event: Option<Value>) {
        let event = event.expect("the stream goes on");
        match event["type"].as_str() {
            Some("OFFERS") => {
                self.take(event["offers"]["offers"].as_array().expect("a list")).await;
            }
            Some("UPDATE") => self.hear(&event["update"]["status"]).await,
            Some("ERROR" | "FAILURE") => panic!("{event}"),
            _other => {}
        }
    }

    async fn take(&mut self, offers: &[Value]) {
        let had = u32::try_from(self.tasks.len()).map_or(f64::MAX, f64::from);
        let offered: f64 = offers.iter().map(|offer| amount(offer, "cpus")).sum();
        self.most = self.most.max(had * self.needs()[0].1 + offered);
        for offer in offers {
            let room = self.room(offer);
            let tasks: Vec<Value> = (0..room).map(|_| self.task(&offer["agent_id"])).collect();
            let launch = json!({ "type": "LAUNCH", "launch": { "task_infos": tasks } });
            let accept = json!({
                "offer_ids": [offer["id"]],
                "operations": [launch],
                "filters": { "refuse_seconds": REFUSED_SECS },
            });
            self.scheduler.call("ACCEPT", json!({ "accept": accept })).await.expect(202);
        }
    }

    fn task(&mut self, agent: &Value) -> Value {
        self.launched += 1;
        let id = format!("task-{:04}", self.launched);
        self.tasks.insert(id.clone(), agent.clone());
        json!({
            "name": id, "task_id": { "value": id }, "agent_id": agent,
            "command": { "value": "exec sleep 100000" },
            "resources": self.needs().map(|(name, amount)| scalar(name, amount)),
        })
    }

    async fn hear(&self, status: &Value) {
        self.scheduler.acknowledge(status).await;
        let lives = ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"]
            .map(Value::from)
            .contains(&status["state"]);
        let id = status["task_id"]["value"].as_str().unwrap_or_default();
        let was_told = status["state"] == "TASK_KILLED" && !self.tasks.contains_key(id);
        assert!(lives || was_told, "{status}");
    }

    /// Tells one of its tasks on each agent to end; how many there are.
    pub(super) async fn end_one_per_agent(&mut self) -> usize {
        let victims: BTreeMap<String, String> =
            self.tasks.iter().map(|(id, agent)| (agent.to_string(), id.clone())).collect();
        for id in victims.values() {
            self.tasks.remove(id);
            let kill = json!({ "kill": { "task_id": { "value": id } } });
            self.scheduler.call("KILL", kill).await.expect(202);
        }
        victims.len()
    }
}

/// Of a scalar in an offer.
pub(super) fn amount(offer: &Value, name: &str) -> f64 {
    let all = offer["resources"].as_array().map_or(&[][..], Vec::as_slice);
    let of_name = all.iter().filter(|it| it["name"] == name);
    of_name.filter_map(|it| it["scalar"]["value"].as_f64()).sum()
}
