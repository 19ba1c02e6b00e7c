use super::*;
use proptest::prelude::*;

const MACHINE: Machine = Machine { cpus: 4, mem_mib: 8000, disk_mib: 90000 };

#[track_caller]
fn check(given: &[&str], agents: usize, expected: &[&str]) {
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    let divided = divide(&given, MACHINE, agents).unwrap();
    let divided: Vec<String> =
        divided.into_iter().map(|text| text.unwrap_or_else(|| "all".into())).collect();
    assert_eq!(divided, expected);
}

#[track_caller]
fn check_error(given: &[&str], agents: usize, expected: &str) {
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    assert_eq!(divide(&given, MACHINE, agents).unwrap_err().to_string(), expected);
}

#[test]
fn the_machine_is_divided_evenly() {
    check(&[], 1, &["all"]);
    check(
        &[],
        3,
        &[
            "cpus:1.333;mem:2666;disk:30000;ports:[31000-31332]",
            "cpus:1.333;mem:2666;disk:30000;ports:[31333-31665]",
            "cpus:1.333;mem:2666;disk:30000;ports:[31666-31998]",
        ],
    );
}

#[test]
fn given_once_it_holds_for_each_agent_but_ports_are_divided() {
    check(&["cpus:2;mem:512"], 1, &["cpus:2;mem:512;disk:90000;ports:[31000-32000]"]);
    check(
        &["cpus:2;ports:[100-103, 200-203]"],
        2,
        &[
            "cpus:2;mem:4000;disk:45000;ports:[100-103]",
            "cpus:2;mem:4000;disk:45000;ports:[200-203]",
        ],
    );
    check(
        &["ports:[200-201,100-103];cpus(web):1"],
        3,
        &[
            "cpus(web):1;mem:2666;disk:30000;ports:[100-101]",
            "cpus(web):1;mem:2666;disk:30000;ports:[102-103]",
            "cpus(web):1;mem:2666;disk:30000;ports:[200-201]",
        ],
    );
}

#[test]
fn given_per_agent_each_has_its_own() {
    check(
        &["cpus:1", "cpus:2;ports:[400-500]"],
        2,
        &[
            "cpus:1;mem:4000;disk:45000;ports:[31000-31499]",
            "cpus:2;mem:4000;disk:45000;ports:[400-500]",
        ],
    );
}

#[test]
fn what_cannot_be_divided_says_what_to_do() {
    check_error(
        &["a", "b"],
        3,
        "resources are given 2 times for 3 agents; give them once or once per agent",
    );
    check_error(
        &["ports:1-2"],
        1,
        "'1-2' is no list of port ranges; write it as ports:[31000-31999]",
    );
    check_error(
        &["ports:[9-2]"],
        1,
        "'[9-2]' is no list of port ranges; write it as ports:[31000-31999]",
    );
    check_error(
        &["ports:[1-2]"],
        3,
        "2 ports cannot be divided among 3 agents; name more ports or fewer agents",
    );
    check_error(
        &["ports:[1-5]", "ports:[5-9]"],
        2,
        "two agents would give out port 5; name different ports for each agent",
    );
}

#[test]
fn attributes_are_given_once_or_per_agent() {
    let text = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(each::<String>(&[], 2), Some(vec![None, None]));
    assert_eq!(
        each(&text(&["rack:a"]), 2),
        Some(vec![Some("rack:a".into()), Some("rack:a".into())])
    );
    assert_eq!(
        each(&text(&["rack:a", "rack:b"]), 2),
        Some(vec![Some("rack:a".into()), Some("rack:b".into())])
    );
    assert_eq!(each(&text(&["rack:a", "rack:b"]), 3), None);
}

#[test]
fn lists_are_taken_as_they_are() {
    let machine = Machine { cpus: 8, mem_mib: 100, disk_mib: 100 };
    let list = String::from(r#"[{"name": "cpus"}]"#);
    assert_eq!(
        divide(&[list.clone(), list.clone()], machine, 2),
        Ok(vec![Some(list.clone()), Some(list.clone())])
    );
    assert_eq!(divide(std::slice::from_ref(&list), machine, 2), Err(Error::Json { agents: 2 }));
    assert_eq!(divide(&[list, "cpus:1".into()], machine, 2), Err(Error::Json { agents: 2 }));
}

proptest! {
    /// No port is given to two agents, none is invented, and shares are equal.
    #[test]
    fn ports_are_divided_exactly(starts in prop::collection::btree_set(0_u64..6000, 1..8), length in 1_u64..10, count in 1_usize..12) {
        let ranges: Ranges = starts.iter().map(|start| (start * 10, start * 10 + length - 1)).collect();
        let total = length * ranges.len() as u64;
        match slices(&ranges, count) {
            Err(_) => prop_assert!(total < count as u64),
            Ok(slices) => {
                prop_assert_eq!(overlap(&slices), None);
                for slice in &slices {
                    let size: u64 = slice.iter().map(|(low, high)| high - low + 1).sum();
                    prop_assert_eq!(size, total / count as u64);
                    for (low, high) in slice {
                        prop_assert!(ranges.iter().any(|(from, to)| from <= low && high <= to));
                    }
                }
            }
        }
    }
}
