//! `/acs/api/v1`: sign-in, sign-out, users.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use karman_rt::chain;
use karman_rt::time::now_ms;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{error, info};

use super::token::VALID_SECONDS;
use super::user::{self, User};
use super::{AUTH_COOKIE, CHALLENGE, Denied, INFO_COOKIE, Identity, WriteError, password};
use crate::answer;

const BODY_BYTES_MAX: usize = 64 * 1024;

#[derive(Deserialize)]
struct Credentials {
    uid: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// `POST /auth/login`.
pub async fn login(identity: Option<&Identity>, request: Request) -> Response {
    if request.method() != Method::POST {
        return answer::method_not_allowed("POST");
    }
    let Some(identity) = identity else { return off() };
    let from = peer(&request);
    let body = match body(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let Ok(Credentials { uid, password, token }) = serde_json::from_slice(&body) else {
        return bad("the body must be a JSON object with 'uid' and 'password'");
    };
    let (Some(uid), Some(password), None) = (uid, password, token) else {
        return bad(
            "give 'uid' and 'password'; service account and OIDC tokens are not accepted here",
        );
    };
    match identity.check(&uid, password, &from).await {
        Ok(user) => signed_in(identity, &user),
        Err(denied) => refused(&denied),
    }
}

fn signed_in(identity: &Identity, user: &User) -> Response {
    let Ok(token) = identity.signer().sign(&user.uid, now_ms() / 1000) else { return internal() };
    info!(uid = user.uid, "signed in");
    let mut response = answer::json(StatusCode::OK, &json!({ "token": token }));
    set_cookies(&mut response, &token, user);
    response
}

/// Cookies that were set over TLS are never sent without it.
pub fn keep_to_tls(response: &mut Response) {
    let headers = response.headers_mut();
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        let secure = [cookie.as_bytes(), b"; Secure"].concat();
        headers.append(header::SET_COOKIE, HeaderValue::from_bytes(&secure).unwrap_or(cookie));
    }
}

fn set_cookies(response: &mut Response, token: &str, user: &User) {
    let about = json!({ "uid": user.uid, "description": user.description, "is_remote": false });
    let about = STANDARD.encode(about.to_string());
    let cookies = [
        format!("{AUTH_COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={VALID_SECONDS}"),
        format!("{INFO_COOKIE}={about}; Path=/; SameSite=Lax; Max-Age={VALID_SECONDS}"),
    ];
    append_cookies(response, &cookies);
}

fn append_cookies(response: &mut Response, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
}

fn refused(denied: &Denied) -> Response {
    let message = denied.to_string();
    match denied {
        Denied::Wrong => {
            let mut response =
                answer::error(StatusCode::UNAUTHORIZED, "ERR_INVALID_CREDENTIALS", &message, false);
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
            response
        }
        Denied::TooMany { wait_seconds } => {
            let mut response = answer::error(
                StatusCode::TOO_MANY_REQUESTS,
                "ERR_TOO_MANY_ATTEMPTS",
                &message,
                false,
            );
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*wait_seconds));
            response
        }
    }
}

/// `GET /auth/logout`. A person is led back to the page to sign in.
pub fn logout(page: bool) -> Response {
    let mut response = if page {
        answer::redirect(StatusCode::SEE_OTHER, "/login", None)
    } else {
        Response::new(Body::empty())
    };
    let gone = |name: &str| format!("{name}=; Path=/; SameSite=Lax; Max-Age=0");
    append_cookies(&mut response, &[gone(AUTH_COOKIE), gone(INFO_COOKIE)]);
    response
}

/// `GET /auth/providers`.
pub fn providers(on: bool) -> Response {
    let value = if on {
        json!({ "dcos-users": {
            "authentication-type": "dcos-uid-password",
            "client-method": "dcos-usercredential-post-receive-authtoken",
            "config": { "start_flow_url": "/acs/api/v1/auth/login" },
            "description": "Users of this cluster",
        }})
    } else {
        json!({})
    };
    answer::json(StatusCode::OK, &value)
}

/// `GET /auth/jwks`.
pub fn jwks(identity: Option<&Identity>) -> Response {
    let keys = identity.map_or_else(|| json!({ "keys": [] }), |identity| identity.signer().jwks());
    answer::json(StatusCode::OK, &keys)
}

/// `GET /users`.
pub fn users(identity: Option<&Identity>, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer::method_not_allowed("GET");
    }
    let Some(identity) = identity else { return off() };
    // No service accounts exist, so a list of only those is empty.
    let services = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "type=service"));
    let users: Vec<Value> =
        if services { Vec::new() } else { identity.users().iter().map(user::shown).collect() };
    answer::json(StatusCode::OK, &json!({ "array": users }))
}

/// `GET`, `PUT`, `PATCH`, `DELETE /users/{uid}`.
pub async fn user(identity: Option<&Identity>, uid: &str, request: Request) -> Response {
    let Some(identity) = identity else { return off() };
    let method = request.method().clone();
    let known = identity.user(uid);
    let result = match (&method, known) {
        (&Method::PUT, Some(_)) => Err(taken(uid)),
        (&Method::PUT, None) => return created(identity, uid, request).await,
        (&Method::GET | &Method::HEAD, Some(user)) => {
            Ok(answer::json(StatusCode::OK, &user::shown(&user)))
        }
        (&Method::PATCH, Some(user)) => changed(identity, user, request).await,
        (&Method::DELETE, Some(_)) => removed(identity, uid).await,
        (&Method::GET | &Method::HEAD | &Method::PATCH | &Method::DELETE, None) => {
            Err(unknown(uid))
        }
        _ => Err(answer::method_not_allowed("GET, PUT, PATCH, DELETE")),
    };
    result.unwrap_or_else(|refusal| refusal)
}

#[derive(Deserialize)]
struct Profile {
    description: Option<String>,
    password: Option<String>,
    public_key: Option<String>,
}

async fn profile(request: Request) -> Result<Profile, Response> {
    let body = body(request).await?;
    let body = if body.is_empty() { b"{}".as_slice() } else { &body };
    serde_json::from_slice(body)
        .map_err(|_| bad("the body must be a JSON object with 'password' and 'description'"))
}

async fn created(identity: &Identity, uid: &str, request: Request) -> Response {
    let result = async {
        user::check_uid(uid).map_err(|error| bad(&error.to_string()))?;
        let Profile { description, password, public_key } = profile(request).await?;
        let (Some(password), None) = (password, public_key) else {
            return Err(bad(
                "a user needs a 'password'; accounts with a public key are not supported",
            ));
        };
        let password_hash = hashed(password).await?;
        save(
            identity,
            User {
                uid: uid.to_owned(),
                description: description.unwrap_or_default(),
                password_hash,
            },
        )
        .await?;
        Ok(empty(StatusCode::CREATED))
    };
    result.await.unwrap_or_else(|refusal: Response| refusal)
}

async fn changed(
    identity: &Identity,
    mut user: User,
    request: Request,
) -> Result<Response, Response> {
    let Profile { description, password, public_key: _ } = profile(request).await?;
    if let Some(description) = description {
        user.description = description;
    }
    if let Some(password) = password {
        user.password_hash = hashed(password).await?;
    }
    save(identity, user).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn removed(identity: &Identity, uid: &str) -> Result<Response, Response> {
    if identity.users().len() == 1 {
        return Err(bad("this is the last user; without it nobody could sign in"));
    }
    identity.remove(uid).await.map_err(|error| not_stored(&error))?;
    info!(uid, "user deleted");
    Ok(empty(StatusCode::NO_CONTENT))
}

async fn hashed(password: String) -> Result<String, Response> {
    password::hash(password).await.map_err(|error| bad(&error.to_string()))
}

async fn save(identity: &Identity, user: User) -> Result<(), Response> {
    let uid = user.uid.clone();
    identity.save(user).await.map_err(|error| not_stored(&error))?;
    info!(uid, "user stored");
    Ok(())
}

/// `/login`: the page to sign in, and its form.
pub async fn page(identity: Option<&Identity>, request: Request) -> Response {
    let Some(identity) = identity else {
        return answer::redirect(StatusCode::SEE_OTHER, "/ui/", None);
    };
    if request.method() != Method::POST {
        let next = request.uri().query().and_then(|query| field(query, "next")).unwrap_or_default();
        return form(StatusCode::OK, "", &next, None);
    }
    let from = peer(&request);
    let body = match body(request).await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(refusal) => return refusal,
    };
    let field = |name| field(&body, name).unwrap_or_default();
    let (uid, next) = (field("uid"), field("next"));
    match identity.check(&uid, field("password"), &from).await {
        Ok(user) => {
            let Ok(token) = identity.signer().sign(&user.uid, now_ms() / 1000) else {
                return internal();
            };
            info!(uid = user.uid, "signed in");
            let mut response = answer::redirect(StatusCode::SEE_OTHER, local(&next), None);
            set_cookies(&mut response, &token, &user);
            response
        }
        Err(denied) => {
            let status = match denied {
                Denied::Wrong => StatusCode::UNAUTHORIZED,
                Denied::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            };
            form(status, &uid, &next, Some(&denied.to_string()))
        }
    }
}

/// Only a path of ours: nobody is led to another website after signing in.
fn local(next: &str) -> &str {
    let ours = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if ours { next } else { "/ui/" }
}

fn form(status: StatusCode, uid: &str, next: &str, problem: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(karman_dashboard::login_page(uid, next, problem)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    karman_dashboard::secure(headers);
    response
}

/// The first value of a form field, decoded.
fn field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(crate::route::decode(&value.replace('+', " ")))
}

async fn body(request: Request) -> Result<Vec<u8>, Response> {
    match Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(answer::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "ERR_BODY_SIZE",
            "the body is too large",
            false,
        )),
        Err(_) => Err(bad("the body broke off")),
    }
}

fn peer(request: &Request) -> String {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(String::new, |peer| peer.0.ip().to_string())
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn off() -> Response {
    answer::error(
        StatusCode::NOT_FOUND,
        "ERR_SIGN_IN_OFF",
        "sign-in is off in this cluster: there are no users",
        false,
    )
}

fn bad(message: &str) -> Response {
    answer::error(StatusCode::BAD_REQUEST, "ERR_INVALID_DATA", message, false)
}

fn unknown(uid: &str) -> Response {
    answer::error(
        StatusCode::BAD_REQUEST,
        "ERR_UNKNOWN_USER_ID",
        &format!("user '{uid}' does not exist"),
        false,
    )
}

fn taken(uid: &str) -> Response {
    answer::error(
        StatusCode::CONFLICT,
        "ERR_UID_EXISTS",
        &format!("user '{uid}' exists already"),
        false,
    )
}

fn not_stored(cause: &WriteError) -> Response {
    error!(error = chain(cause), "user not stored");
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "ERR_STORE", &chain(cause), false)
}

fn internal() -> Response {
    answer::error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "ERR_INTERNAL",
        "the token could not be signed",
        false,
    )
}
