//! The life of a datacenter: laid down, used, bereft of one machine after the
//! other, grown, shrunk and taken up again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{Cluster, REPLACED, SOON, Task, Tree, same};
use crate::binaries;
use crate::room::{Shape, until};

const APP: &str = "/web";
const ROOM: Shape = Shape { masters: 3, agents: 2, public: 1, spare: 1 };

/// The sample app. Instances on an agent that is not heard of are replaced as
/// soon as it is given up.
fn app() -> Value {
    let text = std::fs::read_to_string(binaries::root().join("examples/web.json"));
    let mut app: Value = serde_json::from_str(&text.expect("the example exists")).expect("JSON");
    app["unreachableStrategy"] = json!({ "inactiveAfterSeconds": 0, "expungeAfterSeconds": 0 });
    app
}

#[test]
fn a_datacenter_survives_its_machines() {
    let Some(mut cluster) = Cluster::prepared("life", ROOM) else { return };
    let nodes = cluster.room.nodes();
    let before: BTreeMap<&String, Tree> =
        nodes.iter().map(|node| (node, cluster.tree(node))).collect();

    cluster.installer(&["preflight"]).ok();
    let deploy = cluster.installer(&["deploy"]).ok();
    cluster.installer(&["status"]).ok();
    cluster.installer(&["postflight"]).ok();
    let again = cluster.installer(&["deploy"]).ok();
    assert!(again.took < deploy.took, "the second run did everything again: {again}");

    cluster.log_in();
    cluster.add(&app());
    let tasks = cluster.settled(APP, 3, SOON);
    found_by_name(&cluster, &tasks);

    let mut instances = 3;
    for (killed, asked) in [(1, 2), (2, 3), (3, 1)] {
        let master = format!("master-{killed}");
        cluster.room.kill(&master);
        cluster.master = format!("10.77.0.1{asked}");
        instances += 1;
        cluster.scale(APP, instances);
        cluster.room.boot(&master);
        cluster.well();
    }
    found_by_name(&cluster, &cluster.settled(APP, instances, SOON));

    an_agent_is_lost(&cluster, instances);
    one_comes_and_goes(&cluster, &before);

    cluster.installer(&["uninstall", "--yes"]).ok();
    for (node, before) in &before {
        same(node, before, &cluster.tree(node));
    }
}

/// From a node that does not run it, if there is one.
#[track_caller]
fn found_by_name(cluster: &Cluster, tasks: &[Task]) {
    let task = tasks.first().expect("a task runs");
    let node = if task.host == "10.77.0.21" { "agent-2" } else { "agent-1" };
    until("the app is found by its name", SOON, || {
        let url = format!("http://web.marathon.mesos:{}/", task.port);
        // Its name has the addresses of all instances, which listen on ports of their own.
        let ask =
            format!("curl -fsS --retry 20 --retry-delay 0 --retry-all-errors {url} | head -c 200");
        let said = cluster.room.ssh(node, &format!("getent hosts web.marathon.mesos && {ask}"));
        if said.contains("Directory listing") { Ok(()) } else { Err(said) }
    });
}

#[track_caller]
fn an_agent_is_lost(cluster: &Cluster, instances: usize) {
    let tasks = cluster.settled(APP, instances, SOON);
    let lost = tasks.iter().filter(|task| task.host == "10.77.0.21").count();
    assert!(lost > 0, "nothing runs on agent-1: {tasks:?}");
    cluster.room.kill("agent-1");
    until("its instances run elsewhere", REPLACED, || {
        let tasks = cluster.settled(APP, instances, REPLACED);
        let left = tasks.iter().filter(|task| task.host == "10.77.0.21").count();
        if left == 0 { Ok(()) } else { Err(format!("{tasks:?}")) }
    });
    cluster.room.boot("agent-1");
    cluster.well();
}

#[track_caller]
fn one_comes_and_goes(cluster: &Cluster, before: &BTreeMap<&String, Tree>) {
    let (name, address) = ("spare-1".to_owned(), "10.77.0.41");
    cluster.installer(&["add-node", address, "--role", "agent"]).ok();
    until("the new agent is known", SOON, || {
        let said = cluster.karman(&["node", "list"]);
        if said.contains(address) { Ok(()) } else { Err(said) }
    });
    cluster.installer(&["remove-node", address]).ok();
    until("the agent is gone", SOON, || {
        let said = cluster.karman(&["node", "list"]);
        if said.contains(address) { Err(said) } else { Ok(()) }
    });
    let before = before.get(&name).expect("it was there");
    same(&name, before, &cluster.tree(&name));
    cluster.installer(&["postflight"]).ok();
}
