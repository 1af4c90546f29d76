//! Closing a connection so that the caller still reads the last answer.
//!
//! A socket closed with unread bytes sends a reset, which can destroy an answer on its way, such as the 413 to a body
//! that is still being sent. So the writing half is closed first, and what comes in is thrown away until the caller
//! closes too; bounded in bytes and time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use touchstone_platform::listen::Paced;

/// Most bytes that are thrown away.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long the caller may take to close.
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream whose shutdown lingers.
#[derive(Debug)]
pub(crate) struct Lingering {
    stream: Paced,
    closing: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Lingering {
    pub(crate) const fn new(stream: Paced) -> Self {
        Self { stream, closing: None }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, closing } = &mut *self;
        if closing.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let (deadline, discarded) = closing.get_or_insert_with(|| (Box::pin(sleep(PATIENCE)), 0));
        let mut scratch = [0u8; 4096];
        while *discarded < MOST_BYTES && deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *discarded += buf.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
