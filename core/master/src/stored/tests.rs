use expect_test::expect;
use serde_json::json;

use super::*;

fn entry(key: &str, value: &serde_json::Value) -> Entry {
    let value = serde_json::to_vec(value).unwrap().into();
    Entry { key: key.to_owned(), value, revision: 1 }
}

/// Objects as releases wrote them; they are read for ever.
#[test]
fn objects_of_every_release_are_read() {
    let entries = [
        entry(
            "/master/agents/a1",
            &json!({"version": "V1", "info": {"hostname": "h"}, "ip": "10.0.0.1",
                "agent_version": "1", "registered_ms": 5}),
        ),
        entry(
            "/master/agents/a2",
            &json!({"version": "V1", "info": {"hostname": "h"}, "ip": "::1", "agent_version": "1",
                "registered_ms": 5, "unreachable_ms": 6, "deactivated": true, "of_later": 1,
                "drain": {"config": {"mark_gone": true}, "drained": true, "since_ms": 7}}),
        ),
        entry("/master/gone/a3", &json!({"version": "V1", "since_ms": 8})),
        entry("/master/frameworks/f1", &json!({"version": "V1", "registered_ms": 0})),
        entry(
            "/master/weights",
            &json!({"version": "V1", "weights": [{"role": "a", "weight": 2.5}]}),
        ),
        entry(
            "/master/quotas",
            &json!({"version": "V1", "configs": [{"role": "a/b", "limits": {"cpus": {"value": 1}}}]}),
        ),
        entry(
            "/master/maintenance",
            &json!({"version": "V1", "down": [{"hostname": "h"}], "schedule": {"windows": [
                {"machine_ids": [{"hostname": "h"}], "unavailability": {"start": {"nanoseconds": 1}}}]}}),
        ),
        entry("/master/of/later", &json!([])),
    ];
    let Contents { agents, frameworks, weights, quotas, maintenance, gone } =
        read(&entries).unwrap();
    let shown: Vec<String> = agents
        .iter()
        .map(|it| {
            format!(
                "{} {} {:?} {} {:?}",
                it.id,
                it.ip,
                it.unreachable,
                it.deactivated,
                it.drain.map(|it| (it.drained, it.since))
            )
        })
        .collect();
    expect![[r#"
        a1 10.0.0.1 None false None
        a2 ::1 Some(Timestamp(6)) true Some((true, Timestamp(7)))"#]]
    .assert_eq(&shown.join("\n"));
    assert!(matches!(&frameworks[..], [StoredFramework::Removed { id }] if id.as_str() == "f1"));
    assert_eq!((weights[0].weight, quotas[0].role.as_str()), (2.5, "a/b"));
    assert_eq!((maintenance.schedule.windows.len(), maintenance.down.len()), (1, 1));
    assert_eq!(gone, [(AgentId::from("a3"), Timestamp(8))]);
}

#[test]
fn a_damaged_object_is_named() {
    for (key, value) in [
        ("/master/agents/a1", json!({"version": "V1"})),
        ("/master/agents/a1", json!({"version": "V9", "info": {}})),
        ("/master/quotas", json!({"version": "V1", "configs": 3})),
        ("/master/maintenance", json!("nonsense")),
    ] {
        let problem = read(&[entry(key, &value)]).unwrap_err().to_string();
        assert!(
            problem.starts_with(&format!("the stored object {key} cannot be read")),
            "{problem}"
        );
    }
}

#[test]
fn many_objects_are_read_in_parts_and_keep_their_order() {
    let agent = json!({"version": "V1", "info": {"hostname": "h"}, "ip": "10.0.0.1",
        "agent_version": "1", "registered_ms": 5});
    let names: Vec<String> = (0..3 * SHARE_MIN).map(|n| format!("a{n:05}")).collect();
    let mut entries: Vec<Entry> =
        names.iter().map(|name| entry(&format!("{AGENTS}{name}"), &agent)).collect();
    entries
        .push(entry(WEIGHTS, &json!({"version": "V1", "weights": [{"role": "a", "weight": 2}]})));
    let contents = read(&entries).unwrap();
    let found: Vec<&str> = contents.agents.iter().map(|agent| agent.id.as_str()).collect();
    assert_eq!(found, names);
    assert_eq!(contents.weights.len(), 1);
    entries.push(entry(QUOTAS, &json!("nonsense")));
    assert!(matches!(read(&entries), Err(StartError::Stored { key, .. }) if key == QUOTAS));
}
