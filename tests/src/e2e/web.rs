use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{MARK, example, mark};
use crate::datacenter::Datacenter;
use crate::eventually::eventually;
use crate::marathon::{GOAL, addresses};
use crate::{dns, processes};

/// How long names may lag behind tasks: they are pushed, not polled.
const NAMES: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_sample_app_is_served_and_named_and_scaled() {
    let dc = Datacenter::start().await;
    let marathon = dc.marathon();
    let mark = mark();
    let mut app = example("web.json");
    app["env"] = json!({ MARK: mark });
    marathon.create(&app).await;
    let tasks = marathon.settled("/web", 3).await;
    serves(&dc, &tasks).await;
    is_named(&dc, &tasks).await;

    let scaled = marathon.put("/v2/apps/web", &json!({ "instances": 10 })).await.expect(200);
    assert!(scaled["deploymentId"].is_string(), "{scaled:#}");
    let tasks = marathon.settled("/web", 10).await;
    serves(&dc, &tasks).await;
    is_named(&dc, &tasks).await;

    marathon.put("/v2/apps/web", &json!({ "instances": 0 })).await.expect(200);
    marathon.settled("/web", 0).await;
    eventually("no process is left", GOAL, async || {
        let left = processes::of_tasks(MARK, &mark);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    is_named(&dc, &[]).await;
}

async fn serves(dc: &Datacenter, tasks: &[Value]) {
    for address in addresses(tasks) {
        let answer = dc.http.get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{address}");
    }
}

async fn is_named(dc: &Datacenter, tasks: &[Value]) {
    let hosts: BTreeSet<IpAddr> =
        tasks.iter().map(|task| task["host"].as_str().unwrap().parse().unwrap()).collect();
    let ports: BTreeSet<u16> = tasks
        .iter()
        .map(|task| u16::try_from(task["ports"][0].as_u64().unwrap()).unwrap())
        .collect();
    for name in [
        "web.marathon.mesos.",
        "web.marathon.agentip.dcos.thisdcos.directory.",
        "web.marathon.autoip.dcos.thisdcos.directory.",
    ] {
        eventually(name, NAMES, async || {
            let found = dns::addresses(dc.ready.dns, name).await?;
            if found == hosts { Ok(()) } else { Err(format!("{found:?} instead of {hosts:?}")) }
        })
        .await;
    }
    for name in ["_web._tcp.marathon.mesos.", "_http._web._tcp.marathon.mesos."] {
        eventually(name, NAMES, async || {
            let found = dns::ports(dc.ready.dns, name).await?;
            if found == ports { Ok(()) } else { Err(format!("{found:?} instead of {ports:?}")) }
        })
        .await;
    }
}
