//! `/system/v1/logs/v2/task/<id>[/file/<file>]`: the files of a task as lines,
//! read through the files API of its agent.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use futures::stream;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use karman_dashboard::sandbox::{self, LocateError, Piece, READ_BYTES_MAX, Sandbox};
use karman_dashboard::upstream::{Error, Upstream};
use karman_rt::chain;
use serde_json::json;

use self::query::{Cursor, Form, Query};
use crate::answer;
use crate::front::Front;
use crate::proxy::Destination;
use crate::route::LogForm;

mod query;

/// How often a followed file is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn answer(
    front: &Front,
    task: &str,
    file: &str,
    form: LogForm,
    request: &Parts,
) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return answer::method_not_allowed("GET");
    }
    let sandbox = match sandbox::locate(&front.cluster.upstream, front.cluster.master(), task).await
    {
        Ok(sandbox) => sandbox,
        Err(error @ (LocateError::NoTask { .. } | LocateError::NoAgent { .. })) => {
            return answer::error(StatusCode::NOT_FOUND, "ERR_NO_TASK", &error.to_string(), false);
        }
        Err(LocateError::Upstream(error)) => return crate::front::unavailable(&error, false),
    };
    match form {
        LogForm::Browse => pass(front, &sandbox, "browse", "").await,
        LogForm::Download => pass(front, &sandbox, "download", file).await,
        LogForm::Lines => lines(front, sandbox, file, request).await,
    }
}

/// Hands the agent's own answer on.
async fn pass(front: &Front, sandbox: &Sandbox, endpoint: &str, file: &str) -> Response {
    let url = sandbox.url(endpoint, file);
    let path = url.strip_prefix(&sandbox.agent).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = Request::new(Body::empty());
    if let Ok(uri) = format!("/?{query}").parse() {
        *request.uri_mut() = uri;
    }
    let to = Destination {
        name: format!("agent {}", sandbox.agent_id),
        base: sandbox.agent.clone(),
        path: path.to_owned(),
        prefix: String::new(),
        token: false,
        credentials: None,
    };
    front.proxy.forward(request, &to, None).await
}

async fn lines(front: &Front, sandbox: Sandbox, file: &str, request: &Parts) -> Response {
    let last_event = request.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let query = match query::parse(request.uri.query().unwrap_or_default(), last_event) {
        Ok(query) => query,
        Err(error) => {
            return answer::error(StatusCode::BAD_REQUEST, "ERR_QUERY", &error.to_string(), false);
        }
    };
    let accept = request.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let form = query::form(accept.unwrap_or_default());
    let mut reader = Reader {
        upstream: front.cluster.upstream.clone(),
        sandbox,
        file: file.to_owned(),
        offset: 0,
        lines: VecDeque::new(),
        skip: 0,
        left: query.limit,
        form,
    };
    if let Err(error) = reader.seek(&query).await {
        return failed(&error);
    }
    let mut response = Response::new(reader.into_body());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    response
}

/// What the agent says of the request itself, such as that a path leads out of
/// the sandbox, is the caller's to hear; all else means that it is not there.
fn failed(error: &Error) -> Response {
    let Error::Refused { status, message, .. } = error else {
        return crate::front::unavailable(error, false);
    };
    match *status {
        StatusCode::NOT_FOUND => {
            let message = "the task has no such file";
            answer::error(StatusCode::NOT_FOUND, "ERR_NO_FILE", message, false)
        }
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => {
            answer::error(*status, "ERR_PATH", message, false)
        }
        _ => crate::front::unavailable(error, false),
    }
}

/// Reads a file line by line from where the caller asked.
struct Reader {
    upstream: Upstream,
    sandbox: Sandbox,
    file: String,
    /// Where the next read starts; always at the start of a line.
    offset: u64,
    /// Lines that were read and not sent, each with the offset of its end.
    lines: VecDeque<(u64, String)>,
    /// Lines to leave out first.
    skip: u64,
    /// Lines still to send.
    left: Option<u64>,
    form: Form,
}

impl Reader {
    /// Goes to the start of the first line to send.
    async fn seek(&mut self, query: &Query) -> Result<(), Error> {
        let size = self.sandbox.size(&self.upstream, &self.file).await?;
        let at = match query.cursor {
            Cursor::Beginning => 0,
            Cursor::End => size,
            Cursor::Byte(byte) => byte.min(size),
        };
        match u64::try_from(query.skip) {
            Ok(skip) => (self.offset, self.skip) = (at, skip),
            Err(_negative) => {
                let back = usize::try_from(query.skip.unsigned_abs()).unwrap_or(usize::MAX);
                self.offset = self.sandbox.tail(&self.upstream, &self.file, at, back).await?.offset;
            }
        }
        Ok(())
    }

    /// Reads on; false at the end of the file.
    async fn fill(&mut self) -> Result<bool, Error> {
        let size = self.sandbox.size(&self.upstream, &self.file).await?;
        // A file that became shorter was started anew.
        self.offset = if size < self.offset { 0 } else { self.offset };
        let length = (size - self.offset).min(READ_BYTES_MAX);
        if length == 0 {
            return Ok(false);
        }
        let Piece { text, bytes } =
            self.sandbox.read(&self.upstream, &self.file, self.offset, length).await?;
        let last = self.offset + bytes == size && self.form != Form::Events;
        let (lines, read) = query::split(&text, bytes, last);
        for (length, line) in lines {
            self.offset += length;
            self.lines.push_back((self.offset, line));
        }
        debug_assert!(
            read > 0 || self.form == Form::Events,
            "a reader that does not follow always moves on"
        );
        Ok(read > 0)
    }

    /// The next piece of the answer; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let mut out = String::new();
            while let Some((end, line)) = self.lines.pop_front() {
                if self.skip > 0 {
                    self.skip -= 1;
                    continue;
                }
                match self.left.as_mut() {
                    Some(0) => break,
                    Some(left) => *left -= 1,
                    None => {}
                }
                self.write(&mut out, end, &line);
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
            if self.left == Some(0) {
                return Ok(None);
            }
            if !self.fill().await? {
                if self.form != Form::Events {
                    return Ok(None);
                }
                tokio::time::sleep(FOLLOW_EVERY).await;
            }
        }
    }

    fn write(&self, out: &mut String, end: u64, line: &str) {
        let text = line.strip_suffix('\n').unwrap_or(line);
        if self.form == Form::Text {
            out.push_str(line);
            return;
        }
        let entry = json!({
            "fields": {
                "MESSAGE": text,
                "FILE": self.file,
                "AGENT_ID": self.sandbox.agent_id,
                "FRAMEWORK_ID": self.sandbox.framework_id,
                "EXECUTOR_ID": self.sandbox.executor_id,
                "CONTAINER_ID": self.sandbox.container_id,
            },
            "cursor": end.to_string(),
            // A file does not say when a line was written.
            "realtime_timestamp": 0,
        });
        match self.form {
            Form::Events => out.push_str(&format!("id: {end}\ndata: {entry}\n\n")),
            Form::Json | Form::Text => out.push_str(&format!("{entry}\n")),
        }
    }

    fn into_body(self) -> Body {
        let pieces = stream::try_unfold(self, |mut reader| async move {
            match reader.next().await {
                Ok(Some(piece)) => Ok(Some((piece, reader))),
                Ok(None) => Ok(None),
                Err(error) => {
                    tracing::debug!(error = chain(&error), "log reading broke off");
                    Err(error)
                }
            }
        });
        Body::from_stream(pieces)
    }
}
