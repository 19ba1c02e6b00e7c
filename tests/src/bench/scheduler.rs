//! A framework that wastes nothing: its calls are pipelined over a few plain
//! connections, its events are read as they come.

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use karman_api::codec::Codec;
use karman_api::mesos::v1;
use karman_api::mesos::v1::scheduler::{Call, Event, call};
use karman_api::recordio::Decoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

const PATH: &str = "/api/v1/scheduler";
/// Calls that wait for a connection to take them.
const CALLS_MAX: usize = 65_536;
const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;
const WRITE_BYTES: usize = 256 * 1024;

/// A subscription.
pub(crate) struct Scheduler {
    pub(crate) framework: v1::FrameworkId,
    stream: String,
    port: u16,
    codec: Codec,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Scheduler {
    pub(crate) async fn subscribe(
        port: u16,
        codec: Codec,
        info: v1::FrameworkInfo,
    ) -> Result<Self> {
        let call = Call {
            r#type: Some(call::Type::Subscribe.into()),
            framework_id: info.id.clone(),
            subscribe: Some(call::Subscribe { framework_info: info, ..Default::default() }),
            ..Default::default()
        };
        let response = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .post(format!("http://127.0.0.1:{port}{PATH}"))
            .header("Content-Type", codec.media_type())
            .header("Accept", codec.media_type())
            .body(codec.encode(&call))
            .send()
            .await?
            .error_for_status()?;
        let stream = response.headers().get("Mesos-Stream-Id").context("no stream id")?;
        let stream = stream.to_str()?.to_owned();
        let (sender, mut events) = mpsc::channel(CALLS_MAX);
        tokio::spawn(read_events(response, codec, sender));
        let first = events.recv().await.context("the stream ended")?;
        let framework = first.subscribed.context("not subscribed")?.framework_id;
        Ok(Self { framework, stream, port, codec, events })
    }

    /// A connection for calls.
    pub(crate) async fn pipe(&self) -> Result<Pipe> {
        let connection = TcpStream::connect(("127.0.0.1", self.port)).await?;
        connection.set_nodelay(true)?;
        let (reader, writer) = connection.into_split();
        let (calls, queue) = mpsc::channel(CALLS_MAX);
        let pipe = Pipe {
            calls,
            head: format!(
                "POST {PATH} HTTP/1.1\r\nHost: master\r\nContent-Type: {}\r\nMesos-Stream-Id: {}\r\nContent-Length: ",
                self.codec.media_type(),
                self.stream
            ),
            codec: self.codec,
            framework: self.framework.clone(),
        };
        tokio::spawn(write(queue, writer));
        tokio::spawn(read(reader));
        Ok(pipe)
    }
}

async fn read_events(response: reqwest::Response, codec: Codec, events: mpsc::Sender<Event>) {
    let mut decoder = Decoder::new(RECORD_BYTES_MAX);
    let mut body = response.bytes_stream();
    while let Some(Ok(chunk)) = body.next().await {
        decoder.push(&chunk);
        while let Ok(Some(record)) = decoder.next_record() {
            let Ok(event) = codec.decode::<Event>(&record) else { return };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// Calls in order, each sent without waiting for the answer to the last.
pub(crate) struct Pipe {
    calls: mpsc::Sender<Vec<u8>>,
    head: String,
    codec: Codec,
    framework: v1::FrameworkId,
}

impl Pipe {
    pub(crate) async fn send(&self, call: Call) -> Result<()> {
        let call = Call { framework_id: Some(self.framework.clone()), ..call };
        let body = self.codec.encode(&call);
        let mut bytes = Vec::with_capacity(self.head.len() + body.len() + 16);
        bytes.extend_from_slice(self.head.as_bytes());
        bytes.extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        self.calls.send(bytes).await.context("the connection ended")
    }
}

async fn write(mut queue: mpsc::Receiver<Vec<u8>>, mut writer: OwnedWriteHalf) {
    let mut buffer = Vec::with_capacity(WRITE_BYTES);
    while let Some(call) = queue.recv().await {
        buffer.extend_from_slice(&call);
        while buffer.len() < WRITE_BYTES
            && let Ok(call) = queue.try_recv()
        {
            buffer.extend_from_slice(&call);
        }
        if writer.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.clear();
    }
}

/// Reads the answers; all of them are `202 Accepted` without a body.
async fn read(mut reader: OwnedReadHalf) -> Result<()> {
    const END: &[u8] = b"\r\n\r\n";
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut begin = 0;
        while let Some(length) =
            buffer.get(begin..).unwrap_or_default().windows(END.len()).position(|it| it == END)
        {
            let answer = buffer.get(begin..).unwrap_or_default();
            ensure!(answer.starts_with(b"HTTP/1.1 202"), "{}", String::from_utf8_lossy(answer));
            begin += length + END.len();
        }
        buffer.drain(..begin);
    }
}
