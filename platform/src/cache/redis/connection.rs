//! The one connection of a process to Redis.
//!
//! Guarantee: a server that is down or silent is an error within [`ANSWER_WITHIN`]; the connection heals by itself.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, Pipeline, ScriptInvocation, TlsCertificates};
use touchstone_schema::secret::Secret;

use super::CacheError;
use crate::transport::Trust;

/// How long any round trip may take, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(200);
/// Commands that wait to be sent on the one connection.
const PIPELINED_COMMANDS: usize = 1_024;

/// See the module.
pub(super) struct Connection {
    client: Client,
    current: ArcSwap<ConnectionManager>,
}

impl Connection {
    /// Prepares a connection, which is made on first use.
    pub(super) fn open(url: &Secret, trust: &Trust) -> Result<Self, CacheError> {
        let url = url.expose_text().ok_or_else(|| CacheError::new("the Redis URL is not text"))?;
        let client = client(url, trust).map_err(CacheError::new)?;
        Ok(Self { current: ArcSwap::from_pointee(connect(&client)?), client })
    }

    pub(super) async fn invoke<T: FromRedisValue>(&self, invocation: &ScriptInvocation<'_>) -> Result<T, CacheError> {
        self.within(async |mut connection| invocation.invoke_async(&mut connection).await).await
    }

    pub(super) async fn query<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, CacheError> {
        self.within(async |mut connection| commands.query_async(&mut connection).await).await
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CacheError> {
        self.within(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Runs a round trip in bounded time. A connection that is silent, not closed, is replaced: it may lead nowhere.
    async fn within<T>(
        &self,
        round_trip: impl AsyncFnOnce(ConnectionManager) -> redis::RedisResult<T>,
    ) -> Result<T, CacheError> {
        let connection = self.current.load_full();
        match tokio::time::timeout(ANSWER_WITHIN, round_trip(ConnectionManager::clone(&connection))).await {
            Ok(answer) => answer.map_err(CacheError::new),
            Err(silence) => {
                let fresh = Arc::new(connect(&self.client)?);
                self.current.compare_and_swap(&connection, fresh);
                Err(CacheError::new(silence))
            }
        }
    }
}

/// A client of this server; it connects on first use.
pub(crate) fn client(url: &str, trust: &Trust) -> redis::RedisResult<Client> {
    match trust.pem() {
        Some(pem) if url.starts_with("rediss://") => {
            Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(pem.as_bytes().to_vec()) })
        }
        _ => Client::open(url),
    }
}

fn connect(client: &Client) -> Result<ConnectionManager, CacheError> {
    let settings = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(None) // every round trip has ANSWER_WITHIN
        .set_pipeline_buffer_size(PIPELINED_COMMANDS);
    ConnectionManager::new_lazy_with_config(client.clone(), settings).map_err(CacheError::new)
}
