//! Reading a body: bounded in bytes while it comes in, and in time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::time::timeout;
use touchstone_schema::limits;

use crate::problem::Problem;

/// Space made ready for a body whose length was announced; a longer one grows as it comes.
const FIRST_CAPACITY: usize = 16 * 1024;

/// The whole body.
///
/// # Errors
/// 413 as soon as it is known to be too large (the announced length counts), 408 when it comes too slowly, 400 when it
/// breaks off.
pub(crate) async fn read<B>(body: B, patience: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if announced > limits::BODY_BYTES as u64 {
        return Err(Problem::too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    timeout(patience, collect(body, announced)).await.unwrap_or_else(|_| Err(Problem::body_timeout()))
}

async fn collect<B>(mut body: B, announced: u64) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame: Frame<Bytes> = frame.map_err(|_| Problem::broken_body())?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limits::BODY_BYTES {
            return Err(Problem::too_large());
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(
                usize::try_from(announced)
                    .unwrap_or(0)
                    .clamp(first.len() + data.len(), FIRST_CAPACITY.max(first.len() + data.len())),
            );
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
