use serde_json::json;

use crate::harness::Cli;

const IMAGES: &str = "/karman/v1/images";

/// Two nodes, one of which is away.
async fn open() -> Cli {
    let cli = Cli::new().await;
    let node = |id: &str, name: &str, active: bool| json!({"id": id, "hostname": name, "pid": format!("slave(1)@{name}:5051"), "active": active});
    let slaves =
        json!([node("S0", "one", true), node("S1", "two", true), node("S2", "away", false),]);
    cli.gateway.on("GET /mesos/master/state-summary", 200, &json!({ "slaves": slaves }));
    cli
}

#[tokio::test]
async fn images_of_all_nodes_are_listed() {
    let cli = open().await;
    let image = json!({"digest": format!("sha256:{}", "ab".repeat(32)), "names": ["docker.io/library/nginx:1"], "bytes": 3 << 20, "holders": ["c1", "c2"]});
    cli.gateway.on(&format!("GET /agent/S0{IMAGES}"), 200, &json!({ "images": [image] }));
    cli.gateway.on(&format!("GET /agent/S1{IMAGES}"), 200, &json!({ "images": [] }));
    expect_test::expect![[r#"
        NODE  IMAGE                      DIGEST               SIZE     TASKS
        one   docker.io/library/nginx:1  sha256:abababababab  3.0 MiB  2
    "#]]
    .assert_eq(&cli.run(&["image", "list"]).await.ok());
    assert_eq!(cli.run(&["image", "ls", "--json"]).await.json()[1]["node"], "two");
}

#[tokio::test]
async fn an_image_is_pulled_onto_nodes_that_are_named() {
    let cli = open().await;
    cli.gateway.on(&format!("POST /agent/S1{IMAGES}/pull"), 200, &json!({ "images": [] }));
    let said = cli.run(&["image", "pull", "nginx", "--fresh", "--node", "two"]).await.ok();
    assert_eq!(said, "nginx is on two\n");
    let asked = cli.gateway.asked("POST");
    assert_eq!(asked.body, json!({ "name": "nginx", "fresh": true }));
    let error = cli.run(&["image", "pull", "nginx", "--node", "three"]).await.fails(3);
    assert!(error.contains("there is no node three"), "{error}");
    cli.gateway.on_raw(
        &format!("POST /agent/S0{IMAGES}/pull"),
        422,
        "text/plain",
        "cannot pull it",
    );
    let error = cli.run(&["image", "pull", "nginx"]).await.fails(1);
    assert!(error.contains("it did not work on 1 of 2 nodes"), "{error}");
    assert!(error.contains("one: ") && error.contains("cannot pull it"), "{error}");
}

#[tokio::test]
async fn an_archive_is_sent_and_a_name_removed() {
    let cli = open().await;
    let archive = cli.settings.path().join("image.tar");
    std::fs::write(&archive, "archive").unwrap();
    let folder = cli.settings.path().to_str().unwrap().to_owned();
    let error = cli.run(&["image", "load", &folder]).await.fails(2);
    assert!(error.contains("pack it: tar -C"), "{error}");
    let error = cli.run(&["image", "load", "/no/such/file"]).await.fails(2);
    assert!(error.contains("No such file"), "{error}");
    cli.gateway.on(&format!("DELETE /agent/S0{IMAGES}"), 200, &json!({ "digest": "x" }));
    let said = cli.run(&["image", "rm", "nginx", "--node", "S0"]).await.ok();
    assert_eq!(said, "nginx is removed from one\n");
    assert_eq!(
        cli.gateway.lines().last().unwrap(),
        &format!("DELETE /agent/S0{IMAGES}?name=nginx")
    );
}
