use expect_test::expect_file;

use super::*;

fn instance() -> Instance {
    let mut instance = Instance::scheduled("web.instance-1".into(), Timestamp(1));
    let placement = Placement {
        agent_id: "a1".into(),
        host: "node1".into(),
        attributes: BTreeMap::from([("rack".into(), "r1".into())]),
        ports: vec![31_000],
        ..Placement::default()
    };
    instance.provision(Timestamp(2), placement, Timestamp(9), Timestamp(8));
    instance
}

#[test]
fn instances_survive_the_store() {
    let Change::Put { key, value } =
        put(instance_key("web.instance-1"), InstanceRecord::new("/web", &instance()))
    else {
        panic!("is a put")
    };
    assert_eq!(key, "/orchestrator/instances/web.instance-1");
    // This file stays for ever: it is what data folders hold.
    expect_file!["./golden/instance-v1.json"].assert_eq(std::str::from_utf8(&value).unwrap());
    let record: InstanceRecord = decode(&value).unwrap();
    assert_eq!(record.restore("web.instance-1".into()), ("/web".to_owned(), instance()));
}

#[test]
fn keys_of_versions_sort_by_time() {
    assert!(spec_key("/a", Timestamp(99)) < spec_key("/a", Timestamp(100)));
}
