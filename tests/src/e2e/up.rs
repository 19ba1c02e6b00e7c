use std::time::Duration;

use serde_json::Value;

use crate::datacenter::Datacenter;
use crate::dns;

/// The promise is two seconds for the released build; a debug build on a busy
/// machine gets more.
const READY: Duration = Duration::from_secs(10);

#[tokio::test]
async fn it_is_ready_soon_and_says_where_everything_is() {
    let dc = Datacenter::start().await;
    assert!(dc.took < READY, "ready only after {:?}", dc.took);
    assert_eq!(dc.ready.agents.len(), 1);
    assert!(dc.ready.data_dir.is_dir());
    let answers = [
        format!("{}/ui/", dc.ready.gateway),
        format!("{}/dcos-metadata/dcos-version.json", dc.ready.gateway),
        format!("{}/service/marathon/v2/info", dc.ready.gateway),
        format!("{}/mesos/master/state", dc.ready.gateway),
        format!("{}/version", dc.ready.master),
        format!("{}/health", dc.ready.master),
        format!("{}/metrics/snapshot", dc.ready.master),
        format!("{}/ping", dc.ready.marathon),
        format!("{}/v2/info", dc.ready.marathon),
        format!("{}/v2/leader", dc.ready.marathon),
        format!("{}/health", dc.ready.agents[0]),
    ];
    for url in answers {
        let status = dc
            .http
            .get(&url)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"))
            .status();
        assert_eq!(status, 200, "{url}");
    }
}

#[tokio::test]
async fn all_roles_know_each_other_once_it_is_ready() {
    let dc = Datacenter::start().await;
    let url = format!("{}/master/state", dc.ready.master);
    let state: Value = dc.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(state["activated_slaves"], 1, "{state:#}");
    assert_eq!(state["frameworks"][0]["name"], "marathon", "{state:#}");
    assert_eq!(state["frameworks"][0]["active"], true, "{state:#}");
    let leader = dns::addresses(dc.ready.dns, "leader.mesos.").await.unwrap();
    assert_eq!(leader, ["127.0.0.1".parse().unwrap()].into());
}
