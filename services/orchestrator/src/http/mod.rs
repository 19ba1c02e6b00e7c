//! The Marathon API over HTTP. Reads come from the board, everything else goes
//! through the loop. Knows HTTP and nothing of how decisions are made.

mod apps;
mod error;
mod events;
mod groups;
mod query;
mod route;
mod system;
mod work;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use karman_api::marathon::v2::deployment::DeploymentResult;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::board::Board;
use crate::hub::Hub;
use crate::machine::{Command, Item, KillRequest, Origin, Reply, Which};
use crate::run;

use error::Error;
use query::Query;
use route::Route;

/// What the API tells about itself.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) hostname: String,
    /// The base URL that others reach it by.
    pub(crate) url: String,
    pub(crate) version: &'static str,
}

impl About {
    /// Host and port.
    fn authority(&self) -> String {
        crate::authority(&self.url).to_owned()
    }

    /// On which port which protocol is spoken with other machines.
    fn ports(&self) -> Value {
        let port = self.url.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let key = |secured: bool| port.filter(|_| self.url.starts_with("https:") == secured);
        serde_json::json!({ "http_port": key(false), "https_port": key(true) })
    }
}

#[derive(Clone, Debug)]
struct Api {
    about: About,
    commands: mpsc::Sender<run::Request>,
    board: Board,
    hub: Hub,
}

pub(crate) fn router(
    about: About,
    commands: mpsc::Sender<run::Request>,
    board: Board,
    hub: Hub,
) -> Router {
    Router::new().fallback(serve).with_state(Api { about, commands, board, hub })
}

/// A request, taken apart.
struct Asked {
    method: Method,
    query: Query,
    headers: http::HeaderMap,
    client: Option<SocketAddr>,
    uri: String,
    body: Bytes,
}

async fn serve(State(api): State<Api>, request: Request) -> Response {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, karman_rt::http::BODY_BYTES_MAX).await;
    let too_large = body.is_err();
    let asked = Asked {
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        uri: parts.uri.path().to_owned(),
        method: parts.method,
        headers: parts.headers,
        client,
        body: body.unwrap_or_default(),
    };
    let route = Route::parse(&asked.uri);
    let answer = if too_large { Err(Error::TooLarge) } else { api.answer(route, &asked).await };
    let mut response = answer.unwrap_or_else(Error::into_response);
    let leader = HeaderValue::from_str(&api.about.url);
    let headers = response.headers_mut();
    headers
        .extend(leader.ok().map(|leader| (HeaderName::from_static("x-marathon-leader"), leader)));
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "0"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_XSS_PROTECTION, "1; mode=block"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Api {
    async fn answer(&self, route: Route, asked: &Asked) -> Result<Response, Error> {
        // HEAD is GET without a body, which the server leaves out by itself.
        let method = if asked.method == Method::HEAD { Method::GET } else { asked.method.clone() };
        match (method.as_str(), route) {
            ("GET", Route::Apps) => self.list_apps(asked),
            ("POST", Route::Apps) => self.create_app(asked).await,
            ("PUT" | "PATCH", Route::Apps) => self.update_apps(asked).await,
            ("GET", Route::App(id)) => self.get_app(&id),
            ("PUT" | "PATCH" | "POST", Route::App(id)) if method != Method::POST => {
                self.update_app(id, asked).await
            }
            ("DELETE", Route::App(id)) => self.delete_app(id, asked).await,
            ("POST", Route::Restart(app)) => {
                self.deployed(Command::Restart { app, force: asked.query.flag("force") }).await
            }
            ("GET", Route::AppTasks(id)) => self.app_tasks(&id, asked),
            ("DELETE", Route::AppTasks(app)) => {
                let host = asked.query.text("host").filter(|host| *host != "*").map(str::to_owned);
                self.kill(Which::App { app, host }, asked, false).await
            }
            ("DELETE", Route::AppTask { app, task }) => {
                self.kill(Which::Task { app, task }, asked, true).await
            }
            ("GET", Route::Versions(id)) => self.versions(&id),
            ("GET", Route::Version { app, version }) => self.version(&app, &version),
            ("GET", Route::Deployments) => Ok(json(StatusCode::OK, &self.board.read().deployments)),
            ("DELETE", Route::Deployment(id)) => self.stop_deployment(id, asked).await,
            ("GET", Route::Tasks) => Ok(self.tasks(asked)),
            ("POST", Route::TasksDelete) => self.delete_tasks(asked).await,
            ("GET", Route::Queue) => Ok(self.queue(asked)),
            ("DELETE", Route::QueueDelay(app)) => {
                self.ask(Command::ResetDelay { app }).await?;
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            ("GET", Route::Events) => self.events(asked),
            ("GET", Route::Groups(id)) => self.get_group(&id),
            ("GET", Route::GroupVersions(id)) => self.group_versions(&id),
            ("GET", Route::GroupApps(id)) => self.group_apps(&id),
            ("POST" | "PUT", Route::Groups(id)) => self.put_group(id, asked).await,
            ("DELETE", Route::Groups(id)) => self.delete_group(&id, asked).await,
            ("GET", Route::Info) => Ok(json(StatusCode::OK, &self.info())),
            ("GET", Route::Leader) => Ok(json(StatusCode::OK, &self.leader())),
            ("GET", Route::Ping) => Ok(system::ping(&asked.headers)),
            ("GET", Route::Metrics) => Ok(json(StatusCode::OK, &self.metrics())),
            ("GET", Route::Plugins) => {
                Ok(json(StatusCode::OK, &serde_json::json!({ "plugins": [] })))
            }
            ("GET", Route::Root) => {
                Ok((StatusCode::FOUND, [(header::LOCATION, "/v2/info")]).into_response())
            }
            (_, Route::Pods) => {
                Err(Error::NotImplemented("pods are not available in this release"))
            }
            (_, Route::Unknown) => Err(Error::NotFound("URI not found".into())),
            _ => Err(Error::Method),
        }
    }

    /// Has the loop carry a command out.
    async fn ask(&self, command: Command) -> Result<Reply, Error> {
        let (answer, answered) = oneshot::channel();
        self.commands.send((command, answer)).await.map_err(|_| Error::Stopping)?;
        answered.await.map_err(|_| Error::Stopping)?.map_err(Error::Refused)
    }

    /// A command whose answer is a deployment.
    async fn deployed(&self, command: Command) -> Result<Response, Error> {
        match self.ask(command).await? {
            Reply::Deployed { deployment, created } => {
                let status = if created { StatusCode::CREATED } else { StatusCode::OK };
                Ok(with_deployment(json(status, &deployment), &deployment))
            }
            Reply::Created { .. } | Reply::Killed(_) | Reply::Done => {
                Ok(StatusCode::OK.into_response())
            }
        }
    }

    async fn kill(&self, which: Which, asked: &Asked, one: bool) -> Result<Response, Error> {
        let request = KillRequest {
            which,
            scale: asked.query.flag("scale"),
            wipe: asked.query.flag("wipe"),
            force: asked.query.flag("force"),
        };
        match self.ask(Command::Kill(request)).await? {
            Reply::Killed(tasks) if one => {
                Ok(json(StatusCode::OK, &serde_json::json!({ "task": tasks.first() })))
            }
            Reply::Killed(tasks) => {
                Ok(json(StatusCode::OK, &serde_json::json!({ "tasks": tasks })))
            }
            Reply::Deployed { deployment, .. } => {
                Ok(with_deployment(json(StatusCode::OK, &deployment), &deployment))
            }
            Reply::Created { .. } | Reply::Done => Ok(StatusCode::OK.into_response()),
        }
    }

    async fn stop_deployment(&self, id: String, asked: &Asked) -> Result<Response, Error> {
        let force = asked.query.flag("force");
        let command = Command::StopDeployment { id, force };
        if !force {
            return self.deployed(command).await;
        }
        self.ask(command).await?;
        Ok(StatusCode::ACCEPTED.into_response())
    }
}

impl Asked {
    /// The body as one JSON value.
    fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Json(error.to_string()))
    }

    fn object(&self) -> Result<Map<String, Value>, Error> {
        match self.json()? {
            Value::Object(map) => Ok(map),
            _ => Err(Error::Json("the body must be an object".into())),
        }
    }

    fn objects(&self) -> Result<Vec<Map<String, Value>>, Error> {
        let Value::Array(items) = self.json()? else {
            return Err(Error::Json("the body must be a list of objects".into()));
        };
        let object = |item| match item {
            Value::Object(map) => Ok(map),
            _ => Err(Error::Json("the body must be a list of objects".into())),
        };
        items.into_iter().map(object).collect()
    }

    fn origin(&self) -> Origin {
        let client_ip = self.client.map(|client| client.ip().to_string()).unwrap_or_default();
        Origin { client_ip, uri: self.uri.clone() }
    }

    fn accepts(&self, media_type: &str) -> bool {
        let accept = self
            .headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        accept
            .split(',')
            .any(|range| range.split(';').next().is_some_and(|range| range.trim() == media_type))
    }
}

fn item(id: Option<String>, body: Map<String, Value>) -> Item {
    Item { id, body }
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    // Answers hold strings, numbers, lists and maps with string keys.
    let text = serde_json::to_string(body).expect("answers always have a JSON form");
    json_text(status, text)
}

fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn with_deployment(mut response: Response, deployment: &DeploymentResult) -> Response {
    if let Ok(id) = HeaderValue::from_str(&deployment.deployment_id) {
        response.headers_mut().insert(HeaderName::from_static("marathon-deployment-id"), id);
    }
    response
}
