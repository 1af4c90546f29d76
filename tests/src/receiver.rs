//! A merchant's webhook receiver: records what arrives and misbehaves on request. Over TLS it speaks HTTP/2 where its
//! certificate's protocols say so, HTTP/1.1 otherwise.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll, ready},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response, Version,
    body::{Body, Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::Sha256;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
    time::Interval,
};
use tokio_rustls::TlsAcceptor;

use crate::eventually;

/// Pause between the bytes of a dripping answer.
const DRIP_INTERVAL: Duration = Duration::from_millis(200);

/// What a flooding answer sends at once.
const FLOOD_FRAME: &[u8] = &[b'x'; 64 * 1024];

/// How the receiver meets a delivery.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers this status with these header fields.
    Answer(u16, Vec<(String, String)>),
    /// Takes the request and never answers.
    Hang,
    /// Answers 200 when there is a permit, which it uses up.
    Hold(Arc<Semaphore>),
    /// Answers 200 and then sends its body byte by byte for ever.
    Drip,
    /// Answers 200 and then sends its body as fast as it is taken, for ever.
    Flood,
    /// Closes the connection without an answer.
    Close,
}

impl Behaviour {
    /// Answers a bare status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new())
    }
}

/// One delivery as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The path and query that it was sent to.
    pub path: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its raw body.
    pub body: Bytes,
    /// The HTTP that it came by.
    pub version: Version,
    /// Which of the receiver's connections it came by, from 1.
    pub connection: usize,
    /// When it was complete.
    pub received_at: Instant,
}

impl Delivery {
    /// A header field as text; empty when it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the delivery is no JSON")
    }

    /// Verifies the Standard Webhooks 1.0 signature, as a merchant does (contracts.md §5).
    ///
    /// # Errors
    /// When no `v1` signature among those sent is made with `secret` (`whsec_…`).
    pub fn verify(&self, secret: &str) -> anyhow::Result<()> {
        let key = secret.strip_prefix("whsec_").context("the secret does not begin with whsec_")?;
        let key = BASE64_STANDARD.decode(key).context("the secret is no base64")?;
        ensure!((24..=64).contains(&key.len()), "the secret has {} bytes", key.len());
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).as_bytes());
        mac.update(&self.body);
        for signature in self.header("webhook-signature").split(' ') {
            let Some(signature) = signature.strip_prefix("v1,") else { continue };
            let signature = BASE64_STANDARD.decode(signature).context("the signature is no base64")?;
            if mac.clone().verify_slice(&signature).is_ok() {
                return Ok(());
            }
        }
        bail!("no signature fits: {:?}", self.header("webhook-signature"))
    }
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    deliveries: Vec<Delivery>,
    flood: Flood,
    /// Connections that were opened.
    opened: usize,
    /// Those of them that have ended.
    closed: usize,
}

/// What became of flooding answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// Bytes that went out, what waits in the operating system's buffers included.
    pub sent_bytes: u64,
    /// Answers that ended because their connection was closed.
    pub closed: usize,
}

/// A running receiver; it stops when dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    server: AbortHandle,
}

impl Receiver {
    /// Starts one that answers 200.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// Starts one that speaks TLS.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_tls(acceptor: TlsAcceptor) -> anyhow::Result<Self> {
        Self::start_with(Some(acceptor)).await
    }

    async fn start_with(acceptor: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::status(200),
            deliveries: Vec::new(),
            flood: Flood::default(),
            opened: 0,
            closed: 0,
        }));
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let server = tokio::spawn(accept(listener, acceptor, Arc::clone(&state))).abort_handle();
        Ok(Self { address, scheme, state, server })
    }

    /// Where merchants would register it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}/webhooks", self.scheme, self.address)
    }

    /// Connections that are open, those of failed handshakes left out.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        let state = lock(&self.state);
        state.opened - state.closed
    }

    /// From now on, deliveries are met so.
    pub fn behave(&self, behaviour: Behaviour) {
        lock(&self.state).behaviour = behaviour;
    }

    /// Everything that has arrived, oldest first, whatever it was answered.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.state).deliveries.clone()
    }

    /// What became of flooding answers until now.
    #[must_use]
    pub fn flood(&self) -> Flood {
        lock(&self.state).flood
    }

    /// Waits until at least `count` deliveries have arrived, and gives all.
    ///
    /// # Errors
    /// When `within` passes first.
    pub async fn wait_for(&self, count: usize, within: Duration) -> anyhow::Result<Vec<Delivery>> {
        let what = format!("{count} deliveries");
        let waited = eventually(within, &what, async || Some(self.deliveries()).filter(|all| all.len() >= count)).await;
        waited.with_context(|| format!("{} had arrived", self.deliveries().len()))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    // Dropped with this task, which ends the connections too.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(handshake(stream, acceptor.clone(), Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn handshake(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    let Some(acceptor) = acceptor else { return serve(stream, false, state).await };
    // A sender that does not trust the certificate says so here.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    serve(stream, is_http2, state).await;
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, is_http2: bool, state: Arc<Mutex<State>>) {
    let connection = {
        let mut state = lock(&state);
        state.opened += 1;
        state.opened
    };
    let service = service_fn(|request| meet(request, connection, Arc::clone(&state)));
    let stream = TokioIo::new(stream);
    // An error is a sender that went away, or the close that a test asked for.
    let _ = match is_http2 {
        true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
        false => http1::Builder::new().serve_connection(stream, service).await,
    };
    lock(&state).closed += 1;
}

async fn meet(
    request: Request<Incoming>,
    connection: usize,
    state: Arc<Mutex<State>>,
) -> anyhow::Result<Response<AnswerBody>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let behaviour = {
        let mut state = lock(&state);
        let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let (headers, version, received_at) = (parts.headers, parts.version, Instant::now());
        state.deliveries.push(Delivery { path, headers, body, version, connection, received_at });
        state.behaviour.clone()
    };
    match behaviour {
        Behaviour::Answer(status, headers) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(AnswerBody::Empty)?)
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Hold(gate) => {
            gate.acquire().await?.forget();
            Ok(Response::new(AnswerBody::Empty))
        }
        Behaviour::Drip => Ok(Response::new(AnswerBody::Drip(tokio::time::interval(DRIP_INTERVAL)))),
        Behaviour::Flood => Ok(Response::new(AnswerBody::Flood(state))),
        Behaviour::Close => bail!("closed as asked"),
    }
}

enum AnswerBody {
    Empty,
    Drip(Interval),
    Flood(Arc<Mutex<State>>),
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Self::Flood(state) = self {
            lock(state).flood.closed += 1;
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Drip(interval) => {
                ready!(interval.poll_tick(context));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
            }
            Self::Flood(state) => {
                lock(state).flood.sent_bytes += FLOOD_FRAME.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(FLOOD_FRAME)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vector_verifies_and_a_changed_body_does_not() {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".parse().unwrap());
        headers.insert("webhook-timestamp", "1614265330".parse().unwrap());
        let signature = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        headers.insert("webhook-signature", signature.parse().unwrap());
        let body = Bytes::from_static(br#"{"test": 2432232314}"#);
        let mut delivery = Delivery {
            path: String::new(),
            headers,
            body,
            version: Version::HTTP_11,
            connection: 1,
            received_at: Instant::now(),
        };
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

        delivery.verify(secret).unwrap();
        delivery.body = Bytes::from_static(b"{}");
        delivery.verify(secret).unwrap_err();
    }
}
