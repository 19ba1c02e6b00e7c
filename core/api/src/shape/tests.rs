use crate::codec::{Codec, Error};
use crate::mesos::v1::scheduler::Call;

#[track_caller]
fn check(body: &[u8], expected: &str) {
    let result = Codec::Protobuf.decode::<Call>(body).map(|_| "ok".to_owned());
    let result = result.unwrap_or_else(|error| match error {
        Error::Protobuf(_) => "refused by the decoder".to_owned(),
        error => error.to_string(),
    });
    assert_eq!(result, expected);
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 127 {
        field.push(u8::try_from(length % 128).unwrap() | 0x80);
        length /= 128;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend_from_slice(bytes);
    field
}

/// `Call.accept.operations` with one LAUNCH of one task.
fn launch(task: &[u8]) -> Vec<u8> {
    let operation = [vec![1 << 3, 1], field(2, &field(1, task))].concat();
    field(4, &field(2, &operation))
}

#[test]
fn a_missing_required_field_is_named() {
    let said = "failed to parse the body as protobuf: ";
    check(&[2 << 3, 12], "ok");
    check(&field(1, b""), &format!("{said}missing field `value` of FrameworkID"));
    check(&field(6, b""), &format!("{said}missing field `task_id` of scheduler.Call.Kill"));
    let task = [field(1, b"t"), field(2, &field(1, b"t"))].concat();
    check(&launch(&task), &format!("{said}missing field `agent_id` of TaskInfo"));
    let task = [task, field(3, &field(1, b"a"))].concat();
    check(&launch(&task), "ok");
    // A resource of a type that nobody knows has none.
    let resource = [field(1, b"cpus"), vec![2 << 3, 77]].concat();
    let task = [task, field(4, &resource)].concat();
    check(&launch(&task), &format!("{said}missing field `type` of Resource"));
}

#[test]
fn what_the_decoder_refuses_is_left_to_it() {
    check(&[0x0a, 0xff], "refused by the decoder");
    check(&[0x0f], "refused by the decoder");
    check(&[0x0b, 0x0c], "failed to parse the body as protobuf: groups are not supported");
}

#[test]
fn a_body_does_not_swell_without_end() {
    // Two bytes each on the wire: empty operations.
    let operations = [2 << 3 | 2, 0].repeat(1_000_000);
    let body = field(4, &operations);
    let error = Codec::Protobuf.decode::<Call>(&body).unwrap_err().to_string();
    assert!(error.contains("bytes of memory"), "{error}");

    let body = format!(r#"{{"accept":{{"operations":[{}{{}}]}}}}"#, "{},".repeat(1_000_000));
    let error = Codec::Json.decode::<Call>(body.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("bytes of memory"), "{error}");

    let honest = format!(
        r#"{{"reconcile":{{"tasks":[{}{{"task_id":{{"value":"t"}}}}]}}}}"#,
        r#"{"task_id":{"value":"t"}},"#.repeat(200_000)
    );
    let call: Call = Codec::Json.decode(honest.as_bytes()).unwrap();
    let call: Call = Codec::Protobuf.decode(&Codec::Protobuf.encode(&call)).unwrap();
    assert_eq!(call.reconcile.unwrap().tasks.len(), 200_001);
}
