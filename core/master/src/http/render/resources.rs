//! Resources and attributes in the short form of the old endpoints.

use karman_api::convert::{self, Format};
use karman_api::mesos::v1;
use karman_model::resource::{Resources, Value as Amount};
use serde_json::{Map, Value, json};

/// `{"cpus": 4, "ports": "[31000-32000]", …}`; the four names that everybody
/// looks for are always there.
pub(in crate::http) fn short(resources: &Resources) -> Value {
    let mut all = Map::new();
    for name in ["cpus", "gpus", "mem", "disk"] {
        all.insert(name.to_owned(), json!(resources.scalar(name).as_f64()));
    }
    for resource in resources {
        let name = &*resource.kind.name;
        if all.contains_key(name) {
            continue;
        }
        let value = match &resource.value {
            Amount::Scalar(_) => json!(resources.scalar(name).as_f64()),
            Amount::Ranges(_) => json!(resources.ranges(name).to_string()),
            Amount::Set(_) => json!(resource.value.to_string()),
        };
        all.insert(name.to_owned(), value);
    }
    Value::Object(all)
}

/// `{"role": {"cpus": …}}`.
pub(in crate::http) fn reserved(resources: &Resources) -> Value {
    let role = |role: &str| (role.to_owned(), short(&resources.reserved_to(role)));
    Value::Object(resources.reserved_roles().into_iter().map(role).collect())
}

/// The messages, in the new format with the role of the old one beside it.
pub(in crate::http) fn full(resources: &Resources) -> Value {
    let wire = convert::resources_to_wire(resources, Format::Refined);
    let with_role = |(wire, resource): (v1::Resource, &karman_model::resource::Resource)| {
        let mut value = serde_json::to_value(wire).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            let role = resource.kind.reserved_to().unwrap_or(karman_model::role::ANY);
            fields.insert("role".to_owned(), json!(role));
        }
        value
    };
    Value::Array(wire.into_iter().zip(resources).map(with_role).collect())
}

/// `{"role": [messages]}`.
pub(in crate::http) fn reserved_full(resources: &Resources) -> Value {
    let role = |role: &str| (role.to_owned(), full(&resources.reserved_to(role)));
    Value::Object(resources.reserved_roles().into_iter().map(role).collect())
}

pub(in crate::http) fn attributes(attributes: &[v1::Attribute]) -> Value {
    use karman_model::attribute::Value as Said;
    let Ok(attributes) = convert::attributes_from_wire(attributes) else { return json!({}) };
    let entry = |attribute: &karman_model::attribute::Attribute| {
        let value = match &attribute.value {
            Said::Scalar(amount) => json!(amount.as_f64()),
            Said::Ranges(_) | Said::Set(_) | Said::Text(_) => json!(attribute.value.to_string()),
        };
        (attribute.name.clone(), value)
    };
    Value::Object(attributes.iter().map(entry).collect())
}
