//! Shares converge to the weights, at every level of the tree.

use super::*;

/// Frameworks that launch one task per offer, for as long as there is room.
/// Returns how many tasks each has once everything is in use.
fn fill(allocator: &mut Allocator, frameworks: &[FrameworkId]) -> Vec<usize> {
    let mut tasks = vec![0; frameworks.len()];
    let mut now = NOW;
    for _round in 0..10_000 {
        let grants = allocator.allocate(now);
        if grants.is_empty() {
            break;
        }
        for grant in &grants {
            let one = resources("cpus:1;mem:10").allocated_to(&grant.role);
            let rest = grant.resources.checked_sub(&one).unwrap();
            allocator.settle(&grant.framework, &grant.role, &grant.resources);
            allocator.release(&grant.agent, &grant.framework, &grant.role, &rest);
            let at = frameworks.iter().position(|it| *it == grant.framework).unwrap();
            tasks[at] += 1;
        }
        now = Timestamp(now.0 + 1);
    }
    tasks
}

fn cluster(agents: usize) -> Allocator {
    let names: Vec<String> = (0..agents).map(|at| format!("a{at:03}")).collect();
    let agents: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), "cpus:20;mem:200")).collect();
    with_agents(&agents)
}

#[track_caller]
fn check_parts(tasks: &[usize], parts: &[usize]) {
    let (all, of): (usize, usize) = (tasks.iter().sum(), parts.iter().sum());
    for (tasks, part) in tasks.iter().zip(parts) {
        let apart = (tasks * of).abs_diff(part * all);
        assert!(apart * 50 <= all * of, "{tasks} of {all} is more than 2 % from {part} of {of}");
    }
}

#[test]
fn weights_of_one_and_three_converge() {
    let mut allocator = cluster(50);
    let frameworks = [join(&mut allocator, "f1", "one"), join(&mut allocator, "f2", "three")];
    allocator.set_weight(&"three".into(), Some(3.0));
    let tasks = fill(&mut allocator, &frameworks);
    assert_eq!(tasks.iter().sum::<usize>(), 1000, "nothing is left over");
    check_parts(&tasks, &[1, 3]);
    assert!((allocator.role("three").unwrap().share - 0.75).abs() < 0.02);
}

#[test]
fn frameworks_of_a_role_share_alike() {
    let mut allocator = cluster(30);
    let frameworks: Vec<FrameworkId> =
        ["f1", "f2", "f3"].iter().map(|id| join(&mut allocator, id, "*")).collect();
    check_parts(&fill(&mut allocator, &frameworks), &[1, 1, 1]);
}

#[test]
fn a_role_shares_what_it_has_with_those_below() {
    let mut allocator = cluster(40);
    let frameworks = [
        join(&mut allocator, "f1", "eng"),
        join(&mut allocator, "f2", "eng/db"),
        join(&mut allocator, "f3", "eng/web"),
        join(&mut allocator, "f4", "ops"),
    ];
    allocator.set_weight(&"eng".into(), Some(2.0));
    allocator.set_weight(&"eng/web".into(), Some(2.0));
    // Two thirds for eng; of these a quarter, a quarter and a half.
    check_parts(&fill(&mut allocator, &frameworks), &[2, 2, 4, 4]);
}

#[test]
fn weights_may_change_at_any_time() {
    let mut allocator = with_agents(&[("a", "cpus:4;mem:100")]);
    let (f1, _) = (join(&mut allocator, "f1", "one"), join(&mut allocator, "f2", "two"));
    let agent = AgentId::from("a");
    allocator.charge(&agent, &f1, &"one".into(), &resources("cpus:1;mem:10"));
    allocator.charge(&agent, &"f2".into(), &"two".into(), &resources("cpus:1;mem:10"));
    allocator.set_weight(&"two".into(), Some(1.5));
    check(&allocator.allocate(NOW), &["a f2 two: cpus:2;mem:80"]);
}

#[test]
fn the_result_does_not_depend_on_the_order_of_arrival() {
    let agents = ["a1", "a2", "a3", "a4", "a5"];
    let frameworks = [("f1", "*"), ("f2", "eng"), ("f3", "eng/web"), ("f4", "*")];
    let build = |turn: usize| {
        let mut allocator = Allocator::default();
        let mut agents = agents;
        agents.rotate_left(turn);
        let mut frameworks = frameworks;
        frameworks.rotate_left(turn % 4);
        for id in agents {
            let machine = Machine { total: resources("cpus:4;mem:100"), ..Machine::default() };
            allocator.add_agent(&AgentId::from(id), machine);
        }
        for (id, role) in frameworks {
            join(&mut allocator, id, role);
        }
        allocator.allocate(NOW)
    };
    for turn in 1..5 {
        assert_eq!(build(turn), build(0));
    }
}
