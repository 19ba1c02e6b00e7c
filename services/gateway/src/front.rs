//! The one handler of the gateway: who calls, what the table says, what to do.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use karman_api::credentials::Credentials;
use karman_rt::chain;
use karman_rt::http::Secured;
use tower::ServiceExt as _;

use crate::answer;
use crate::cluster::Cluster;
use crate::identity::{self, Identity};
use crate::policy::{Caller, Decision, decide};
use crate::proxy::{Destination, Proxy};
use crate::route::{Access, Local, Role, Route, Target, route, service};
use crate::system;

/// All that requests need. One per gateway.
#[derive(Debug)]
pub(crate) struct Front {
    pub urls: Urls,
    pub about: system::About,
    pub cluster: Cluster,
    /// For the master.
    pub credentials: Option<Credentials>,
    pub proxy: Proxy,
    /// `None` where sign-in is off.
    pub identity: Option<Identity>,
    pub dashboard: Router,
}

/// The base URLs of the roles.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub master: String,
    pub marathon: String,
    pub metronome: String,
    pub catalog: String,
    pub dns_http: String,
    /// The gateway that stores changes of users.
    pub writer: String,
}

impl Urls {
    pub(crate) fn of(&self, role: Role) -> &str {
        match role {
            Role::Master => &self.master,
            Role::Marathon => &self.marathon,
            Role::Metronome => &self.metronome,
            Role::Catalog => &self.catalog,
            Role::Dns => &self.dns_http,
        }
    }
}

/// Sends everybody to the same place on the port that speaks TLS.
pub(crate) fn to_tls(port: u16) -> Router {
    Router::new().fallback(move |request: Request| async move {
        let host = text(request.headers(), &header::HOST)
            .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        match secured(host, port, path) {
            Some(to) => answer::redirect(StatusCode::TEMPORARY_REDIRECT, &to, None),
            None => answer::error(
                StatusCode::BAD_REQUEST,
                "ERR_HOST",
                "the request names no host; ask again with https://",
                false,
            ),
        }
    })
}

fn secured(host: Option<&str>, port: u16, path: &str) -> Option<String> {
    let authority: http::uri::Authority = host?.parse().ok()?;
    let host = authority.host();
    Some(match port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    })
}

pub(crate) async fn handle(front: Arc<Front>, request: Request) -> Response {
    let Route { target, access } = route(request.uri().path());
    let headers = request.headers();
    let page = answer::is_page(headers);
    let uid = front.identity.as_ref().and_then(|identity| identity.caller(headers));
    let caller = Caller {
        uid: uid.as_deref(),
        changes: !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS),
        page: page && request.method() == Method::GET,
        origin: text(headers, &header::ORIGIN),
        host: text(headers, &header::HOST)
            .or_else(|| request.uri().authority().map(http::uri::Authority::as_str)),
        fetch_site: text(headers, &HeaderName::from_static("sec-fetch-site")),
    };
    match decide(front.identity.is_some(), access, caller) {
        Decision::Allow => dispatch(&front, target, access, request).await,
        Decision::SignIn => sign_in(&request),
        Decision::Unauthorized => unauthorized(request.headers()),
        Decision::CrossSite => answer::error(
            StatusCode::FORBIDDEN,
            "ERR_CROSS_SITE",
            "the request comes from a page of another website; open this address itself",
            page,
        ),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn dispatch(
    front: &Arc<Front>,
    target: Target,
    access: Access,
    request: Request,
) -> Response {
    let page = answer::is_page(request.headers());
    match target {
        Target::Role { role, path, prefix } => {
            let base = front.urls.of(role).to_owned();
            let to = Destination {
                name: role.name().to_owned(),
                base,
                path,
                prefix,
                token: role.sees_token(),
                credentials: (role == Role::Master).then(|| front.credentials.clone()).flatten(),
            };
            forward(front, request, &to).await
        }
        Target::Agent { id, path, prefix } => match front.cluster.agent(&id).await {
            Ok(Some(base)) => {
                let (name, credentials) = (format!("agent {id}"), None);
                let to = Destination { name, base, path, prefix, token: true, credentials };
                forward(front, request, &to).await
            }
            Ok(None) => {
                let message = format!("agent '{id}' is not part of the cluster");
                answer::error(StatusCode::NOT_FOUND, "ERR_NO_AGENT", &message, page)
            }
            Err(error) => unavailable(&error, page),
        },
        Target::Service { rest } => to_service(front, &rest, request).await,
        Target::Local(local) => {
            let secured = request.extensions().get::<Secured>().is_some();
            let mut response = here(front, local, request).await;
            if secured {
                identity::http::keep_to_tls(&mut response);
            }
            response
        }
        Target::Dashboard => dashboard(front, request).await,
        Target::Moved { to } => {
            answer::redirect(StatusCode::MOVED_PERMANENTLY, &to, request.uri().query())
        }
        Target::Elsewhere { to } => {
            answer::redirect(StatusCode::TEMPORARY_REDIRECT, &to, request.uri().query())
        }
        Target::NotFound => {
            debug_assert_eq!(access, Access::SignedIn, "open paths lead somewhere");
            answer::error(
                StatusCode::NOT_FOUND,
                "ERR_NO_ROUTE",
                "there is nothing under this path",
                page,
            )
        }
    }
}

async fn forward(front: &Front, request: Request, to: &Destination) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    front.proxy.forward(request, to, peer).await
}

async fn to_service(front: &Front, rest: &str, request: Request) -> Response {
    let page = answer::is_page(request.headers());
    let apps = match front.cluster.services().await {
        Ok(apps) => apps,
        Err(error) => return unavailable(&error, page),
    };
    match service::resolve(&apps, rest) {
        Ok(service::Backend { base, path, prefix }) => {
            // A service is foreign code: it never sees the token of its users.
            let (name, token, credentials) = ("the service".into(), false, None);
            let to = Destination { name, base, path, prefix, token, credentials };
            forward(front, request, &to).await
        }
        Err(error) => {
            let (status, code) = match error {
                service::Error::Unknown { .. } => (StatusCode::NOT_FOUND, "ERR_NO_SERVICE"),
                service::Error::NotRunning { .. } => {
                    (StatusCode::SERVICE_UNAVAILABLE, "ERR_SERVICE_NOT_RUNNING")
                }
                service::Error::Port { .. } | service::Error::Scheme { .. } => {
                    (StatusCode::BAD_GATEWAY, "ERR_SERVICE_LABELS")
                }
            };
            answer::error(status, code, &error.to_string(), page)
        }
    }
}

/// Set on what another gateway has passed on, which is passed on no further.
const FORWARDED: HeaderName = HeaderName::from_static("dcos-forwarded");

fn is_to_pass_on(request: &Request) -> bool {
    !request.method().is_safe() && !request.headers().contains_key(FORWARDED)
}

/// Passes a change of users on to the gateway that stores them.
async fn to_writer(front: &Front, mut request: Request) -> Response {
    request.headers_mut().insert(FORWARDED, HeaderValue::from_static("true"));
    let to = Destination {
        name: "the gateway that keeps the users".into(),
        base: front.urls.writer.clone(),
        path: request.uri().path().to_owned(),
        prefix: String::new(),
        token: true,
        credentials: None,
    };
    forward(front, request, &to).await
}

pub(crate) fn unavailable(error: &karman_dashboard::upstream::Error, page: bool) -> Response {
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "ERR_UPSTREAM_DOWN", &chain(error), page)
}

async fn dashboard(front: &Front, request: Request) -> Response {
    // Clients probe the root and keep the address that they are sent to, so a
    // probe is not redirected as a browser is.
    if request.uri().path() == "/" && request.method() == Method::HEAD {
        return Response::new(axum::body::Body::empty());
    }
    front.dashboard.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn sign_in(request: &Request) -> Response {
    let next = request.uri().path_and_query().map_or("/ui/", |path| path.as_str());
    let next = karman_dashboard::upstream::encode(next);
    answer::redirect(StatusCode::FOUND, "/login", Some(&format!("next={next}")))
}

fn unauthorized(headers: &HeaderMap) -> Response {
    let message =
        "sign in first: send 'Authorization: token=<token>' with a token of /acs/api/v1/auth/login";
    let mut response = answer::error(StatusCode::UNAUTHORIZED, "ERR_UNAUTHORIZED", message, false);
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(identity::CHALLENGE));
    // A page whose session has ended asks for a part of itself: the whole of it
    // goes to sign in and comes back.
    if headers.contains_key("hx-request")
        && let Some(to) = back_to(headers).and_then(|to| HeaderValue::from_str(&to).ok())
    {
        response.headers_mut().insert(HeaderName::from_static("hx-redirect"), to);
    }
    response
}

fn back_to(headers: &HeaderMap) -> Option<String> {
    let url: http::Uri = text(headers, &HeaderName::from_static("hx-current-url"))?.parse().ok()?;
    let path = karman_dashboard::upstream::encode(url.path_and_query()?.as_str());
    Some(format!("/login?next={path}"))
}

async fn here(front: &Arc<Front>, local: Local, request: Request) -> Response {
    match local {
        Local::Version => system::about::version(&front.about),
        Local::UiConfig => system::about::ui_config(&front.about),
        Local::Metadata => system::about::metadata(&front.about),
        Local::BuildInfo => system::about::build_info(&front.about),
        Local::Health(rest) => system::health::answer(front, &rest).await,
        Local::TaskLog { task, file, form } => {
            let (parts, _body) = request.into_parts();
            system::logs::answer(front, &task, &file, form, &parts).await
        }
        Local::LoginPage => identity::http::page(front.identity.as_ref(), request).await,
        Local::Login => identity::http::login(front.identity.as_ref(), request).await,
        Local::Logout => identity::http::logout(answer::is_page(request.headers())),
        Local::Providers => identity::http::providers(front.identity.is_some()),
        Local::Jwks => identity::http::jwks(front.identity.as_ref()),
        Local::Users => identity::http::users(front.identity.as_ref(), &request),
        Local::User(uid) => match &front.identity {
            Some(identity) if is_to_pass_on(&request) && !identity.leads() => {
                to_writer(front, request).await
            }
            identity => identity::http::user(identity.as_ref(), &uid, request).await,
        },
    }
}
