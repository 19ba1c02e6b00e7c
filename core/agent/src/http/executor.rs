//! `POST /api/v1/executor`: what executors that frameworks bring along say, and the
//! stream over which they hear.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use karman_api::codec::Codec;
use karman_api::mesos::v1::executor::{Call, Event as Word, call, event};
use karman_api::recordio;
use karman_rt::Tasks;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Shared;
use super::codec::{codec_of_answer, codec_of_body, refuse};
use crate::core::{Ask, Asked, Event, Line, Refused, WORDS_MAX};
use crate::executors;

/// As often as the original does: connections to a process of the same machine do
/// not break unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);

/// Streams of this process, told apart.
static STREAMS: AtomicU64 = AtomicU64::new(1);

pub(super) async fn call(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match read_call(&headers, &body) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    let token = match token(&headers) {
        Ok(token) => token,
        Err(response) => return *response,
    };
    let Call { executor_id, framework_id, r#type: _, subscribe, update, message } = call;
    let who = Who { framework_id: framework_id.value, executor_id: executor_id.value, token };
    match (subscribe, update, message) {
        (Some(asked), _, _) => subscribe_to(&shared, &headers, who, asked).await,
        (None, Some(update), _) => shared.hear(who, Ask::Update(Box::new(update.status))).await,
        (None, None, Some(message)) => shared.hear(who, Ask::Message(message.data)).await,
        // Whatever became of its executor, as the original answers it.
        (None, None, None) => StatusCode::ACCEPTED.into_response(),
    }
}

/// Who calls.
struct Who {
    framework_id: String,
    executor_id: String,
    token: Option<String>,
}

/// A call with nothing but what belongs to its type.
fn read_call(headers: &HeaderMap, body: &[u8]) -> Result<Call, Box<Response>> {
    let codec = codec_of_body(headers)?;
    let bad = |message: String| Box::new(refuse(StatusCode::BAD_REQUEST, &message));
    let mut call: Call = codec.decode(body).map_err(|error| bad(error.to_string()))?;
    executors::check(&call)
        .map_err(|error| bad(format!("Failed to validate executor::Call: {error}")))?;
    let kind = call.r#type();
    call.subscribe = call.subscribe.filter(|_| kind == call::Type::Subscribe);
    call.update = call.update.filter(|_| kind == call::Type::Update);
    call.message = call.message.filter(|_| kind == call::Type::Message);
    Ok(call)
}

/// The token that an executor was given, if it shows it: older libraries do not.
fn token(headers: &HeaderMap) -> Result<Option<String>, Box<Response>> {
    let Some(shown) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let shown = shown.to_str().ok().and_then(|shown| shown.trim().split_once(' '));
    match shown {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(Some(token.trim().to_owned()))
        }
        Some(_) | None => {
            let message = "Expecting 'Authorization' of 'Bearer' with the token of the executor";
            Err(Box::new(refuse(StatusCode::UNAUTHORIZED, message)))
        }
    }
}

impl Shared {
    async fn hear(&self, who: Who, ask: Ask) -> Response {
        match self.ask(who, ask).await {
            Ok(()) => StatusCode::ACCEPTED.into_response(),
            Err(response) => *response,
        }
    }

    async fn ask(&self, who: Who, ask: Ask) -> Result<(), Box<Response>> {
        let stopping =
            || Box::new(refuse(StatusCode::SERVICE_UNAVAILABLE, "The agent is stopping"));
        let Who { framework_id, executor_id, token } = who;
        let (reply, answer) = oneshot::channel();
        let asked = Asked { framework_id, executor_id, token, ask, reply };
        let sent = self.events.send(Event::Executor(Box::new(asked))).await;
        sent.map_err(|_stopped| stopping())?;
        let answer = answer.await.map_err(|_stopped| stopping())?;
        answer.map_err(|refused| {
            let status = match refused {
                Refused::NoFramework | Refused::NoExecutor => StatusCode::BAD_REQUEST,
                Refused::NotSubscribed | Refused::WrongToken => StatusCode::FORBIDDEN,
                Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            };
            Box::new(refuse(status, &refused.to_string()))
        })
    }
}

async fn subscribe_to(
    shared: &Shared,
    headers: &HeaderMap,
    who: Who,
    asked: call::Subscribe,
) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let codec = match codec_of_answer(accept) {
        Ok(codec) => codec,
        Err(response) => return *response,
    };
    let number = STREAMS.fetch_add(1, Ordering::Relaxed);
    let (words, incoming) = mpsc::channel(WORDS_MAX);
    let (container, told) = oneshot::channel();
    let call::Subscribe { unacknowledged_tasks, unacknowledged_updates } = asked;
    let ask = Ask::Subscribe {
        tasks: unacknowledged_tasks.into_iter().map(|task| task.task_id.value).collect(),
        updates: unacknowledged_updates.into_iter().map(|update| update.status).collect(),
        line: Line { number, words, container },
    };
    if let Err(response) = shared.ask(who, ask).await {
        return *response;
    }
    let Ok(container_id) = told.await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "The agent is stopping");
    };
    let guard = Guard {
        events: shared.events.clone(),
        tasks: shared.tasks.clone(),
        container_id,
        stream: number,
    };
    let mut response = Response::new(Body::from_stream(stream(incoming, codec, guard)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(codec.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Source {
    incoming: mpsc::Receiver<Word>,
    heartbeat: Interval,
    codec: Codec,
    _guard: Guard,
}

/// Tells the core that the connection is gone.
struct Guard {
    events: mpsc::Sender<Event>,
    tasks: Tasks,
    container_id: String,
    stream: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let event = Event::ExecutorHungUp {
            container_id: std::mem::take(&mut self.container_id),
            stream: self.stream,
        };
        let events = self.events.clone();
        self.tasks.spawn("hang-up", async move {
            // A core that has stopped does not care.
            let _stopped = events.send(event).await;
        });
    }
}

fn stream(
    incoming: mpsc::Receiver<Word>,
    codec: Codec,
    guard: Guard,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let source = Source { incoming, heartbeat, codec, _guard: guard };
    futures::stream::unfold(source, |mut source| async move {
        let word = tokio::select! {
            biased;
            word = source.incoming.recv() => word?,
            _ = source.heartbeat.tick() => {
                Word { r#type: Some(event::Type::Heartbeat.into()), ..Word::default() }
            }
        };
        Some((Ok(recordio::encode(&source.codec.encode(&word))), source))
    })
}
