//! The gateway over real HTTP, before fake roles.

mod fakes;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use karman_rt::Tasks;
use karman_rt::http::Reach;
use karman_store::embedded::Embedded;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use self::fakes::Fake;
use crate::{Auth, Config, Password, Superuser, start};

struct Cluster {
    url: String,
    fake: Fake,
    client: Client<HttpConnector, Full<Bytes>>,
    _folder: tempfile::TempDir,
    _tasks: Tasks,
}

impl Cluster {
    async fn start(auth: Auth) -> Self {
        let tasks = Tasks::new();
        let fake = Fake::start(&tasks).await;
        let folder = tempfile::tempdir().unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", http.local_addr().unwrap());
        let config = Config {
            http: http.into(),
            redirect: None,
            reach: Reach::default(),
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            holder: url.clone(),
            writer: url.clone(),
            master: fake.url.clone(),
            credentials: None,
            marathon: fake.url.clone(),
            metronome: fakes::nobody().await,
            catalog: fake.url.clone(),
            dns_http: fake.url.clone(),
            cluster_id: "6a1f9b7e-0b1d-4f3c-9a54-1f0e6a4f8f10".into(),
            cluster_name: "demo".into(),
            auth,
            store: Embedded::open(&folder.path().join("store")).unwrap(),
            version: "1.2.3",
        };
        start(config, &tasks).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { url, fake, client, _folder: folder, _tasks: tasks }
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Full::from(body.to_owned())).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        text(self.open(Method::GET, path, &[], "").await).await
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

async fn text(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn local() -> Auth {
    Auth::Local(Superuser {
        uid: "admin".into(),
        password: Password::Plain("correct horse".into()),
    })
}

#[tokio::test]
async fn requests_reach_their_role_as_they_were_sent() {
    let cluster = Cluster::start(Auth::Off).await;
    for (path, expected) in [
        ("/service/marathon/v2/apps//web?embed=a%20b", "GET /v2/apps//web?embed=a%20b"),
        ("/marathon/ping", "GET /ping"),
        ("/mesos/master/state", "GET /master/state"),
        ("/mesos_dns/v1/hosts/x", "GET /v1/hosts/x"),
        ("/capabilities", "GET /capabilities"),
        ("/slave/S0/slave%281%29/state?x", "GET /slave%281%29/state?x"),
        ("/service/web/a%2Fb", "GET /a%2Fb"),
    ] {
        let (status, body) = cluster.get(path).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, expected), "{path}");
    }
    let response = cluster
        .open(Method::PUT, "/service/marathon/echo", &[("content-type", "x/y")], "body")
        .await;
    assert_eq!(response.headers()["content-type"], "x/y");
    assert_eq!(text(response).await.1, "body");

    let response = cluster.open(Method::GET, "/service/marathon/elsewhere", &[], "").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "/service/marathon/v2/apps");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let cluster = Cluster::start(Auth::Off).await;
    for (path, status, part) in [
        (
            "/service/metronome/v1/jobs",
            StatusCode::SERVICE_UNAVAILABLE,
            "job scheduler is not reachable",
        ),
        ("/service/marathon/break-off", StatusCode::BAD_GATEWAY, "broke off"),
        ("/slave/S9/state", StatusCode::NOT_FOUND, "agent 'S9'"),
        ("/service/nope/", StatusCode::NOT_FOUND, "no service is called 'nope'"),
        ("/nothing", StatusCode::NOT_FOUND, "nothing under this path"),
        ("/system/v1/logs/v2/task/nope", StatusCode::NOT_FOUND, "task 'nope' does not exist"),
    ] {
        let (found, body) = cluster.get(path).await;
        assert_eq!(found, status, "{path}: {body}");
        let value: Value = serde_json::from_str(&body).unwrap();
        assert!(value["message"].as_str().unwrap().contains(part), "{path}: {body}");
    }
    let page =
        cluster.open(Method::GET, "/service/metronome/x", &[("accept", "text/html")], "").await;
    assert!(page.headers().contains_key("content-security-policy"));
    assert!(text(page).await.1.contains("<h1>Service Unavailable</h1>"));
    let huge = cluster
        .open(Method::POST, "/service/marathon/echo", &[("content-length", "99999999999")], "")
        .await;
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn streams_pass_piece_by_piece() {
    let cluster = Cluster::start(Auth::Off).await;
    let response = cluster
        .open(Method::GET, "/service/marathon/stream", &[("accept", "text/event-stream")], "")
        .await;
    let mut body = response.into_body();
    // The upstream sends a piece only when told to, so one that arrives was
    // not held back for the next.
    for piece in ["data: 1\n\n", "data: 2\n\n", "3\nabc"] {
        cluster.fake.say(piece).await;
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
}

#[tokio::test]
async fn bodies_pass_piece_by_piece_towards_the_role() {
    let cluster = Cluster::start(Auth::Off).await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    let client: Client<HttpConnector, axum::body::Body> =
        Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("{}/mesos/duplex", cluster.url))
        .body(axum::body::Body::from_stream(body));
    let answering = client.request(request.unwrap());
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let mut answer = answering.await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    sender.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_even_if_it_hides_its_length() {
    let cluster = Cluster::start(Auth::Off).await;
    let client: Client<HttpConnector, axum::body::Body> =
        Client::builder(TokioExecutor::new()).build_http();
    let mebibyte = Bytes::from(vec![b'x'; 1024 * 1024]);
    let enough = karman_rt::http::BODY_BYTES_MAX / mebibyte.len();
    let (json, records) = ("application/json", "application/recordio");
    for (kind, pieces, expected) in [
        (json, enough, StatusCode::OK),
        (json, enough + 1, StatusCode::PAYLOAD_TOO_LARGE),
        // Passed on: whoever records are for takes them one after the other, and it is
        // this role that takes none.
        (records, enough + 1, StatusCode::BAD_REQUEST),
    ] {
        let body = std::iter::repeat_n(mebibyte.clone(), pieces).map(Ok::<_, std::io::Error>);
        let body = axum::body::Body::from_stream(futures::stream::iter(body));
        let request = Request::post(format!("{}/service/marathon/swallow", cluster.url));
        let request = request.header("content-type", kind);
        let (status, answer) =
            text(client.request(request.body(body).unwrap()).await.unwrap()).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn clients_learn_where_they_are() {
    let cluster = Cluster::start(Auth::Off).await;
    let version = cluster.json("/dcos-metadata/dcos-version.json").await;
    assert_eq!(
        (version["version"].as_str(), version["dcos-variant"].as_str()),
        (Some("2.2.0"), Some("open"))
    );
    let metadata = cluster.json("/metadata").await;
    assert_eq!(
        metadata,
        json!({ "PUBLIC_IPV4": "127.0.0.1", "CLUSTER_ID": "6a1f9b7e-0b1d-4f3c-9a54-1f0e6a4f8f10" })
    );
    assert_eq!(cluster.json("/acs/api/v1/auth/providers").await, json!({}));
    for path in ["/", "/pkgpanda/active.buildinfo.full.json"] {
        let response = cluster.open(Method::HEAD, path, &[], "").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    let response = cluster.open(Method::GET, "/", &[], "").await;
    assert_eq!(response.headers()["location"], "/ui/");
    assert_eq!(cluster.get("/login").await.0, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn health_is_what_the_probes_find() {
    let cluster = Cluster::start(Auth::Off).await;
    let units = cluster.json("/system/health/v1/units").await;
    let health: Vec<(&str, u64)> = units["units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|unit| (unit["id"].as_str().unwrap(), unit["health"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        health,
        [
            ("karman-agent.service", 0),
            ("karman-catalog.service", 0),
            ("karman-gateway.service", 0),
            ("karman-master.service", 0),
            ("karman-net.service", 0),
            ("karman-orchestrator.service", 0),
        ]
    );
    cluster.fake.fall_ill();
    let unit = cluster.json("/system/health/v1/units/karman-master.service/nodes/127.0.0.1").await;
    assert_eq!(unit["health"], 1);
    assert!(unit["output"].as_str().unwrap().contains("/health answered 500"), "{unit}");
    let nodes = cluster.json("/system/health/v1/nodes").await;
    assert_eq!(
        nodes,
        json!({ "nodes": [{ "host_ip": "127.0.0.1", "role": "master", "health": 1 }] })
    );
    assert_eq!(cluster.get("/system/health/v1/units/nope").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn logs_are_lines() {
    let cluster = Cluster::start(Auth::Off).await;
    cluster.fake.write("one\ntwo\nthree\nfour");
    let log = "/system/v1/logs/v2/task/web.1/file/stdout";
    for (query, expected) in [
        ("", "one\ntwo\nthree\nfour"),
        ("?skip=1&limit=2", "two\nthree\n"),
        ("?cursor=END&skip=-2", "three\nfour"),
        ("?cursor=4&limit=1", "two\n"),
        ("?cursor=END&skip=-100", "one\ntwo\nthree\nfour"),
        ("?cursor=8&skip=-1&limit=1", "two\n"),
    ] {
        assert_eq!(
            cluster.get(&format!("{log}{query}")).await,
            (StatusCode::OK, expected.into()),
            "{query}"
        );
    }
    let response = cluster
        .open(Method::GET, &format!("{log}?limit=1"), &[("accept", "application/json")], "")
        .await;
    let line: Value = serde_json::from_str(&text(response).await.1).unwrap();
    assert_eq!(
        (line["fields"]["MESSAGE"].as_str(), line["cursor"].as_str()),
        (Some("one"), Some("4"))
    );
    assert_eq!(cluster.get(&format!("{log}?skip=x")).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        cluster.get("/system/v1/logs/v2/task/web.1/file/nope").await.0,
        StatusCode::NOT_FOUND
    );
    let (status, outside) =
        cluster.get("/system/v1/logs/v2/task/web.1/file/..%2F..%2Fetc%2Fpasswd").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{outside}");
    assert!(outside.contains("leads out of its sandbox"), "{outside}");
    let (_, browsed) = cluster.get("/system/v1/logs/v2/task/web.1/browse").await;
    assert!(browsed.contains("stdout"), "{browsed}");
    assert_eq!(cluster.get(&format!("{log}/download")).await.1, "one\ntwo\nthree\nfour");
}

#[tokio::test]
async fn logs_are_followed() {
    let cluster = Cluster::start(Auth::Off).await;
    cluster.fake.write("one\ntwo\nunfinished");
    let path = "/system/v1/logs/v2/task/web.1?cursor=END&skip=-2";
    let response = cluster.open(Method::GET, path, &[("accept", "text/event-stream")], "").await;
    let mut body = response.into_body();
    let mut next = async || {
        String::from_utf8(body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec())
            .unwrap()
    };
    let first = next().await;
    assert!(first.starts_with("id: 8\ndata: ") && first.contains("\"MESSAGE\":\"two\""), "{first}");
    cluster.fake.write(" no more\n");
    let second = next().await;
    assert!(second.contains("\"MESSAGE\":\"unfinished no more\""), "{second}");
}

#[tokio::test]
async fn programs_sign_in_for_a_token() {
    let cluster = Cluster::start(local()).await;
    let refused = cluster.open(Method::HEAD, "/pkgpanda/active.buildinfo.full.json", &[], "").await;
    assert_eq!(
        (refused.status(), refused.headers()["www-authenticate"].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "acsjwt")
    );
    assert!(cluster.json("/acs/api/v1/auth/providers").await.get("dcos-users").is_some());
    assert_eq!(cluster.json("/acs/api/v1/auth/jwks").await["keys"][0]["alg"], "ES256");

    let login = "/acs/api/v1/auth/login";
    let wrong =
        cluster.open(Method::POST, login, &[], r#"{"uid":"admin","password":"wrong"}"#).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let (_, body) = text(wrong).await;
    assert!(body.contains("ERR_INVALID_CREDENTIALS"), "{body}");
    for bad in ["nonsense", "{}", r#"{"uid":"admin","token":"x"}"#] {
        assert_eq!(
            cluster.open(Method::POST, login, &[], bad).await.status(),
            StatusCode::BAD_REQUEST
        );
    }
    let right = cluster
        .open(Method::POST, login, &[], r#"{"uid":"admin","password":"correct horse"}"#)
        .await;
    assert_eq!(right.headers().get_all("set-cookie").iter().count(), 2);
    let token: Value = serde_json::from_str(&text(right).await.1).unwrap();
    let token = format!("token={}", token["token"].as_str().unwrap());
    let headers = [("authorization", token.as_str())];
    let allowed = cluster.open(Method::GET, "/mesos/master/state", &headers, "").await;
    assert_eq!(allowed.status(), StatusCode::OK);

    users(&cluster, &headers).await;
    let forged = format!("{token}x");
    let response = cluster
        .open(Method::GET, "/mesos/master/state", &[("authorization", forged.as_str())], "")
        .await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

async fn users(cluster: &Cluster, headers: &[(&str, &str)]) {
    let send = async |method: Method, path: &str, body: &str| {
        text(cluster.open(method, &format!("/acs/api/v1/users{path}"), headers, body).await).await
    };
    for (method, path, body, status) in [
        (Method::PUT, "/ann", r#"{"password":"1234"}"#, StatusCode::BAD_REQUEST),
        (Method::PUT, "/a%20b", r#"{"password":"long enough"}"#, StatusCode::BAD_REQUEST),
        (
            Method::PUT,
            "/ann",
            r#"{"password":"long enough","description":"Ann"}"#,
            StatusCode::CREATED,
        ),
        (Method::PUT, "/ann", r#"{"password":"long enough"}"#, StatusCode::CONFLICT),
        (Method::PATCH, "/ann", r#"{"password":"even longer"}"#, StatusCode::NO_CONTENT),
        (Method::GET, "/bob", "", StatusCode::BAD_REQUEST),
        (Method::POST, "/ann", "", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let (found, answer) = send(method, path, body).await;
        assert_eq!(found, status, "{path} {body}: {answer}");
    }
    let (_, list) = send(Method::GET, "", "").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["array"][1]["description"], "Ann");
    assert!(!list.to_string().contains("argon2"), "hashes stay here");
    let body = r#"{"uid":"ann","password":"even longer"}"#;
    assert_eq!(
        cluster.open(Method::POST, "/acs/api/v1/auth/login", &[], body).await.status(),
        StatusCode::OK
    );
    assert_eq!(send(Method::DELETE, "/ann", "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(send(Method::DELETE, "/admin", "").await.0, StatusCode::BAD_REQUEST);
}

#[test]
fn cookies_of_tls_keep_to_it() {
    let mut response = axum::response::Response::new(axum::body::Body::empty());
    for cookie in ["a=1; Path=/", "b=2; HttpOnly"] {
        response.headers_mut().append("set-cookie", cookie.parse().unwrap());
    }
    crate::identity::http::keep_to_tls(&mut response);
    let cookies = response.headers().get_all("set-cookie");
    let cookies: Vec<&str> = cookies.iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(cookies, ["a=1; Path=/; Secure", "b=2; HttpOnly; Secure"]);
}

#[tokio::test]
async fn people_sign_in_on_a_page() {
    let cluster = Cluster::start(local()).await;
    let html = [("accept", "text/html")];
    let away = cluster.open(Method::GET, "/ui/services?q=a", &html, "").await;
    assert_eq!(
        (away.status(), away.headers()["location"].to_str().unwrap()),
        (StatusCode::FOUND, "/login?next=%2Fui%2Fservices%3Fq%3Da")
    );
    let part = [("hx-request", "true"), ("hx-current-url", "http://a/ui/nodes?x=1")];
    let part = cluster.open(Method::GET, "/ui/nodes", &part, "").await;
    assert_eq!(part.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(part.headers()["hx-redirect"], "/login?next=%2Fui%2Fnodes%3Fx%3D1");
    let (status, page) = cluster.get("/login?next=%2Fui%2Fservices%3Fq%3Da").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("value=\"/ui/services?q=a\""), "{page}");
    let (_, page) =
        text(cluster.open(Method::POST, "/login", &html, "uid=ad%22min&password=x&next=%2F").await)
            .await;
    assert!(page.contains("wrong") && page.contains("value=\"ad&#34;min\""), "{page}");
    let form = "uid=admin&password=correct+horse&next=%2Fui%2Fservices";
    let back = cluster.open(Method::POST, "/login", &html, form).await;
    assert_eq!(
        (back.status(), back.headers()["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/ui/services")
    );
    let cookie = back.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let page = cluster.open(Method::GET, "/ui/services", &[("cookie", cookie)], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    // The role never sees the cookie, and nobody is led to another website.
    let seen =
        cluster.open(Method::GET, "/service/marathon/headers", &[("cookie", cookie)], "").await;
    assert!(!text(seen).await.1.contains("dcos-acs"));
    let form = "uid=admin&password=correct+horse&next=%2F%2Fevil.example";
    let back = cluster.open(Method::POST, "/login", &html, form).await;
    assert_eq!(back.headers()["location"], "/ui/");
}

#[tokio::test]
async fn guessing_is_slowed_and_other_websites_are_refused() {
    let cluster = Cluster::start(local()).await;
    let login = async |headers: &[(&str, &str)]| {
        let body = r#"{"uid":"admin","password":"wrong"}"#;
        cluster.open(Method::POST, "/acs/api/v1/auth/login", headers, body).await
    };
    assert_eq!(login(&[("origin", "https://evil.example")]).await.status(), StatusCode::FORBIDDEN);
    for _ in 0..5 {
        assert_eq!(login(&[]).await.status(), StatusCode::UNAUTHORIZED);
    }
    let limited = login(&[]).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.headers().contains_key("retry-after"));
}

#[test]
fn secrets_are_not_shown() {
    let Auth::Local(superuser) = local() else { panic!("local") };
    assert!(!format!("{superuser:?}").contains("horse"));
}
