//! The socket of one connection: it can be closed from outside, and by itself
//! when the other side takes nothing for too long.
//!
//! A peer that does not read blocks a response for ever: the body is not asked
//! for more, so nobody there notices, and the kernel keeps the connection as
//! long as the peer's machine answers. Both ends are closed with a reset, so
//! that nothing of what was never read stays behind in the kernel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::stream::Stream;

/// The connection that a request came on; among its extensions.
#[derive(Clone, Debug, Default)]
pub struct Connection(CancellationToken);

impl Connection {
    /// Cuts it off, with all requests that it carries.
    pub fn close(&self) {
        self.0.cancel();
    }

    pub(super) async fn closed(&self) {
        self.0.cancelled().await;
    }
}

pub(super) struct Socket {
    stream: Stream,
    pub(super) connection: Connection,
    /// How long the peer may take nothing of what waits for it.
    pub(super) unread_max: Option<Duration>,
    blocked: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: Stream, unread_max: Option<Duration>) -> Self {
        Self { stream, connection: Connection::default(), unread_max, blocked: None }
    }

    pub(super) fn is_secured(&self) -> bool {
        !matches!(self.stream, Stream::Plain(_))
    }

    /// `written`, unless that has been pending for too long.
    fn patient(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(limit) = self.unread_max else { return written };
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(blocked.as_mut().poll(context));
        self.connection.close();
        let message = format!("the peer has read nothing for {} s", limit.as_secs_f64());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.connection.0.is_cancelled() {
            // Without it the kernel would go on offering what was not read.
            let _unimportant = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patient(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.patient(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
