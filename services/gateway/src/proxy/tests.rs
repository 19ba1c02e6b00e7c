use super::*;

fn destination() -> Destination {
    Destination {
        name: "the orchestrator".into(),
        base: "http://127.0.0.1:8080".into(),
        path: "/v2/apps".into(),
        prefix: "/service/marathon".into(),
        token: false,
        credentials: None,
    }
}

#[test]
fn locations_lead_back_through_the_gateway() {
    for (location, expected) in [
        ("/v2/apps/web", Some("/service/marathon/v2/apps/web")),
        ("/service/marathon/v2/apps", Some("/service/marathon/v2/apps")),
        ("/service/marathonx", Some("/service/marathon/service/marathonx")),
        ("http://127.0.0.1:8080/ui/?a=b", Some("/service/marathon/ui/?a=b")),
        ("http://127.0.0.1:8080", Some("/service/marathon/")),
        ("http://gateway:8000/x", Some("/service/marathon/x")),
        ("https://elsewhere.example/x", None),
        ("//elsewhere.example/x", None),
        ("relative/x", None),
    ] {
        let relocated = relocated(location, &destination(), Some("gateway:8000"));
        assert_eq!(relocated.as_deref(), expected, "{location}");
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/service/marathon/v2/apps?id=%2Fweb&embed=apps.tasks".parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

#[test]
fn headers_of_the_connection_and_of_the_sign_in_stay_here() {
    let request = request(&[
        ("host", "gateway:8000"),
        ("connection", "keep-alive, x-private"),
        ("x-private", "1"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("x-forwarded-for", "6.6.6.6"),
        ("cookie", "a=b; dcos-acs-auth-cookie=secret; c=d"),
        ("cookie", "dcos-acs-info-cookie=secret"),
        ("authorization", "token=secret"),
        ("accept", "text/event-stream"),
    ]);
    let peer = Some("10.0.0.9:1234".parse().unwrap());
    let out = outgoing(request, &destination(), peer).unwrap();
    assert_eq!(out.uri(), "http://127.0.0.1:8080/v2/apps?id=%2Fweb&embed=apps.tasks");
    let mut headers: Vec<String> = out
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            "accept: text/event-stream",
            "cookie: a=b; c=d",
            "host: gateway:8000",
            "x-forwarded-for: 10.0.0.9",
            "x-forwarded-host: gateway:8000",
            "x-forwarded-proto: http",
            "x-real-ip: 10.0.0.9",
        ]
    );
}

#[test]
fn a_password_for_the_service_itself_is_passed_on() {
    let out = outgoing(request(&[("authorization", "Basic YTpi")]), &destination(), None).unwrap();
    assert_eq!(out.headers()["authorization"], "Basic YTpi");
    let trusted = Destination { token: true, ..destination() };
    let out = outgoing(request(&[("authorization", "token=x")]), &trusted, None).unwrap();
    assert_eq!(out.headers()["authorization"], "token=x");
}

#[test]
fn callers_without_credentials_get_those_of_the_gateway() {
    let credentials = Credentials { principal: "p".into(), secret: "s".into() };
    let to = Destination { credentials: Some(credentials), token: true, ..destination() };
    for (shown, seen) in [
        (None, "Basic cDpz"),
        (Some("token=abc"), "Basic cDpz"),
        (Some("Basic YTpi"), "Basic YTpi"),
    ] {
        let headers: Vec<_> = shown.iter().map(|it| ("authorization", *it)).collect();
        let sent = outgoing(request(&headers), &to, None).unwrap();
        assert_eq!(sent.headers()[header::AUTHORIZATION], seen);
    }
}
