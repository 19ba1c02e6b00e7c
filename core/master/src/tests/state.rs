//! `/state`, asked for by many at once.

use serde_json::Value;

use super::fakes::{Agent, Master, client, store};

#[tokio::test]
async fn many_readers_get_the_whole_state() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let agent = Agent::register(&master, None, vec![]).await;
    master.eventually("/state", |state| state["activated_slaves"] == 1).await;
    let read = || master.get("/state");
    let reads = futures::future::join_all((0..16).map(|_| read())).await;
    for state in reads {
        assert_eq!(state["slaves"][0]["id"], agent.id);
    }
    let script = client().get(format!("{}/state?jsonp=show", master.url)).send().await.unwrap();
    assert_eq!(script.headers()["content-type"], "text/javascript");
    let script = script.text().await.unwrap();
    let json = script.strip_prefix("show(").and_then(|rest| rest.strip_suffix(");")).unwrap();
    let state: Value = serde_json::from_str(json).unwrap();
    assert_eq!(state["slaves"][0]["id"], agent.id);
    let summary = master.get("/state-summary").await;
    assert_eq!(summary["slaves"][0]["TASK_RUNNING"], 0);
    master.stop().await;
}
