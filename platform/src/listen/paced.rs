//! A connection whose other side has to read.
//!
//! Guarantee: when a write has to wait, the connection ends as soon as nothing was taken for [`WriteLimits::stall`], or not
//! all of it within [`WriteLimits::total`]; its unsent bytes are thrown away with it. While a write waits nothing is read,
//! so requests that are sent without reading the answers stay in the network. The kernel keeps at most [`SEND_BUFFER`]
//! bytes twice over for a connection, and ends one whose other side has vanished after [`USER_TIMEOUT`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long sent bytes may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that wait in the kernel to be sent; it sets aside twice as many.
const SEND_BUFFER: usize = 128 * 1024;

/// How long the other side may take to read.
#[derive(Debug, Clone, Copy)]
pub struct WriteLimits {
    /// Longest time in which it takes nothing.
    pub stall: Duration,
    /// Longest time until it has taken all that was ready to be sent.
    pub total: Duration,
}

impl Default for WriteLimits {
    fn default() -> Self {
        Self { stall: Duration::from_secs(10), total: Duration::from_secs(60) }
    }
}

/// A connection under such limits.
#[derive(Debug)]
pub struct Paced {
    stream: TcpStream,
    limits: WriteLimits,
    waiting: Option<Waiting>,
    /// Who wanted to read while a write waited.
    reader: Option<Waker>,
}

/// A write that has to wait, until all is written.
#[derive(Debug)]
struct Waiting {
    ends_at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Paced {
    /// Takes a connection over. Options that the system refuses are logged: the limits hold without them.
    pub fn new(stream: TcpStream, limits: WriteLimits) -> Self {
        let socket = SockRef::from(&stream);
        let set = stream
            .set_nodelay(true)
            .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER))
            .and_then(|()| socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
        if let Err(error) = set {
            tracing::debug!(%error, "an option of a connection was refused");
        }
        Self { stream, limits, waiting: None, reader: None }
    }

    /// Watches the clock over a write.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let (now, limits) = (Instant::now(), self.limits);
        let may_take_until = |ends_at: Instant| ends_at.min(now + limits.stall);
        match (&written, &mut self.waiting) {
            (Poll::Ready(_), None) => return written,
            (Poll::Ready(_), Some(waiting)) => waiting.timer.as_mut().reset(may_take_until(waiting.ends_at)),
            (Poll::Pending, Some(_)) => {}
            (Poll::Pending, waiting @ None) => {
                let ends_at = now + limits.total;
                let timer = Box::pin(sleep_until(may_take_until(ends_at)));
                *waiting = Some(Waiting { ends_at, timer });
            }
        }
        let is_over = self
            .waiting
            .as_mut()
            .is_some_and(|waiting| now >= waiting.ends_at || waiting.timer.as_mut().poll(cx).is_ready());
        if is_over { Poll::Ready(Err(self.give_up())) } else { written }
    }

    /// All is written: reading goes on.
    fn is_written(&mut self) {
        self.waiting = None;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Has the connection reset when it is closed, so that the kernel does not keep what was not taken.
    fn give_up(&self) -> io::Error {
        metrics::counter!("touchstone_http_connections_dropped_total", "reason" => "not_read").increment(1);
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection could not be set to be reset");
        }
        io::Error::new(io::ErrorKind::TimedOut, "the other side does not read its answers")
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_some() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    /// What was written is with the kernel: nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_written();
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_written();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    /// Never, as far as a test goes: only the other limit can end a write.
    const NEVER: Duration = Duration::from_secs(3_600);

    async fn pair(limits: WriteLimits) -> (Paced, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Paced::new(far.unwrap().0, limits), near.unwrap())
    }

    #[tokio::test]
    async fn side_that_does_not_read_is_given_up_and_reset() {
        let (mut paced, mut near) = pair(WriteLimits { stall: SOON, total: NEVER }).await;
        let error = paced.write_all(&vec![b'x'; 16 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(paced);
        assert!(near.read_to_end(&mut Vec::new()).await.is_err(), "the rest is thrown away");
    }

    #[tokio::test]
    async fn side_that_reads_a_little_all_the_time_has_the_total_limit() {
        let (mut paced, mut near) = pair(WriteLimits { stall: NEVER, total: SOON }).await;
        let reading = tokio::spawn(async move {
            let mut some = [0u8; 64 * 1024];
            while near.read_exact(&mut some).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let error = paced.write_all(&vec![b'x'; 256 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(paced);
        reading.await.unwrap();
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn reader_that_had_to_wait_for_a_write_is_woken_when_it_is_over() {
        let (mut paced, _near) = pair(WriteLimits::default()).await;
        assert!(futures_util::poll!(Box::pin(paced.write_all(&vec![b'x'; 8 << 20]))).is_pending());
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let (mut cx, mut byte) = (Context::from_waker(&waker), [0]);
        let mut buf = ReadBuf::new(&mut byte);
        assert!(Pin::new(&mut paced).poll_read(&mut cx, &mut buf).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        paced.flush().await.unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "else nothing would ask whether there is something to read");
    }

    #[tokio::test]
    async fn side_that_reads_gets_everything_and_nothing_is_read_while_a_write_waits() {
        let (mut paced, mut near) = pair(WriteLimits::default()).await;
        near.write_all(b"request").await.unwrap();
        let body = vec![b'x'; 8 << 20];
        let mut writing = Box::pin(paced.write_all(&body));
        assert!(futures_util::poll!(&mut writing).is_pending());
        drop(writing);
        assert!(futures_util::poll!(std::pin::pin!(paced.read_u8())).is_pending(), "the answer comes first");
        paced.flush().await.unwrap();
        assert_eq!(paced.read_u8().await.unwrap(), b'r');
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            near.read_to_end(&mut all).await.map(|_| all.len())
        });
        paced.write_all(&body).await.unwrap();
        paced.shutdown().await.unwrap();
        drop(paced);
        assert!(reading.await.unwrap().unwrap() >= body.len());
    }
}
