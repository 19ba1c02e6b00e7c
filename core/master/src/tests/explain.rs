//! Why frameworks get no offers.

use karman_api::codec::Codec;
use serde_json::{Value, json};

use super::fakes::{Agent, Master, Scheduler, client, store};

#[tokio::test]
async fn silence_is_explained_by_role_and_agent() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let agent = Agent::register(&master, None, vec![]).await;
    let info = json!({"roles": ["a", "b"], "capabilities": [{"type": "MULTI_ROLE"}]});
    let mut scheduler = Scheduler::subscribe(&master, Codec::Json, info).await;
    let offer = scheduler.offer().await;
    let wants = offer.allocation_info.as_ref().unwrap().role.clone().unwrap();
    let filters = json!({"refuse_seconds": 3600});
    let decline = json!({"offer_ids": [offer.id], "filters": filters});
    scheduler.call(json!({"type": "DECLINE", "decline": decline})).await;
    // The other role is asked next.
    let other = scheduler.offer().await.allocation_info.unwrap().role.unwrap();
    assert_ne!(other, wants);
    let path = format!("/karman/v1/explain/offers?framework_id={}", scheduler.id);
    let all = master.get(&path).await;
    assert_eq!((&all["framework_id"], &all["name"]), (&json!(scheduler.id), &json!("n")));
    let of = |role: &str| {
        let roles = all["roles"].as_array().unwrap();
        roles.iter().find(|it| it["role"] == *role).unwrap().clone()
    };
    let reason = |of: &Value| of["agents"][0].clone();
    let used = json!({"reason": "IN_USE", "message": "everything is used or offered", "count": 1,
        "agent_ids": [agent.id]});
    assert_eq!(reason(&of(&wants)), used);
    assert_eq!(
        (&of(&other)["standing"], &of(&other)["outstanding_offers"]),
        (&json!("WAITING"), &json!(1))
    );
    scheduler.call(json!({"type": "SUPPRESS", "suppress": {"roles": [wants]}})).await;
    let one = format!("{path}&role={wants}&agent_id={}", agent.id);
    let suppressed = |it: &Value| it["roles"][0]["standing"] == "SUPPRESSED";
    let explained = master.eventually(&one, suppressed).await;
    assert_eq!(reason(&explained["roles"][0]), used);
    let debug = master.get("/allocator/offer_constraints_debug").await;
    assert_eq!(debug["frameworks"][&scheduler.id]["suppressed_roles"], json!([wants]));
    let elsewhere = master.get(&format!("{path}&role=c")).await;
    assert_eq!(elsewhere["roles"][0]["standing"], "NOT_IN_ROLE");
    for (query, status) in [
        ("", 400),
        ("?framework_id=", 400),
        ("?framework_id=nobody", 404),
        (&format!("?framework_id={}&agent_id=none", scheduler.id), 404),
    ] {
        let url = format!("{}/karman/v1/explain/offers{query}", master.url);
        assert_eq!(client().get(url).send().await.unwrap().status(), status, "{query}");
    }
    master.stop().await;
}

#[tokio::test]
async fn constraints_are_shown_with_what_they_leave_out() {
    let (_folder, store) = store();
    let master = Master::start(&store).await;
    let agent = Agent::register(&master, None, vec![]).await;
    let constraints = json!({"role_constraints": {"*": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "rack"}, "predicate": {"exists": {}}}]}]}}});
    let scheduler = Scheduler::subscribe(&master, Codec::Json, json!({})).await;
    let info = json!({"user": "u", "name": "n", "id": {"value": scheduler.id}});
    let update = json!({"framework_info": info, "offer_constraints": constraints});
    let call = json!({"type": "UPDATE_FRAMEWORK", "framework_id": {"value": scheduler.id},
        "update_framework": update});
    let request = client().post(format!("{}/api/v1/scheduler", master.url));
    let request = request.header("Mesos-Stream-Id", &scheduler.stream).json(&call);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let left_out = |it: &Value| {
        let of = &it["frameworks"][&scheduler.id];
        of["excluded_by_attribute_constraints"] == json!({"*": [agent.id]})
    };
    let debug = "/hierarchical-allocator(1)/offer_constraints_debug";
    master.eventually(debug, left_out).await;
    let frameworks = master.get("/frameworks").await;
    assert_eq!(frameworks["frameworks"][0]["offer_constraints"], constraints);
    let (_, answer) = master.ask(json!({"type": "GET_FRAMEWORKS"})).await;
    assert_eq!(answer["get_frameworks"]["frameworks"][0]["offer_constraints"], constraints);
    master.stop().await;
}
