use proptest::prelude::*;
use serde_json::json;

use super::*;

fn release(name: &str, version: &str, release: u64, repository: usize) -> Release<()> {
    Release { name: name.into(), version: version.into(), release, repository, definition: () }
}

#[test]
fn the_first_repository_wins_and_in_it_the_newest_release() {
    let merged = merge_repositories(vec![
        release("web", "1.0", 0, 1),
        release("web", "9.9", 7, 1),
        release("web", "1.0", 2, 0),
        release("web", "1.1", 3, 0),
        release("web", "1.1", 5, 0),
        release("api", "x", 0, 1),
    ]);
    let seen: Vec<_> = merged
        .iter()
        .map(|r| (r.name.as_str(), r.version.as_str(), r.release, r.repository))
        .collect();
    assert_eq!(
        seen,
        [("api", "x", 0, 1), ("web", "1.1", 5, 0), ("web", "1.0", 2, 0), ("web", "9.9", 7, 1)]
    );
    assert_eq!(select(&merged, "web", None).unwrap().version, "1.1");
    assert_eq!(select(&merged, "web", Some("9.9")).unwrap().repository, 1);
    assert_eq!(select(&merged, "db", Some("1")).unwrap_err().to_string(), "Package [db] not found");
    assert_eq!(
        select(&merged, "web", Some("2")).unwrap_err().to_string(),
        "Version [2] of package [web] not found"
    );
}

#[test]
fn defaults_come_from_the_schema() {
    let schema = json!({"type": "object", "properties": {
        "service": {"type": "object", "properties": {
            "name": {"type": "string", "default": "web"},
            "user": {"type": "string"},
            "note": {"default": null},
        }},
        "empty": {"type": "object", "properties": {"x": {"type": "string"}}},
        "whole": {"type": "object", "default": {"a": 1}, "properties": {"b": {"default": 2}}},
    }});
    assert_eq!(
        defaults(&schema),
        json!({"service": {"name": "web", "note": null}, "whole": {"a": 1}})
    );
    assert_eq!(defaults(&json!({})), json!({}));
}

#[test]
fn options_and_resources_are_merged_deeply() {
    let options = merge(
        json!({"a": {"b": 1, "c": [1, 2]}, "d": 1}),
        &json!({"a": {"c": [3], "e": null}, "d": {"f": 1}}),
    );
    assert_eq!(options, json!({"a": {"b": 1, "c": [3], "e": null}, "d": {"f": 1}}));
    let resource = json!({"images": {"icon": "x"}});
    let context = context(json!({"resource": {"own": 1, "images": "y"}}), Some(&resource));
    assert_eq!(context, json!({"resource": {"own": 1, "images": {"icon": "x"}}}));
    assert_eq!(super::context(json!({}), None), json!({"resource": {}}));
}

fn options() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(Value::from),
        "[a-c]".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn merging_again_changes_nothing(base in options(), over in options()) {
        let merged = merge(base, &over);
        prop_assert_eq!(merge(merged.clone(), &over), merged);
    }
}
