use axum::body::{Body, to_bytes};
use axum::http::Request;
use expect_test::{Expect, expect};
use tower::ServiceExt as _;

use super::*;

fn media(name: &str) -> String {
    format!("application/vnd.dcos.{name}+json;charset=utf-8;version=v1")
}

/// Status, content type and body of the answer to a POST.
async fn post(
    path: &str,
    content: Option<String>,
    accept: Option<String>,
    body: &str,
    expected: Expect,
) {
    let mut request = Request::post(path);
    if let Some(content) = content {
        request = request.header("Content-Type", content);
    }
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    check(request.body(Body::from(body.to_owned())).unwrap(), expected).await;
}

async fn check(request: Request<Body>, expected: Expect) {
    let response = router().oneshot(request).await.unwrap();
    let (status, media) =
        (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    expected.assert_eq(&format!("{status}\n{media}\n{body:#}"));
}

async fn ask(path: &str, name: &str, body: &str, expected: Expect) {
    let (request, response) =
        (media(&format!("{name}-request")), media(&format!("{name}-response")));
    post(path, Some(request), Some(response), body, expected).await;
}

#[tokio::test]
async fn no_capability_is_claimed() {
    let request = Request::get("/capabilities")
        .header("Accept", media("capabilities"))
        .body(Body::empty())
        .unwrap();
    check(
        request,
        expect![[r#"
        200 OK
        application/vnd.dcos.capabilities+json;charset=utf-8;version=v1
        {
          "capabilities": []
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn there_are_no_repositories_and_no_packages() {
    for body in ["{}", "null"] {
        let none = expect![[r#"
            200 OK
            application/vnd.dcos.package.repository.list-response+json;charset=utf-8;version=v1
            {
              "repositories": []
            }"#]];
        ask("/package/repository/list", "package.repository.list", body, none).await;
    }
    ask(
        "/package/search",
        "package.search",
        r#"{"query": "web"}"#,
        expect![[r#"
        200 OK
        application/vnd.dcos.package.search-response+json;charset=utf-8;version=v1
        {
          "packages": []
        }"#]],
    )
    .await;
    let body = r#"{"packageName": "web", "includePackageVersions": true}"#;
    ask(
        "/package/list-versions",
        "package.list-versions",
        body,
        expect![[r#"
        400 Bad Request
        application/vnd.dcos.package.error+json;charset=utf-8;version=v1
        {
          "type": "PackageNotFound",
          "message": "Package [web] not found",
          "data": {
            "packageName": "web"
          }
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_package_is_a_bad_request() {
    let accept = media("package.describe-response").replace("v1", "v3");
    let content = media("package.describe-request");
    post(
        "/package/describe",
        Some(content),
        Some(accept),
        r#"{"packageName": "web"}"#,
        expect![[r#"
            400 Bad Request
            application/vnd.dcos.package.error+json;charset=utf-8;version=v1
            {
              "type": "PackageNotFound",
              "message": "Package [web] not found",
              "data": {
                "packageName": "web"
              }
            }"#]],
    )
    .await;
}

#[tokio::test]
async fn all_mistakes_of_a_request_are_told_at_once() {
    post(
        "/package/describe",
        None,
        None,
        "",
        expect![[r#"
        400 Bad Request
        application/vnd.dcos.package.error+json;charset=utf-8;version=v1
        {
          "type": "multiple_errors",
          "message": "Multiple errors while processing request",
          "data": {
            "errors": [
              {
                "type": "not_present",
                "message": "Item 'header 'Accept'' not present but required"
              },
              {
                "type": "not_present",
                "message": "Item 'header 'Content-Type'' not present but required"
              },
              {
                "type": "not_present",
                "message": "Item 'body' not present but required"
              }
            ]
          }
        }"#]],
    )
    .await;
    let (content, accept) = (Some("application/json".to_owned()), Some("*/*".to_owned()));
    post("/package/describe", content, accept, r#"{"packageVersion": "1"}"#, expect![[r#"
        400 Bad Request
        application/vnd.dcos.package.error+json;charset=utf-8;version=v1
        {
          "type": "multiple_errors",
          "message": "Multiple errors while processing request",
          "data": {
            "errors": [
              {
                "type": "not_valid",
                "message": "Item 'header 'Accept'' deemed invalid by rule: 'should match one of: application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v2, application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v3'",
                "data": {
                  "invalidItem": {
                    "type": "header",
                    "name": "Accept"
                  },
                  "specified": [
                    "*/*"
                  ],
                  "available": [
                    "application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v2",
                    "application/vnd.dcos.package.describe-response+json;charset=utf-8;version=v3"
                  ]
                }
              },
              {
                "type": "not_valid",
                "message": "Item 'header 'Content-Type'' deemed invalid by rule: 'should match one of: application/vnd.dcos.package.describe-request+json;charset=utf-8;version=v1'",
                "data": {
                  "invalidItem": {
                    "type": "header",
                    "name": "Content-Type"
                  },
                  "specified": [
                    "application/json"
                  ],
                  "available": [
                    "application/vnd.dcos.package.describe-request+json;charset=utf-8;version=v1"
                  ]
                }
              },
              {
                "type": "not_parsed",
                "message": "Item 'body' unable to be parsed : 'missing field `packageName` at line 1 column 23'"
              }
            ]
          }
        }"#]]).await;
}
