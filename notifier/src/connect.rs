//! Connects to checked addresses only.
//!
//! Guarantee (design promise 6): the name is resolved once, every address is judged by the egress policy, and the
//! connection goes to an address that passed, so no later answer of a name server can lead it elsewhere. The policy is that
//! of the process, so no connection outlives it; each tells its age, so that whoever keeps it looks the name up again in
//! time.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use touchstone_platform::egress::EgressPolicy;

/// Why no connection was made. Tells no address: names of private networks are nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectFault {
    /// The name has no address.
    #[error("the name does not resolve")]
    Dns,
    /// No address may be reached.
    #[error("the address is not public")]
    Blocked,
    /// Nothing listens, or the network is unreachable.
    #[error("the connection was refused")]
    Refused,
    /// Resolving and connecting took too long.
    #[error("connecting took too long")]
    Timeout,
}

/// The error of this kind that another comes from, if there is one.
pub(crate) fn behind<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(present) = cause {
        if let Some(found) = present.downcast_ref() {
            return Some(found);
        }
        cause = present.source();
    }
    None
}

/// What is known of a connection, and the way to end it; among the extensions of its answers.
#[derive(Debug)]
pub(crate) struct Link {
    made_at: Instant,
    is_over: AtomicBool,
    reader: AtomicWaker,
}

impl Link {
    fn new() -> Arc<Self> {
        Arc::new(Self { made_at: Instant::now(), is_over: AtomicBool::new(false), reader: AtomicWaker::new() })
    }

    /// How long ago it was made.
    pub(crate) fn age(&self) -> Duration {
        self.made_at.elapsed()
    }

    /// Ends it, whatever is under way on it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.reader.wake();
    }
}

/// A connection that can be ended from outside.
#[derive(Debug)]
pub(crate) struct Stream {
    tcp: TcpStream,
    link: Arc<Link>,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.link))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.link.reader.register(cx.waker());
        if self.link.is_over.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// Makes TCP connections.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    egress: Arc<EgressPolicy>,
    limit: Duration,
}

impl Connector {
    pub(crate) fn new(egress: Arc<EgressPolicy>, limit: Duration) -> Self {
        Self { egress, limit }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<Stream>, ConnectFault> {
        tokio::time::timeout(self.limit, self.try_addresses(&uri)).await.map_err(|_| ConnectFault::Timeout)?
    }

    async fn try_addresses(&self, uri: &Uri) -> Result<TokioIo<Stream>, ConnectFault> {
        let host = uri.host().ok_or(ConnectFault::Dns)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        self.try_permitted(resolve(host, port).await?).await
    }

    /// Connects to the first of the addresses that is permitted and answers; the others are never asked.
    async fn try_permitted(&self, resolved: Vec<SocketAddr>) -> Result<TokioIo<Stream>, ConnectFault> {
        if resolved.is_empty() {
            return Err(ConnectFault::Dns);
        }
        let mut fault = ConnectFault::Blocked;
        for address in resolved.into_iter().filter(|address| self.egress.permits(address.ip())) {
            if let Ok(tcp) = TcpStream::connect(address).await {
                // Only speed is lost without it.
                let _ = tcp.set_nodelay(true);
                return Ok(TokioIo::new(Stream { tcp, link: Link::new() }));
            }
            fault = ConnectFault::Refused;
        }
        Err(fault)
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectFault> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    tokio::net::lookup_host((host, port)).await.map(Iterator::collect).map_err(|_| ConnectFault::Dns)
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectFault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fault_of(url: &str, allow: &str) -> Option<ConnectFault> {
        let egress = Arc::new(EgressPolicy::parse(allow).unwrap());
        let connector = Connector::new(egress, Duration::from_secs(2));
        connector.connect(url.parse().unwrap()).await.err()
    }

    #[tokio::test]
    async fn private_addresses_are_refused_in_every_form() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254", "0.0.0.0"]
        {
            let fault = fault_of(&format!("http://{host}:{port}/"), "").await;
            assert_eq!(fault, Some(ConnectFault::Blocked), "{host}");
        }
    }

    #[tokio::test]
    async fn exempted_network_is_reached_by_address_and_by_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(fault_of(&format!("http://{host}:{port}/"), "127.0.0.0/8").await, None, "{host}");
        }
    }

    /// A name may have any number of addresses, and others at the next look: only what this look gave is tried.
    #[tokio::test]
    async fn of_several_addresses_only_permitted_ones_are_connected_to() {
        let private = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = private.local_addr().unwrap().port();
        let public = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 3], port));
        let (private_at, public_at) = (private.local_addr().unwrap(), public.local_addr().unwrap());
        let egress = Arc::new(EgressPolicy::parse("127.0.0.2/31").unwrap());
        let connector = Connector::new(egress, Duration::from_secs(2));
        let reached = async |resolved: &[SocketAddr]| {
            connector.try_permitted(resolved.to_vec()).await.map(|stream| stream.inner().tcp.peer_addr().unwrap())
        };
        for resolved in
            [&[private_at, public_at][..], &[public_at, private_at], &[private_at, closed, private_at, public_at]]
        {
            assert_eq!(reached(resolved).await, Ok(public_at), "{resolved:?}");
        }
        assert_eq!(reached(&[private_at, private_at]).await, Err(ConnectFault::Blocked));
        assert_eq!(reached(&[private_at, closed]).await, Err(ConnectFault::Refused), "the private one is no way out");
        assert_eq!(reached(&[]).await, Err(ConnectFault::Dns));
        let heard = tokio::time::timeout(Duration::ZERO, private.accept()).await;
        assert!(heard.is_err(), "the private address was connected to");
    }

    #[tokio::test]
    async fn closed_port_and_unknown_name_are_told_apart() {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert_eq!(fault_of(&format!("http://127.0.0.1:{port}/"), "127.0.0.0/8").await, Some(ConnectFault::Refused));
        assert_eq!(fault_of("http://no-such-name.invalid/", "").await, Some(ConnectFault::Dns));
    }
}
