//! The files of a task: live log, folders, download.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use karman_rt::chain;

use super::layout::Layout;
use super::{App, missing, part, render, unavailable};
use crate::sandbox::{self, File, LocateError, Piece, READ_BYTES_MAX, Sandbox, Tail};
use crate::upstream::{Error, Upstream};
use crate::view::format::{When, bytes};

/// Lines of the past that a log starts with.
const BACKLOG_LINES: usize = 500;
const LOOK_EVERY: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Which {
    /// A file or a folder of the sandbox.
    path: String,
}

impl Which {
    fn file(&self) -> &str {
        if self.path.is_empty() { "stdout" } else { self.path.trim_matches('/') }
    }
}

#[derive(Template)]
#[template(path = "pages/log.html")]
struct Page {
    page: Layout,
    id: String,
    tab: &'static str,
    file: String,
    /// Why there is nothing to read, if there is not.
    problem: Option<String>,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    let (snapshot, located) = tokio::join!(
        app.watcher.snapshot(),
        sandbox::locate(&app.upstream, &app.config.master, &id)
    );
    let problem = match located {
        Ok(sandbox) => {
            sandbox.size(&app.upstream, which.file()).await.err().map(|error| unreadable(&error))
        }
        Err(LocateError::NoTask { .. }) => return missing(&format!("There is no task {id}.")),
        Err(error) => Some(chain(&error)),
    };
    let file = which.file().to_owned();
    let tab = match file.as_str() {
        "stdout" => "stdout",
        "stderr" => "stderr",
        _ => "files",
    };
    let page = Layout::new(&app, &snapshot, "tasks", format!("{file} of {id}"));
    render(&Page { page, id, tab, file, problem })
}

fn unreadable(error: &Error) -> String {
    match error {
        Error::Refused { status, .. } if status.as_u16() == 404 => {
            "The file does not exist: the task has not started yet, or its sandbox was cleaned up."
                .to_owned()
        }
        error => chain(error),
    }
}

/// Follows a file.
struct Follower {
    upstream: Upstream,
    sandbox: Sandbox,
    file: String,
    offset: Option<u64>,
}

#[derive(Template)]
#[template(path = "parts/lines.html")]
struct Lines {
    text: String,
}

impl Follower {
    /// What was written since the last call.
    async fn read(&mut self) -> Result<String, Error> {
        let size = self.sandbox.size(&self.upstream, &self.file).await?;
        let offset = match self.offset {
            None => {
                let Tail { text, .. } =
                    self.sandbox.tail(&self.upstream, &self.file, size, BACKLOG_LINES).await?;
                self.offset = Some(size);
                return Ok(text);
            }
            // A file that became shorter was started anew.
            Some(offset) if offset > size => 0,
            Some(offset) => offset,
        };
        let length = (size - offset).min(READ_BYTES_MAX);
        if length == 0 {
            return Ok(String::new());
        }
        let Piece { text, bytes } =
            self.sandbox.read(&self.upstream, &self.file, offset, length).await?;
        self.offset = Some(offset + bytes);
        Ok(text)
    }

    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            let text = self.read().await?;
            if !text.is_empty() {
                let id = self.offset.unwrap_or_default().to_string();
                return Ok(Event::default().event("lines").id(id).data(part(&Lines { text })));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

pub(super) async fn live(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Response {
    let sandbox = match sandbox::locate(&app.upstream, &app.config.master, &id).await {
        Ok(sandbox) => sandbox,
        Err(error) => return missing(&chain(&error)),
    };
    // A browser that lost the connection goes on where it was.
    let offset = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let follower =
        Follower { upstream: app.upstream.clone(), sandbox, file: which.file().to_owned(), offset };
    let events = stream::unfold(follower, |mut follower| async move {
        match follower.next().await {
            Ok(event) => Some((Ok::<_, Infallible>(event), follower)),
            Err(error) => {
                tracing::debug!(error = chain(&error), "log not followed any more");
                None
            }
        }
    });
    let stopped = app.stopped.clone().cancelled_owned();
    Sse::new(events.take_until(stopped))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

#[derive(Template)]
#[template(path = "pages/files.html")]
struct FilesPage {
    page: Layout,
    id: String,
    tab: &'static str,
    /// The folders above: name and path.
    crumbs: Vec<(String, String)>,
    entries: Vec<Entry>,
    problem: Option<String>,
}

struct Entry {
    name: String,
    path: String,
    folder: bool,
    size: String,
    changed: When,
    mode: String,
}

pub(super) async fn files(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    let folder = which.path.trim_matches('/').to_owned();
    let (snapshot, located) = tokio::join!(
        app.watcher.snapshot(),
        sandbox::locate(&app.upstream, &app.config.master, &id)
    );
    let found = match located {
        Ok(sandbox) => {
            sandbox.browse(&app.upstream, &folder).await.map_err(|error| unreadable(&error))
        }
        Err(LocateError::NoTask { .. }) => return missing(&format!("There is no task {id}.")),
        Err(error) => Err(chain(&error)),
    };
    let (files, problem) = match found {
        Ok(files) => (files, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let mut entries: Vec<Entry> =
        files.into_iter().map(|file| entry(file, &folder, snapshot.taken_ms)).collect();
    entries.sort_by(|a, b| (!a.folder, &a.name).cmp(&(!b.folder, &b.name)));
    let page = Layout::new(&app, &snapshot, "tasks", format!("files of {id}"));
    render(&FilesPage { page, id, tab: "files", crumbs: crumbs(&folder), entries, problem })
}

fn entry(file: File, folder: &str, now_ms: u64) -> Entry {
    let File { path, size, mtime, mode, .. } = file;
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    Entry {
        path: if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") },
        name,
        folder: mode.starts_with('d'),
        size: bytes(size),
        changed: When::at(mtime * 1000, now_ms),
        mode,
    }
}

fn crumbs(folder: &str) -> Vec<(String, String)> {
    let mut path = String::new();
    let parts = folder.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
            (part.to_owned(), path.clone())
        })
        .collect()
}

pub(super) async fn download(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    let sandbox = match sandbox::locate(&app.upstream, &app.config.master, &id).await {
        Ok(sandbox) => sandbox,
        Err(error) => return missing(&chain(&error)),
    };
    let file = which.file();
    match app.upstream.stream(&sandbox.url("download", file), "*/*").await {
        Ok(answer) => {
            let mut response = Response::new(Body::new(answer.into_body()));
            let headers = response.headers_mut();
            // Always saved, never shown: a task's file must not act as a page of ours.
            headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            let name: String = file
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .chars()
                .filter(|c| c.is_ascii_graphic() && *c != '"' && *c != '\\')
                .collect();
            if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                headers.insert(header::CONTENT_DISPOSITION, value);
            }
            response
        }
        Err(Error::Refused { status, .. }) if status.as_u16() == 404 => {
            missing("The task has no such file.")
        }
        Err(error) => unavailable(&error),
    }
}
