//! The agent's end of the socket of a shim.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{Decoder, Frame, Kind, encode};
use crate::shim::console::SOCKET;
use crate::shim::records::RunDir;

const READ_BYTES: usize = 16 * 1024;

/// Why nobody can attach.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the container has nothing to attach to")]
    NoConsole(#[source] io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("the connection to the container broke")]
    Broken(#[source] io::Error),
}

/// Speaks to the process.
#[derive(Debug)]
pub(crate) struct Writer(OwnedWriteHalf);

/// Hears what it says.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
}

/// Connects and is welcome.
pub(crate) async fn connect(run: &RunDir, wants: u8) -> Result<(Reader, Writer), Error> {
    // Paths of run folders are longer than addresses of sockets may be.
    let folder = File::open(run.path()).map_err(Error::NoConsole)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    let stream = UnixStream::connect(path).await.map_err(Error::NoConsole)?;
    let (reader, writer) = stream.into_split();
    let buffer = vec![0; READ_BYTES];
    let mut reader = Reader { stream: reader, decoder: Decoder::default(), buffer };
    let mut writer = Writer(writer);
    writer.say(Kind::Hello, &[wants]).await?;
    match reader.hear().await? {
        Some(Frame { kind: Kind::Welcome, .. }) => Ok((reader, writer)),
        Some(Frame { kind: Kind::Refused, payload }) => {
            Err(Error::Refused(String::from_utf8_lossy(&payload).into_owned()))
        }
        Some(_) | None => Err(Error::Broken(io::ErrorKind::UnexpectedEof.into())),
    }
}

impl Writer {
    pub(crate) async fn say(&mut self, kind: Kind, payload: &[u8]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        encode(kind, payload, &mut bytes);
        self.0.write_all(&bytes).await.map_err(Error::Broken)
    }
}

impl Reader {
    /// The next frame; none if the shim is gone.
    pub(crate) async fn hear(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let next = self.decoder.next_frame();
            if let Some(frame) = next.map_err(|error| Error::Broken(io::Error::other(error)))? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut self.buffer).await.map_err(Error::Broken)? {
                0 => return Ok(None),
                length => self.decoder.push(self.buffer.get(..length).unwrap_or_default()),
            }
        }
    }
}
