//! Whatever happens in whatever order: the fast allocator does what the slow one
//! does, loses nothing, ignores no filter and no quota, and leaves nothing that
//! somebody would take.

use karman_model::quantity::Quantity;
use proptest::prelude::*;
use proptest::sample::Index;

use super::reference::{Client, Reference};
use super::*;

const ROLES: [&str; 5] = ["*", "eng", "eng/db", "eng/web", "ops"];
const TOTALS: [&str; 6] = [
    "cpus:4;mem:100",
    "cpus:8;mem:50;ports:[1-10]",
    "cpus(eng):2;mem:64;disk:10",
    "cpus:2;cpus(eng/web):2;mem:200;mem(ops):40",
    "cpus:1;mem:500;gpus:1",
    "cpus:16;mem:16;disk(eng):5",
];

#[derive(Clone, Debug)]
enum Step {
    AddAgent(usize),
    RemoveAgent(usize),
    ResizeAgent(usize, usize),
    Join {
        framework: usize,
        roles: Vec<usize>,
        gpu: bool,
    },
    Leave(usize),
    Active(usize, bool),
    Suppress(usize),
    Revive(usize),
    Weight(usize, Option<u32>),
    Quota(usize, Option<(i64, i64)>),
    /// Keeps a part of an offer and gives back the rest.
    Take {
        at: Index,
        cpus: i64,
        refuse_ms: u64,
    },
    Decline {
        at: Index,
        refuse_ms: u64,
    },
    End {
        at: Index,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        3 => (0usize..6).prop_map(Step::AddAgent),
        1 => (0usize..6).prop_map(Step::RemoveAgent),
        1 => (0usize..6, 0usize..6).prop_map(|(agent, total)| Step::ResizeAgent(agent, total)),
        3 => (0usize..4, prop::collection::vec(0usize..5, 1..3), prop::bool::weighted(0.3))
            .prop_map(|(framework, roles, gpu)| Step::Join { framework, roles, gpu }),
        1 => (0usize..4).prop_map(Step::Leave),
        1 => (0usize..4, any::<bool>()).prop_map(|(framework, on)| Step::Active(framework, on)),
        1 => (0usize..4).prop_map(Step::Suppress),
        1 => (0usize..4).prop_map(Step::Revive),
        1 => (0usize..5, prop::option::of(1u32..5)).prop_map(|(role, weight)| Step::Weight(role, weight)),
        2 => (0usize..5, prop::option::of((0i64..12, 0i64..20))).prop_map(|(role, quota)| Step::Quota(role, quota)),
        3 => (index(), 0i64..4000, 1u64..10_000)
            .prop_map(|(at, cpus, refuse_ms)| Step::Take { at, cpus, refuse_ms }),
        4 => (index(), 1u64..10_000).prop_map(|(at, refuse_ms)| Step::Decline { at, refuse_ms }),
        2 => index().prop_map(|at| Step::End { at }),
        2 => (0u64..8000).prop_map(Step::Wait),
    ]
}

/// Both allocators and what was granted.
#[derive(Default)]
struct Play {
    fast: Allocator,
    slow: Reference,
    now: Timestamp,
    /// Unanswered.
    offers: Vec<Grant>,
    /// Taken.
    tasks: Vec<Grant>,
    with_quota: bool,
    with_sizes: bool,
}

fn agent(number: usize) -> AgentId {
    AgentId::from(format!("a{number}"))
}

fn framework(number: usize) -> FrameworkId {
    FrameworkId::from(format!("f{number}"))
}

fn client(grant: &Grant) -> Client {
    (grant.framework.clone(), grant.role.clone())
}

impl Play {
    fn give_back(&mut self, grant: &Grant, refuse_ms: Option<u64>) {
        let Grant { agent, framework, role, resources } = grant;
        if let Some(ms) = refuse_ms {
            let until = Timestamp(self.now.0 + ms);
            self.fast.refuse(agent, framework, role, resources, until);
            let known = self.slow.demands.get(framework).is_some_and(|it| it.roles.contains(role));
            if known {
                let refused = resources.unallocated();
                self.slow.filters.push((agent.clone(), client(grant), refused, until));
            }
        }
        self.fast.release(agent, framework, role, resources);
        self.slow.release(&client(grant), agent, resources);
    }

    fn settle(&mut self, grant: &Grant) {
        self.fast.settle(&grant.framework, &grant.role, &grant.resources);
    }

    /// Everything for which `is_meant` is given back.
    fn end(&mut self, is_meant: impl Fn(&Grant) -> bool) {
        for grant in self.offers.extract_if(.., |grant| is_meant(grant)).collect::<Vec<_>>() {
            self.settle(&grant);
            self.give_back(&grant, None);
        }
        for grant in self.tasks.extract_if(.., |grant| is_meant(grant)).collect::<Vec<_>>() {
            self.give_back(&grant, None);
        }
    }

    fn take(&mut self, offer: &Grant, cpus: i64, refuse_ms: u64) {
        self.settle(offer);
        let wanted: Resources = offer
            .resources
            .iter()
            .filter(|it| &*it.kind.name == "cpus")
            .map(|it| karman_model::resource::Resource {
                kind: it.kind.clone(),
                value: karman_model::resource::Value::Scalar(Quantity::from_thousandths(
                    cpus.min(offer.resources.scalar("cpus").thousandths() / 2),
                )),
            })
            .take(1)
            .collect();
        let Some(rest) = offer.resources.checked_sub(&wanted) else {
            return self.give_back(offer, Some(refuse_ms));
        };
        let (rest, kept) = (
            Grant { resources: rest, ..offer.clone() },
            Grant { resources: wanted, ..offer.clone() },
        );
        // The slow one keeps each part by itself, and counts nothing for that.
        let held = self.slow.charges.get_mut(&client(offer)).unwrap();
        let whole = (offer.agent.clone(), offer.resources.unallocated());
        let at = held.iter().position(|it| *it == whole).unwrap();
        held.remove(at);
        for part in [&rest, &kept].into_iter().filter(|part| !part.resources.is_empty()) {
            held.push((part.agent.clone(), part.resources.unallocated()));
        }
        if !rest.resources.is_empty() {
            self.give_back(&rest, Some(refuse_ms));
        }
        if !kept.resources.is_empty() {
            self.tasks.push(kept);
        }
    }

    fn join(&mut self, number: usize, roles: &[usize], gpu: bool) {
        let id = framework(number);
        let roles: BTreeSet<Role> = roles.iter().map(|role| ROLES[*role].into()).collect();
        let mut minimums = Minimums::new();
        if self.with_sizes && number.is_multiple_of(2) {
            let size = BTreeMap::from([("cpus".to_owned(), Quantity::from_units(1))]);
            minimums.extend(roles.iter().map(|role| (role.clone(), vec![size.clone()])));
        }
        let demand = Demand {
            roles: roles.clone(),
            appetite: Appetite { gpu, refined: true, ..Appetite::default() },
            minimums,
            active: true,
            ..Demand::default()
        };
        self.fast.put_framework(&id, demand.clone());
        self.slow.demands.insert(id.clone(), demand);
        self.slow.filters.retain(|(_, (who, role), ..)| *who != id || roles.contains(role));
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::AddAgent(number) if !self.slow.agents.contains_key(&agent(number)) => {
                let total = resources(TOTALS[number]);
                let machine = Machine { total: total.clone(), ..Machine::default() };
                self.fast.add_agent(&agent(number), machine);
                self.slow.agents.insert(agent(number), total);
            }
            Step::RemoveAgent(number) => {
                let id = agent(number);
                self.end(|grant| grant.agent == id);
                self.fast.remove_agent(&id);
                self.slow.agents.remove(&id);
                self.slow.filters.retain(|(at, ..)| *at != id);
            }
            // What is used must stay there, or nothing would add up.
            Step::ResizeAgent(number, total) => {
                let (id, total) = (agent(number), resources(TOTALS[total]));
                self.end(|grant| grant.agent == id);
                if let Some(old) = self.slow.agents.get_mut(&id) {
                    old.clone_from(&total);
                    self.fast.update_agent(&id, Machine { total, ..Machine::default() });
                }
            }
            Step::Join { framework, roles, gpu } => self.join(framework, &roles, gpu),
            Step::Leave(number) => {
                let id = framework(number);
                self.end(|grant| grant.framework == id);
                self.fast.remove_framework(&id);
                self.slow.demands.remove(&id);
                self.slow.filters.retain(|(_, (who, _), ..)| *who != id);
            }
            Step::Active(number, on) => {
                let id = framework(number);
                self.fast.set_framework_active(&id, on);
                if let Some(demand) = self.slow.demands.get_mut(&id) {
                    demand.active = on;
                }
                self.slow.filters.retain(|(_, (who, _), ..)| *who != id || on);
            }
            Step::Suppress(number) => {
                self.fast.suppress(&framework(number), &BTreeSet::new());
                if let Some(demand) = self.slow.demands.get_mut(&framework(number)) {
                    demand.suppressed = demand.roles.clone();
                }
            }
            Step::Revive(number) => {
                let id = framework(number);
                self.fast.revive(&id, &BTreeSet::new());
                if let Some(demand) = self.slow.demands.get_mut(&id) {
                    demand.suppressed.clear();
                }
                self.slow.filters.retain(|(_, (who, _), ..)| *who != id);
            }
            Step::Weight(role, weight) => {
                let (role, weight) = (Role::from(ROLES[role]), weight.map(f64::from));
                self.fast.set_weight(&role, weight);
                self.slow.weights.remove(&role);
                self.slow.weights.extend(weight.map(|weight| (role, weight)));
            }
            Step::Quota(role, quota) if self.with_quota => {
                let role = Role::from(ROLES[role]);
                let quota = quota.map(|(guarantee, more)| Quota {
                    guarantees: [("cpus", Quantity::from_units(guarantee))].into_iter().collect(),
                    limits: [("cpus".into(), Quantity::from_units(guarantee + more))].into(),
                });
                self.fast.set_quota(&role, quota.clone());
                self.slow.quotas.remove(&role);
                self.slow.quotas.extend(quota.map(|quota| (role, quota)));
            }
            Step::Take { at, cpus, refuse_ms } if !self.offers.is_empty() => {
                let offer = self.offers.remove(at.index(self.offers.len()));
                self.take(&offer, cpus, refuse_ms);
            }
            Step::Decline { at, refuse_ms } if !self.offers.is_empty() => {
                let offer = self.offers.remove(at.index(self.offers.len()));
                self.settle(&offer);
                self.give_back(&offer, Some(refuse_ms));
            }
            Step::End { at } if !self.tasks.is_empty() => {
                let task = self.tasks.remove(at.index(self.tasks.len()));
                self.give_back(&task, None);
            }
            Step::Wait(ms) => self.now = Timestamp(self.now.0 + ms),
            Step::AddAgent(_)
            | Step::Quota(..)
            | Step::Take { .. }
            | Step::Decline { .. }
            | Step::End { .. } => {}
        }
        self.slow.tidy();
    }

    /// What no rule allows.
    fn check(&self) {
        for (id, total) in &self.slow.agents {
            assert_eq!(self.fast.available(id), self.slow.available(id), "{id} loses nothing");
            let held = self.slow.charges.values().flatten().filter(|(at, _)| at == id);
            let held: Vec<Resources> = held.map(|(_, held)| held.clone()).collect();
            assert_eq!(self.slow.available(id) + held.iter().sum::<Resources>(), *total);
        }
        for role in ROLES {
            let shown = self.fast.consumption(role);
            let consumed = self.slow.consumption(role, &self.offers);
            for name in ["cpus", "mem", "disk"] {
                assert_eq!(shown.get(name), consumed.get(name), "{role} {name}");
            }
        }
        for client in self.slow.wanting() {
            for id in self.slow.agents.keys() {
                let missed = self.slow.offer(self.now, &client, id);
                assert!(missed.is_none(), "{client:?} waits for {missed:?} of {id}");
            }
        }
    }

    fn run(&mut self) -> Vec<Grant> {
        let grants = self.fast.allocate(self.now);
        self.offers.extend(grants.iter().cloned());
        assert_eq!(self.fast.allocate(self.now), [], "nothing is left for a second run");
        grants
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_fast_one_does_what_the_slow_one_does(steps in prop::collection::vec(step(), 1..40)) {
        let mut play = Play { now: NOW, ..Play::default() };
        for step in steps {
            play.apply(step);
            let expected = play.slow.allocate(play.now);
            let grants = play.run();
            prop_assert_eq!(grants, expected);
            play.check();
        }
    }

    #[test]
    fn quota_and_sizes_are_respected(
        steps in prop::collection::vec(step(), 1..40),
        with_sizes in any::<bool>(),
    ) {
        let mut play = Play { now: NOW, with_quota: true, with_sizes, ..Play::default() };
        for step in steps {
            play.apply(step);
            let wanting = play.slow.wanting();
            let grants = play.run();
            let mut once = BTreeSet::new();
            for grant in &grants {
                let client = client(grant);
                prop_assert!(wanting.contains(&client), "{grant:?} is wanted");
                prop_assert!(play.slow.may_have(&client, &grant.resources), "{grant:?}");
                prop_assert!(once.insert((grant.agent.clone(), client.clone())), "one grant each");
                let refused = play.slow.filters.iter().any(|(at, who, refused, until)| {
                    *at == grant.agent && *who == client && *until > play.now
                        && refused.contains(&grant.resources.unallocated())
                });
                prop_assert!(!refused, "{grant:?} was declined");
                play.slow.charge(&client, &grant.agent, &grant.resources);
            }
            for grant in grants.iter().filter(|it| it.resources.unreserved().scalar("cpus").is_positive()) {
                for (role, quota) in &play.slow.quotas {
                    if karman_model::role::may_use(&grant.role, role) {
                        let used = play.slow.used(role, "cpus");
                        prop_assert!(used <= quota.limits["cpus"].thousandths(), "limit of {role}");
                    }
                }
                let promised = play.slow.quotas.keys().any(|role| karman_model::role::may_use(&grant.role, role));
                prop_assert!(
                    promised || play.slow.free("cpus") >= play.slow.unmet("nobody", 0, "cpus"),
                    "headroom after {grant:?}"
                );
            }
            play.check();
        }
    }
}
