#![expect(deprecated, reason = "the old format lives in fields that are marked so")]

use karman_model::attribute::Attributes;
use karman_model::quantity::Quantity;
use karman_model::resource::Resources;

use super::*;
use crate::mesos::v1;

fn wire(json: &str) -> Vec<v1::Resource> {
    serde_json::from_str(json).unwrap()
}

#[track_caller]
fn check(json: &str, expected: &str) {
    let result = resources_from_wire(&wire(json))
        .map_or_else(|error| error.to_string(), |all| all.to_string());
    assert_eq!(result, expected);
}

#[test]
fn both_formats_are_read() {
    check(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":2},"role":"*"}]"#, "cpus:2");
    check(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":2}}]"#, "cpus:2");
    check(r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":2},"role":"web"}]"#, "cpus(web):2");
    check(
        r#"[{"name":"mem","type":"SCALAR","scalar":{"value":2},"role":"web","reservation":{"principal":"p"}}]"#,
        "mem(web):2",
    );
    check(
        r#"[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2}]},
            "reservations":[{"type":"STATIC","role":"eng"},{"type":"DYNAMIC","role":"eng/web"}]}]"#,
        "ports(eng/web):[1-2]",
    );
}

#[test]
fn bad_fields_are_named() {
    let cases = [
        (r#"[{"name":"","type":"SCALAR","scalar":{"value":2}}]"#, "name of '' is missing"),
        (r#"[{"name":"cpus","type":"SCALAR"}]"#, "scalar of 'cpus' is missing"),
        (
            r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]"#,
            "scalar of 'cpus' must not be negative",
        ),
        (
            r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":"Infinity"}}]"#,
            "scalar of 'cpus' is refused: must be a finite number",
        ),
        (
            r#"[{"name":"p","type":"RANGES","ranges":{"range":[{"begin":3,"end":2}]}}]"#,
            "ranges of 'p' is refused: range 3-2 ends before it begins",
        ),
        (r#"[{"name":"x","type":"TEXT"}]"#, "type of 'x' has a value that is not supported"),
        (
            r#"[{"name":"x","type":"SCALAR","scalar":{"value":1},"reservation":{}}]"#,
            "reservation of 'x' contradicts its other reservation fields",
        ),
        (
            r#"[{"name":"x","type":"SCALAR","scalar":{"value":1},"role":"a","reservations":[{"type":"STATIC","role":"a"}]}]"#,
            "reservations of 'x' contradicts its other reservation fields",
        ),
        (
            r#"[{"name":"x","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"STATIC","role":"a"},{"type":"DYNAMIC","role":"b"}]}]"#,
            "reservations.role of 'x' is refused: 'b' does not refine 'a'",
        ),
        (
            r#"[{"name":"x","type":"SCALAR","scalar":{"value":1},"role":"a b"}]"#,
            "role of 'x' is refused: role 'a b' must not contain white space or control characters",
        ),
    ];
    for (json, expected) in cases {
        check(json, expected);
    }
}

const EVERYTHING: &str = r#"[
    {"name":"disk","type":"SCALAR","scalar":{"value":10.5},
     "allocation_info":{"role":"eng/web"},
     "reservations":[{"type":"DYNAMIC","role":"eng/web","principal":"p","labels":{"labels":[{"key":"a","value":"b"}]}}],
     "disk":{"persistence":{"id":"v","principal":"p"},
             "volume":{"mode":"RW","container_path":"data"},
             "source":{"type":"MOUNT","mount":{"root":"/mnt/a"},"profile":"fast"}},
     "shared":{}},
    {"name":"zones","type":"SET","set":{"item":["a","b"]},"revocable":{},"provider_id":{"value":"rp"},"reservations":[]}
]"#;

#[test]
fn nothing_is_lost_on_the_way() {
    let model = resources_from_wire(&wire(EVERYTHING)).unwrap();
    for format in [Format::Legacy, Format::Refined] {
        assert_eq!(
            resources_from_wire(&resources_to_wire(&model, format)),
            Ok(model.clone()),
            "{format:?}"
        );
    }
    let legacy = resources_to_wire(&model, Format::Legacy);
    assert_eq!(legacy[0].role.as_deref(), Some("eng/web"));
    assert!(legacy[0].reservation.is_some() && legacy[0].reservations.is_empty());
    assert_eq!(legacy[1].role.as_deref(), Some("*"));
    let refined = resources_to_wire(&model, Format::Refined);
    assert!(
        refined.iter().all(|resource| resource.role.is_none() && resource.reservation.is_none())
    );
    assert_eq!(refined[0].reservations.len(), 1);
}

#[test]
fn amounts_are_exact() {
    let tenths: Vec<v1::Resource> = std::iter::repeat_n(
        resources_to_wire(&Resources::parse("cpus:0.1", "*").unwrap(), Format::Legacy).remove(0),
        10,
    )
    .collect();
    assert_eq!(resources_from_wire(&tenths).unwrap().scalar("cpus"), Quantity::from_units(1));
}

#[test]
fn attributes_round_trip() {
    let attributes = Attributes::parse("rack:r1;generation:3.5;ports:[1-2];os:{a,b}").unwrap();
    assert_eq!(attributes_from_wire(&attributes_to_wire(&attributes)), Ok(attributes));
    let bad: Vec<v1::Attribute> =
        serde_json::from_str(r#"[{"name":"rack","type":"TEXT"}]"#).unwrap();
    assert_eq!(attributes_from_wire(&bad).unwrap_err().to_string(), "text of 'rack' is missing");
}
