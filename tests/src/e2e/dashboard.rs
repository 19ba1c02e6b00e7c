//! The dashboard in headless Chromium, as a user meets it.

use std::path::PathBuf;
use std::time::Duration;

use crate::binaries::root;
use crate::browser::Browser;
use crate::datacenter::Datacenter;
use crate::eventually::eventually;
use crate::marathon::GOAL;
use crate::requirement;

/// How long a page may lag behind the API: updates are pushed.
const LIVE: Duration = Duration::from_secs(20);

/// The fields of a form that are marked as wrong.
const WRONG: &str =
    "return [...document.querySelectorAll('.field.wrong [name]')].map((field) => field.name)";

/// Where a person looks at them after the tests.
fn screenshots() -> PathBuf {
    root().join("target/screenshots")
}

#[tokio::test]
async fn a_service_is_created_watched_read_scaled_and_deleted() {
    let dc = Datacenter::start().await;
    let Some(browser) = Browser::open(&dc.http).await else {
        requirement::missing("Chromium with chromedriver");
        return;
    };
    let shot = async |name: &str| browser.screenshot(&screenshots(), name).await;
    let page = |path: &str| format!("{}/ui/{path}", dc.ready.gateway);

    browser.go(&format!("{}/", dc.ready.gateway)).await;
    browser.sees("h1", "Overview", LIVE).await;
    shot("01-overview-empty").await;
    browser.go(&page("services")).await;
    browser.sees("#live", "No services yet", LIVE).await;
    browser.click("a[href='/ui/create']").await;
    create(&browser).await;
    shot("02-create").await;
    browser.click("#create button.primary").await;

    browser.sees("h1", "shop/web", LIVE).await;
    browser.sees("#live", "2 healthy", GOAL).await;
    shot("03-service-healthy").await;
    assert!(
        browser.address().await.ends_with("/ui/service/shop/web"),
        "{}",
        browser.address().await
    );

    browser.click("#live a[href$='/log']").await;
    browser.sees("#log", "hello from the form", LIVE).await;
    shot("04-log").await;
    // The log is followed: a request to the task appears by itself.
    let task = dc.marathon().settled("/shop/web", 2).await;
    let id = browser.address().await;
    let shown = task.iter().find(|task| id.contains(task["id"].as_str().unwrap())).unwrap();
    let url = format!(
        "http://{}:{}/a-request-in-the-log",
        shown["host"].as_str().unwrap(),
        shown["ports"][0]
    );
    dc.http.get(url).send().await.unwrap();
    browser.sees("#log", "a-request-in-the-log", LIVE).await;

    for (path, name) in [
        ("", "05-overview"),
        ("services", "06-services"),
        ("tasks", "07-tasks"),
        ("nodes", "08-nodes"),
    ] {
        browser.go(&page(path)).await;
        browser.sees("#live", "", LIVE).await;
        shot(name).await;
    }
    scale_and_delete(&dc, &browser, &page("service/shop/web")).await;
}

async fn create(browser: &Browser) {
    browser.fill("#id", "shop/web").await;
    browser.fill("#cmd", "echo hello from the form; exec python3 -m http.server $PORT0 2>&1").await;
    browser.fill("#instances", "2").await;
    browser.fill("#cpus", "0.1").await;
    browser.fill("#mem", "64").await;
    browser.fill("#ports", "1").await;
    browser.click("#health option[value=http]").await;
    browser.fill("#health_path", "/").await;
    browser.fill("#env", "COLOUR=blue").await;
}

async fn scale_and_delete(dc: &Datacenter, browser: &Browser, service: &str) {
    browser.go(service).await;
    browser.click(".head [id^=scale-]").await;
    browser.fill("#dialog #instances", "3").await;
    browser.screenshot(&screenshots(), "09-scale").await;
    browser.click("#dialog button[type=submit]").await;
    dc.marathon().settled("/shop/web", 3).await;
    browser.sees("#live", "3 healthy", LIVE).await;

    browser.click(".head [id^=delete-]").await;
    browser.click("#dialog button[type=submit]").await;
    eventually("the app is gone", GOAL, async || {
        match dc.marathon().get("/v2/apps/shop/web").await.status {
            404 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_form_is_explained_at_its_fields() {
    let dc = Datacenter::start().await;
    let Some(browser) = Browser::open(&dc.http).await else {
        requirement::missing("Chromium with chromedriver");
        return;
    };
    browser.go(&format!("{}/ui/create", dc.ready.gateway)).await;
    browser.fill("#id", "Not Valid").await;
    browser.fill("#cmd", "true").await;
    browser.fill("#instances", "many").await;
    browser.fill("#cpus", "lots").await;
    browser.click("#create button.primary").await;
    browser.sees("#create", "look at the marked fields", LIVE).await;
    assert_eq!(browser.run(WRONG).await, serde_json::json!(["id", "instances", "cpus"]));
    assert_eq!(browser.run("return document.querySelector('#id').value").await, "Not Valid");
    browser.screenshot(&screenshots(), "10-create-wrong").await;
    // What only the orchestrator can tell is marked in the same way.
    browser.fill("#id", "valid").await;
    browser.fill("#cmd", "x").await;
    browser.fill("#instances", "2").await;
    browser.fill("#cpus", "0.1").await;
    browser.click("#create button.primary").await;
    eventually("the command is marked", LIVE, async || {
        let wrong = browser.run(WRONG).await;
        if wrong == serde_json::json!(["cmd"]) { Ok(()) } else { Err(wrong) }
    })
    .await;
    assert_eq!(dc.marathon().get("/v2/apps").await.expect(200)["apps"], serde_json::json!([]));
}

/// A datacenter may be far from the internet.
#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    let dc = Datacenter::start().await;
    let link = regex::Regex::new(r#"(?:src|href|action)="([^"]*)""#).unwrap();
    let file = regex::Regex::new(r#"(?:src|href)="(/ui/assets/[^"]*)""#).unwrap();
    for path in ["", "services", "create", "tasks", "nodes"] {
        let page = dc.http.get(format!("{}/ui/{path}", dc.ready.gateway)).send().await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        let html = page.text().await.unwrap();
        for found in link.captures_iter(&html) {
            assert!(!found[1].contains("//"), "{path} links to {}", &found[1]);
        }
        for found in file.captures_iter(&html) {
            let status = dc
                .http
                .get(format!("{}{}", dc.ready.gateway, &found[1]))
                .send()
                .await
                .unwrap()
                .status();
            assert_eq!(status, 200, "{}", &found[1]);
        }
    }
}
