use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{mark, sleeper};
use crate::datacenter::{Datacenter, Options};

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    values.into_iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn several_agents_are_several_machines() {
    let args = ["--attributes", "rack:a", "--attributes", "rack:b", "--attributes", "rack:b"];
    let args = args.iter().map(ToString::to_string).collect();
    let dc = Datacenter::with(Options { agents: 3, args }).await;
    let url = format!("{}/slaves", dc.ready.master);
    let answer: Value = dc.http.get(url).send().await.unwrap().json().await.unwrap();
    let agents = answer["slaves"].as_array().cloned().unwrap_or_default();
    assert_eq!(agents.len(), 3, "{answer:#}");
    assert_eq!(texts(agents.iter().map(|agent| &agent["id"])).len(), 3);
    assert_eq!(
        texts(agents.iter().map(|agent| &agent["hostname"])),
        ["127.0.0.1", "127.0.0.2", "127.0.0.3"].into()
    );
    assert_eq!(
        texts(agents.iter().map(|agent| &agent["resources"]["ports"])).len(),
        3,
        "ports are divided"
    );

    let mut unique = sleeper("/unique", 3, &mark());
    unique["constraints"] = json!([["hostname", "UNIQUE"]]);
    dc.marathon().create(&unique).await;
    let tasks = dc.marathon().settled("/unique", 3).await;
    assert_eq!(texts(tasks.iter().map(|task| &task["host"])).len(), 3);

    let mut rack = sleeper("/rack", 2, &mark());
    rack["constraints"] = json!([["rack", "CLUSTER", "b"]]);
    dc.marathon().create(&rack).await;
    for task in dc.marathon().settled("/rack", 2).await {
        assert_ne!(task["host"], "127.0.0.1", "{task:#}");
    }
}
