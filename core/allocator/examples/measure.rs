//! Measures the allocator: `cargo run --release -p karman-allocator --example
//! measure -- AGENTS FRAMEWORKS`.
#![expect(clippy::print_stdout, reason = "a command that prints what it measured")]

use std::time::Instant;

use karman_allocator::{Allocator, Demand, Grant, Machine, Role};
use karman_model::id::{AgentId, FrameworkId};
use karman_model::resource::Resources;
use karman_model::time::Timestamp;

const NOW: Timestamp = Timestamp(1_000_000);

struct Scene {
    allocator: Allocator,
    agents: usize,
    frameworks: usize,
}

impl Scene {
    fn agent(&mut self) {
        let total = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]";
        let machine = Machine {
            total: Resources::parse(total, "*").unwrap_or_default(),
            hostname: format!("host{}", self.agents),
            ..Machine::default()
        };
        self.allocator.add_agent(&AgentId::from(format!("agent-S{}", self.agents)), machine);
        self.agents += 1;
    }

    fn framework(&mut self) -> FrameworkId {
        let id = FrameworkId::from(format!("framework-{:04}", self.frameworks));
        let demand = Demand { roles: [Role::from("*")].into(), active: true, ..Demand::default() };
        self.allocator.put_framework(&id, demand);
        self.frameworks += 1;
        id
    }

    fn give_back(&mut self, grant: &Grant, refuse_until: Option<Timestamp>) {
        let Grant { agent, framework, role, resources } = grant;
        self.allocator.settle(framework, role, resources);
        if let Some(until) = refuse_until {
            self.allocator.refuse(agent, framework, role, resources, until);
        }
        self.allocator.release(agent, framework, role, resources);
    }

    fn run(&mut self, what: &str, now: Timestamp) -> Vec<Grant> {
        let start = Instant::now();
        let grants = self.allocator.allocate(now);
        println!("{what:<55} {:>10.3?} {:>7} grants", start.elapsed(), grants.len());
        grants
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (agents, frameworks) =
        (arguments.next().unwrap_or(20_000), arguments.next().unwrap_or(2000));
    let mut scene = Scene { allocator: Allocator::default(), agents: 0, frameworks: 0 };
    let start = Instant::now();
    (0..agents).for_each(|_| scene.agent());
    println!("{agents} agents added in {:?}", start.elapsed());
    let start = Instant::now();
    (0..frameworks).for_each(|_| drop(scene.framework()));
    println!("{frameworks} frameworks added in {:?}", start.elapsed());
    let mut grants = scene.run("full", NOW);
    scene.agent();
    grants.extend(scene.run("one agent more", NOW));
    let newcomer = scene.framework();
    grants.extend(scene.run("one framework more, everything is offered", NOW));
    if let Some(grant) = grants.pop() {
        scene.give_back(&grant, Some(NOW));
        grants.extend(scene.run("one offer declined for a moment", NOW));
    }
    scene.allocator.revive(&newcomer, &Default::default());
    grants.extend(scene.run("one framework revived", NOW));
    for round in 0..3 {
        let until = Timestamp(NOW.0 + 1_000_000);
        let start = Instant::now();
        for grant in std::mem::take(&mut grants) {
            scene.give_back(&grant, Some(until));
        }
        println!("everything declined in {:?}", start.elapsed());
        grants = scene.run(&format!("all declined, round {round}"), NOW);
    }
    for grant in std::mem::take(&mut grants) {
        scene.give_back(&grant, Some(Timestamp(NOW.0 + 2_000_000)));
    }
    scene.allocator.suppress(&newcomer, &Default::default());
    grants = scene.run("all declined, round 3", NOW);
    println!("{} filters", scene.allocator.filter_count());
    drop(grants);
}
