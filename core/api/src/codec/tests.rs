use serde_json::json;

use super::*;
use crate::mesos::v1::{self, scheduler};

fn read(value: serde_json::Value) -> scheduler::Call {
    Codec::Json.decode(value.to_string().as_bytes()).unwrap()
}

#[test]
fn a_subscribe_call_reads_from_json_and_survives_protobuf() {
    let call = read(json!({
        "type": "SUBSCRIBE",
        "unknown_field": 1,
        "subscribe": {"framework_info": {
            "user": "root", "name": "test", "failover_timeout": "12.5", "checkpoint": null,
            "capabilities": {"type": "MULTI_ROLE"}, "roles": ["*"],
        }},
    }));
    let info = call.subscribe.clone().unwrap().framework_info;
    assert_eq!(info.failover_timeout, Some(12.5));
    assert_eq!(info.capabilities.len(), 1);
    let again: scheduler::Call = Codec::Protobuf.decode(&Codec::Protobuf.encode(&call)).unwrap();
    assert_eq!(again, call);
}

#[test]
fn explicit_defaults_are_written_and_deprecated_ones_are_not() {
    let info = v1::FrameworkInfo { user: "u".into(), name: "n".into(), ..Default::default() };
    assert_eq!(
        serde_json::to_value(&info).unwrap(),
        json!({"user": "u", "name": "n", "failover_timeout": 0.0, "checkpoint": false}),
    );
    let command = v1::CommandInfo { value: Some("true".into()), ..Default::default() };
    assert_eq!(serde_json::to_value(&command).unwrap(), json!({"value": "true", "shell": true}));
}

#[test]
fn enums_bytes_and_wide_numbers_have_their_mesos_form() {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "t".into() },
        state: v1::TaskState::TaskRunning.into(),
        uuid: Some(Bytes::from_static(&[0, 1, 2])),
        unreachable_time: Some(v1::TimeInfo { nanoseconds: 1_700_000_000_000_000_000 }),
        ..Default::default()
    };
    let value = serde_json::to_value(&status).unwrap();
    assert_eq!(
        value,
        json!({"task_id": {"value": "t"}, "state": "TASK_RUNNING", "uuid": "AAEC",
               "unreachable_time": {"nanoseconds": 1_700_000_000_000_000_000_i64}}),
    );
    assert_eq!(serde_json::from_value::<v1::TaskStatus>(value).unwrap(), status);
}

#[test]
fn an_unknown_enum_name_is_an_error_only_where_it_is_required() {
    let optional = json!({"task_id": {"value": "t"}, "state": "TASK_RUNNING", "reason": "REASON_FROM_THE_FUTURE"});
    assert_eq!(serde_json::from_value::<v1::TaskStatus>(optional).unwrap().reason, None);
    let required = json!({"task_id": {"value": "t"}, "state": "TASK_FROM_THE_FUTURE"});
    serde_json::from_value::<v1::TaskStatus>(required).unwrap_err();
}

#[test]
fn limits_accept_infinity_and_bare_numbers() {
    let task: v1::TaskInfo = serde_json::from_value(json!({
        "name": "t", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
        "limits": {"cpus": {"value": "Infinity"}, "mem": 64, "disk": "Infinity"},
    }))
    .unwrap();
    assert!(task.limits["cpus"].value.is_infinite());
    assert!((task.limits["mem"].value - 64.0).abs() < f64::EPSILON);
    let value = serde_json::to_value(&task).unwrap();
    assert_eq!(value["limits"]["disk"], json!({"value": "Infinity"}));
}

#[test]
fn a_double_with_a_default_may_be_no_number() {
    for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let info = v1::FrameworkInfo { failover_timeout: Some(value), ..Default::default() };
        let text = serde_json::to_string(&info).unwrap();
        let again: v1::FrameworkInfo = serde_json::from_str(&text).unwrap();
        let read = again.failover_timeout.unwrap();
        assert!(read.total_cmp(&value).is_eq() || read.is_nan() && value.is_nan(), "{text}");
    }
}

#[test]
fn a_missing_required_field_names_itself() {
    let error = serde_json::from_str::<v1::TaskInfo>(r#"{"name":"x"}"#).unwrap_err().to_string();
    assert!(error.contains("task_id"), "{error}");
}

#[test]
fn oneofs_are_flat() {
    let constraint: scheduler::AttributeConstraint = serde_json::from_value(json!({
        "selector": {"attribute_name": "rack"}, "predicate": {"text_equals": {"value": "r1"}},
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(&constraint).unwrap(),
        json!({"selector": {"attribute_name": "rack"}, "predicate": {"text_equals": {"value": "r1"}}}),
    );
}

#[test]
fn accept_prefers_json() {
    assert_eq!(Codec::from_accept(None), Some(Codec::Json));
    assert_eq!(Codec::from_accept(Some("*/*")), Some(Codec::Json));
    assert_eq!(Codec::from_accept(Some("application/x-protobuf")), Some(Codec::Protobuf));
    assert_eq!(Codec::from_accept(Some("text/html")), None);
    assert_eq!(Codec::from_content_type("application/json; charset=utf-8"), Some(Codec::Json));
}

#[test]
fn an_enum_in_a_oneof_travels_by_name() {
    let text =
        json!({"selector": {"pseudoattribute_type": "HOSTNAME"}, "predicate": {"exists": {}}});
    let constraint: scheduler::AttributeConstraint = serde_json::from_value(text.clone()).unwrap();
    assert!(constraint.selector.selector.is_some());
    assert_eq!(serde_json::to_value(&constraint).unwrap(), text);
}

#[test]
fn a_number_that_no_enum_has_counts_as_unset() {
    let status = v1::TaskStatus { reason: Some(77_777), ..Default::default() };
    assert_eq!(serde_json::to_value(&status).unwrap()["reason"], serde_json::Value::Null);
    let call = scheduler::Call { r#type: Some(77_777), ..Default::default() };
    assert_eq!(&Codec::Json.encode(&call)[..], b"{}");
}

#[test]
fn doubles_are_read_as_they_were_written() {
    for value in [12.500_000_000_097_799, 1.560_874_275_203_423_5e144, 0.1 + 0.2] {
        let info = v1::FrameworkInfo { failover_timeout: Some(value), ..Default::default() };
        let text = serde_json::to_vec(&info).unwrap();
        let again: v1::FrameworkInfo = serde_json::from_slice(&text).unwrap();
        assert_eq!(again.failover_timeout.map(f64::to_bits), Some(value.to_bits()));
    }
}
