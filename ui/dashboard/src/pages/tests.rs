//! Pages as a browser gets them, before fake upstreams on real sockets.

mod upstream;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use expect_test::{ExpectFile, expect_file};
use http_body_util::BodyExt as _;
use karman_rt::Tasks;
use tower::ServiceExt as _;

use self::upstream::Fake;
use crate::view::fixture::snapshot;
use crate::view::{Snapshot, services, tasks};

#[track_caller]
fn check(expected: ExpectFile, html: &str) {
    // Blank lines come from the control structures of templates.
    let lines: Vec<&str> =
        html.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn regions() {
    let snapshot = snapshot();
    check(expect_file!["golden/overview.html"], &super::overview::region(&snapshot));
    check(
        expect_file!["golden/services.html"],
        &super::services::region(&snapshot, &services::Filter::default()),
    );
    check(expect_file!["golden/service-web.html"], &super::service::region(&snapshot, "/web"));
    check(
        expect_file!["golden/service-waiting.html"],
        &super::service::region(&snapshot, "/shop/backend/db"),
    );
    check(
        expect_file!["golden/tasks.html"],
        &super::tasks::region(&snapshot, &tasks::Filter::default()),
    );
    check(
        expect_file!["golden/task-failed.html"],
        &super::tasks::detail_region(&snapshot, "front.shop.instance-0._app.1"),
    );
    check(expect_file!["golden/nodes.html"], &super::nodes::region(&snapshot));
    check(expect_file!["golden/node.html"], &super::nodes::detail_region(&snapshot, "S0"));
}

#[test]
fn regions_of_an_empty_cluster() {
    let empty = Snapshot {
        problems: vec!["The master does not answer: no.".into()],
        ..Snapshot::default()
    };
    check(expect_file!["golden/empty-overview.html"], &super::overview::region(&empty));
    check(expect_file!["golden/empty-service.html"], &super::service::region(&empty, "/web"));
}

struct Browser {
    router: axum::Router,
    fake: Fake,
    _tasks: Tasks,
}

impl Browser {
    async fn new() -> Self {
        let tasks = Tasks::new();
        let fake = Fake::start(&tasks).await;
        let config = crate::Config {
            master: fake.url.clone(),
            credentials: None,
            marathon: fake.url.clone(),
            reach: karman_rt::http::Reach::default(),
            cluster_name: "demo".into(),
            version: "1.2.3",
            auth: true,
        };
        Self { router: crate::router(config, &tasks), fake, _tasks: tasks }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        read(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, path: &str, form: &str, htmx: bool) -> (StatusCode, HeaderMap, String) {
        let mut request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if htmx {
            request = request.header("hx-request", "true");
        }
        read(self.send(request.body(Body::from(form.to_owned())).unwrap()).await).await
    }

    /// The events of a live region, as they come.
    async fn follow(&self, path: &str) -> Events {
        let response = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), buffer: String::new() }
    }
}

async fn read(response: Response) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

struct Events {
    body: Body,
    buffer: String,
}

impl Events {
    async fn next(&mut self) -> String {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let event = event.to_owned();
                self.buffer = rest.to_owned();
                return event;
            }
            let frame = self.body.frame().await.expect("the stream goes on").unwrap();
            self.buffer.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn every_page_is_whole_and_safe() {
    let browser = Browser::new().await;
    for (path, wanted) in [
        ("/ui/", "Running deployments"),
        ("/ui/services", "3 services"),
        ("/ui/services?group=/shop", "All services"),
        ("/ui/service/web", "Last failure"),
        ("/ui/edit/web", "&#34;cmd&#34;"),
        ("/ui/version/web?at=2026-11-21T02%3A00%3A00.000Z", "This is the version of 2026-11-21"),
        ("/ui/create", "Create service"),
        ("/ui/create/json", "/my-service"),
        ("/ui/tasks?state=all", "Failed"),
        ("/ui/task/web.instance-1._app.1", "c0ffee00-1111"),
        ("/ui/task/front.shop.instance-0._app.1", "exited with status 127"),
        ("/ui/task/web.instance-1._app.1/log", "sse-connect"),
        ("/ui/task/web.instance-1._app.1/log?path=nothing", "does not exist"),
        ("/ui/task/web.instance-1._app.1/files", "stdout"),
        ("/ui/nodes", "node-b"),
        ("/ui/node/S0", "rack:r1"),
        ("/ui/action/scale?on=%2Fweb", "How many instances of /web"),
    ] {
        let (status, headers, html) = browser.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(html.contains(wanted), "{path} lacks {wanted}:\n{html}");
        assert!(html.contains("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"), "{path}");
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"),
            "{path}"
        );
        for smuggled in ["<script>", "<b>&amp;</b>", " style=", " onclick=", "javascript:"] {
            assert!(!html.contains(smuggled), "{path} contains {smuggled}");
        }
    }
    for path in
        ["/ui/service/nope", "/ui/task/nope", "/ui/node/nope", "/ui/nope", "/ui/task/nope/log"]
    {
        assert_eq!(browser.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn files_of_pages_are_kept_by_browsers() {
    let browser = Browser::new().await;
    let (_, _, html) = browser.get("/ui/").await;
    let urls: Vec<&str> = html.split('"').filter(|text| text.starts_with("/ui/assets/")).collect();
    assert_eq!(urls.len(), 6, "{urls:?}");
    for url in urls {
        let response = browser.send(Request::get(url).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK, "{url}");
        assert!(
            response.headers()["cache-control"].to_str().unwrap().contains("immutable"),
            "{url}"
        );
    }
    let (status, headers, _) = browser.get("/ui/assets/old/karman.css").await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (StatusCode::OK, "no-cache"));
    assert_eq!(browser.get("/ui/assets/x/../../Cargo.toml").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_region_is_sent_again_when_it_changed() {
    let browser = Browser::new().await;
    let mut events = browser.follow("/ui/live/services").await;
    let first = events.next().await;
    assert!(first.starts_with("event: region"), "{first}");
    assert!(first.contains("<strong>3</strong> / 3"), "{first}");
    assert!(first.contains("hx-swap-oob"), "the badge comes with it");
    browser.fake.scale_web(5);
    let second = events.next().await;
    assert!(second.contains("<strong>3</strong> / 5"), "{second}");

    // Who has seen this state waits for the next.
    let (_, _, page) = browser.get("/ui/services").await;
    let url = page
        .split('"')
        .find(|text| text.starts_with("/ui/live/services"))
        .unwrap()
        .replace("&amp;", "&")
        .replace("&#38;", "&");
    let mut events = browser.follow(&url).await;
    browser.fake.scale_web(7);
    let next = events.next().await;
    assert!(next.contains("<strong>3</strong> / 7"), "{next}");
}

#[tokio::test]
async fn actions_ask_and_do() {
    let browser = Browser::new().await;
    let (status, headers, html) =
        browser.post("/ui/action/scale?on=%2Fweb", "instances=10", true).await;
    assert_eq!((status, html.as_str()), (StatusCode::OK, ""));
    assert!(headers["hx-trigger"].to_str().unwrap().contains("Scaling /web to 10"));
    let (status, headers, _) = browser.post("/ui/action/suspend?on=%2Fweb", "", false).await;
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/ui/service/web")
    );
    browser.post("/ui/action/restart?on=%2Fweb", "", true).await;
    browser.post("/ui/action/delete?on=%2Fweb", "force=true", true).await;
    browser.post("/ui/action/reset-delay?on=%2Fshop%2Fbackend%2Fdb", "", true).await;
    browser.post("/ui/action/kill?on=web.1", "", true).await;
    browser.post("/ui/action/rollback?on=d-1", "", true).await;
    browser.post("/ui/action/stop?on=d-1", "", true).await;
    assert_eq!(
        browser.fake.changes(),
        [
            r#"PUT /v2/apps/web {"instances":10}"#,
            r#"PUT /v2/apps/web {"instances":0}"#,
            "POST /v2/apps/web/restart {}",
            "DELETE /v2/apps/web?force=true ",
            "DELETE /v2/queue/shop/backend/db/delay ",
            r#"POST /v2/tasks/delete {"ids":["web.1"]}"#,
            "DELETE /v2/deployments/d-1 ",
            "DELETE /v2/deployments/d-1?force=true ",
        ]
    );
    let (status, _, html) =
        browser.post("/ui/action/scale?on=%2Fweb", "instances=many", true).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("whole number") && html.contains("many"), "{html}");
    let (status, _, html) = browser.post("/ui/action/restart?on=%2Flocked", "", true).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(html.contains("Override and restart") && html.contains("locked by"), "{html}");
    assert_eq!(browser.get("/ui/action/explode?on=%2Fweb").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn nothing_typed_is_lost() {
    let browser = Browser::new().await;
    let form = "id=refused&cmd=run+%26%26+%3Cthis%3E&instances=2&cpus=0.2&mem=99&ports=1&env=A%3D1&labels=&health=http&health_path=%2Fup";
    let (status, _, html) = browser.post("/ui/create", form, false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for kept in [
        "value=\"refused\"",
        "run &#38;&#38; &#60;this&#62;",
        "value=\"99\"",
        "A=1",
        "value=\"/up\"",
        "must be lower case",
        "upgradeStrategy: is wrong",
    ] {
        assert!(html.contains(kept), "lacks {kept}:\n{html}");
    }
    let (status, _, html) = browser.post("/ui/create", "cmd=x&cpus=y", false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("must be a number above 0") && html.contains("value=\"y\""), "{html}");

    let good = form.replace("id=refused", "id=good");
    let (status, headers, _) = browser.post("/ui/create", &good, false).await;
    assert_eq!(
        (status, headers["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/ui/service/good")
    );
    let (_, _, html) = browser.post("/ui/create/to-json", &good, false).await;
    assert!(html.contains("&#34;id&#34;: &#34;/good&#34;"), "{html}");

    let (status, _, html) = browser.post("/ui/create/json", "json=%7B%22id%22%3A", false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        html.contains("not valid JSON") && html.contains("{&#34;id&#34;:</textarea>"),
        "{html}"
    );
    let (status, _, _) =
        browser.post("/ui/edit/web", "json=%7B%22cmd%22%3A%22x%22%7D", false).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, _, html) = browser.post("/ui/edit/locked", "json=%7B%7D", false).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.contains("Override and apply"), "{html}");
    let changes = browser.fake.changes();
    assert_eq!(changes.last().unwrap(), "PUT /v2/apps/locked?partialUpdate=false {}");
    assert_eq!(changes[changes.len() - 2], r#"PUT /v2/apps/web?partialUpdate=false {"cmd":"x"}"#);
}

#[tokio::test]
async fn a_log_is_followed() {
    let browser = Browser::new().await;
    browser.fake.write("first <line>\nsecond\n");
    let mut events = browser.follow("/ui/live/log/web.instance-1._app.1?path=stdout").await;
    assert_eq!(
        events.next().await,
        "event: lines\nid: 20\ndata: <span>first &#60;line&#62;\ndata: second\ndata: </span>"
    );
    browser.fake.write("third\n");
    assert_eq!(events.next().await, "event: lines\nid: 26\ndata: <span>third\ndata: </span>");

    // A browser that comes back goes on where it was.
    let request = Request::get("/ui/live/log/web.instance-1._app.1?path=stdout")
        .header("last-event-id", "20");
    let response = browser.send(request.body(Body::empty()).unwrap()).await;
    let mut events = Events { body: response.into_body(), buffer: String::new() };
    assert_eq!(events.next().await, "event: lines\nid: 26\ndata: <span>third\ndata: </span>");

    let (_, headers, text) =
        browser.get("/ui/task/web.instance-1._app.1/download?path=stdout").await;
    assert_eq!(text, "first <line>\nsecond\nthird\n");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"stdout\"");
}
