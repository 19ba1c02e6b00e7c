//! Answers that the gateway makes itself: errors for people and programs.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

/// Whether the caller is a browser that shows the answer to a person.
pub(crate) fn is_page(headers: &HeaderMap) -> bool {
    let accept =
        headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}

pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    response
}

/// An error in the form that DC/OS clients read, or as a page.
pub(crate) fn error(status: StatusCode, code: &str, message: &str, page: bool) -> Response {
    if page {
        return error_page(status, message);
    }
    let title = status.canonical_reason().unwrap_or("Error");
    json(
        status,
        &json!({ "title": title, "description": message, "code": code, "message": message }),
    )
}

fn error_page(status: StatusCode, message: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let page = karman_dashboard::error_page(status.as_u16(), title, message);
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    karman_dashboard::secure(headers);
    response
}

/// Sends the caller elsewhere; `query` is kept.
pub(crate) fn redirect(status: StatusCode, to: &str, query: Option<&str>) -> Response {
    let to = match query {
        Some(query) => format!("{to}?{query}"),
        None => to.to_owned(),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Ok(to) = HeaderValue::from_str(&to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

pub(crate) fn method_not_allowed(allow: &'static str) -> Response {
    let mut response = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "ERR_METHOD",
        &format!("this path allows {allow}"),
        false,
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
