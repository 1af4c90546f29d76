//! Carries requests to the counter and its answers back, or breaks off as a fault wants it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response,
    body::{Body, Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::answer::{Counter, Ending, Reply};

/// The longest body that is read.
const BODY_LIMIT: usize = 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves connections until it is dropped, which ends them too.
pub(crate) async fn accept(listener: TcpListener, counter: Arc<Counter>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&counter)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, counter: Arc<Counter>) {
    let service = service_fn(|request| meet(request, Arc::clone(&counter)));
    // An error is a client that went away, or a close that a fault wants.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn meet(request: Request<Incoming>, counter: Arc<Counter>) -> Result<Response<Answer>, Failure> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await?.to_bytes();
    if parts.uri.path() != "/graphql" {
        return respond(Reply::error(404, "The API is at /graphql"), Answer::whole);
    }
    if parts.method != Method::POST {
        return respond(Reply::error(405, "The API takes POST"), Answer::whole);
    }
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match counter.serve(authorization, &body) {
        Ending::Answer(reply) => respond(reply, Answer::whole),
        Ending::Late(delay, reply) => {
            tokio::time::sleep(delay).await;
            respond(reply, Answer::whole)
        }
        Ending::Half(reply) => respond(reply, Answer::half),
        Ending::Silence => std::future::pending().await,
        Ending::Close => Err("closed as a fault wants it".into()),
    }
}

fn respond(reply: Reply, answer: fn(Bytes) -> Answer) -> Result<Response<Answer>, Failure> {
    let mut response = Response::builder()
        .status(reply.status)
        .header(CONTENT_TYPE, reply.content_type)
        .header(CONTENT_LENGTH, reply.body.len());
    if let Some(retry_after) = reply.retry_after {
        response = response.header(RETRY_AFTER, retry_after);
    }
    Ok(response.body(answer(reply.body.into()))?)
}

/// A body that may break off.
struct Answer {
    next: Option<Bytes>,
    breaks: Break,
}

/// How a body goes on once it is sent.
#[derive(Clone, Copy)]
enum Break {
    /// It does not.
    Never,
    /// It lets the connection send what it has, and then breaks.
    AfterFlush,
    /// It breaks now.
    Now,
}

impl Answer {
    fn whole(body: Bytes) -> Self {
        Self { next: Some(body), breaks: Break::Never }
    }

    fn half(mut body: Bytes) -> Self {
        body.truncate(body.len() / 2);
        Self { next: Some(body), breaks: Break::AfterFlush }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let answer = self.get_mut();
        if let Some(body) = answer.next.take() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        match answer.breaks {
            Break::Never => Poll::Ready(None),
            // A connection throws away what it has not sent when a body fails, and sends while a body is pending.
            Break::AfterFlush => {
                answer.breaks = Break::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Break::Now => Poll::Ready(Some(Err(io::Error::other("broken off as a fault wants it").into()))),
        }
    }
}
