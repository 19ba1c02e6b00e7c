//! `GET /state` for many readers at once.
//!
//! One snapshot is written at a time, off the threads that serve others. Whoever
//! asks while one is being written waits for the next, and all who waited read
//! that one: however many ask, the work is that of one. What was written is
//! shared by its readers and gone with the last of them, or after a while for
//! those who do not read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Shared;
use super::render::stream::{self, Sink};
use crate::ledger::View;

/// Answers that are kept for those who have not read all of theirs.
const KEPT_MAX: usize = 4;
/// Who has not read all after this long is cut off.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// The answers that are being written or read.
#[derive(Debug)]
pub(crate) struct Answers {
    last: Mutex<Last>,
    room: Arc<Semaphore>,
    /// Something ended: look again.
    ended: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Last {
    answer: Weak<Answer>,
    is_being_written: bool,
}

impl Default for Answers {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(KEPT_MAX));
        Self { last: Mutex::default(), room, ended: watch::channel(()).0 }
    }
}

#[derive(Debug)]
struct Answer {
    view: Weak<View>,
    /// Its snapshot is not older than this.
    taken: Instant,
    written: Mutex<Written>,
    grown: watch::Sender<()>,
    ended: watch::Sender<()>,
}

#[derive(Debug)]
struct Written {
    chunks: Vec<Bytes>,
    state: State,
    room: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Growing,
    Whole,
    CutOff,
}

/// The reader did not read.
#[derive(Debug, thiserror::Error)]
#[error("the answer was not read within {} seconds", LIFE_MAX.as_secs())]
struct Expired;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn answer(shared: &Shared) -> Response {
    let answer = join(shared).await;
    let mut response = Response::new(Body::from_stream(read(answer)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The whole answer in one piece.
pub(super) async fn whole(shared: &Shared) -> Option<Vec<u8>> {
    use futures::StreamExt as _;
    let mut chunks = std::pin::pin!(read(join(shared).await));
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk.ok()?);
    }
    Some(all)
}

/// An answer from a snapshot that is not older than the question.
async fn join(shared: &Shared) -> Arc<Answer> {
    let answers = &shared.answers;
    let asked = Instant::now();
    let mut ended = answers.ended.subscribe();
    loop {
        {
            let view = shared.view();
            let mut last = lock(&answers.last);
            if let Some(answer) = last.answer.upgrade()
                && (answer.taken >= asked || answer.view.as_ptr() == Arc::as_ptr(&view))
                && lock(&answer.written).state != State::CutOff
            {
                return answer;
            }
            if !last.is_being_written
                && let Ok(room) = Arc::clone(&answers.room).try_acquire_owned()
            {
                last.is_being_written = true;
                let answer = start(shared, view, room);
                last.answer = Arc::downgrade(&answer);
                return answer;
            }
            ended.mark_unchanged();
        }
        // The sender lives as long as the answers.
        let _alive = ended.changed().await;
    }
}

fn start(shared: &Shared, view: Arc<View>, room: OwnedSemaphorePermit) -> Arc<Answer> {
    let answer = Arc::new(Answer {
        view: Arc::downgrade(&view),
        taken: Instant::now(),
        written: Mutex::new(Written {
            chunks: Vec::new(),
            state: State::Growing,
            room: Some(room),
        }),
        grown: watch::channel(()).0,
        ended: shared.answers.ended.clone(),
    });
    let (cluster, version) = (shared.cluster_name.clone(), shared.version);
    let mut growing = Growing { answer: Arc::clone(&answer), is_whole: false };
    let answers = Arc::clone(&shared.answers);
    tokio::task::spawn_blocking(move || {
        let _ended = Ended(answers);
        stream::state(&view, &cluster, version, &mut growing);
        growing.finish();
    });
    let old = Arc::downgrade(&answer);
    shared.tasks.spawn("state-expiry", async move {
        tokio::time::sleep(LIFE_MAX).await;
        if let Some(answer) = old.upgrade() {
            answer.end(State::CutOff);
        }
    });
    answer
}

impl Answer {
    fn end(&self, state: State) {
        let mut written = lock(&self.written);
        if state == State::CutOff {
            written.chunks.clear();
            written.room = None;
        }
        written.state = state;
        drop(written);
        self.grown.send_replace(());
        self.ended.send_replace(());
    }
}

/// Lets the next answer be written, also if this one failed.
struct Ended(Arc<Answers>);

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.0.last).is_being_written = false;
        self.0.ended.send_replace(());
    }
}

struct Growing {
    answer: Arc<Answer>,
    is_whole: bool,
}

impl Growing {
    const fn finish(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.answer.end(if self.is_whole { State::Whole } else { State::CutOff });
    }
}

impl Sink for Growing {
    fn take(&mut self, chunk: Bytes) -> bool {
        lock(&self.answer.written).chunks.push(chunk);
        self.answer.grown.send_replace(());
        // Only this one holds it: all readers have gone.
        Arc::strong_count(&self.answer) > 1
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // There must be room when others look again.
        lock(&self.written).room = None;
        self.ended.send_replace(());
    }
}

fn read(answer: Arc<Answer>) -> impl Stream<Item = Result<Bytes, Expired>> {
    let grown = answer.grown.subscribe();
    futures::stream::unfold((answer, grown, 0), |(answer, mut grown, at)| async move {
        loop {
            let next = {
                let written = lock(&answer.written);
                grown.mark_unchanged();
                (written.chunks.get(at).cloned(), written.state)
            };
            match next {
                (Some(chunk), _) => return Some((Ok(chunk), (answer, grown, at + 1))),
                (None, State::Whole) => return None,
                (None, State::CutOff) if at == usize::MAX => return None,
                (None, State::CutOff) => return Some((Err(Expired), (answer, grown, usize::MAX))),
                (None, State::Growing) => {
                    let _alive = grown.changed().await;
                }
            }
        }
    })
}
