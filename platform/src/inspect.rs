//! What `touchstone doctor` asks the services and the machine themselves: version, the settings that promises rest on,
//! and room on the disk.
//!
//! Guarantee: reads only; every question has a limit of `LIMIT`. Failure: an error that names no password.

use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use touchstone_schema::secret::Secret;
use url::Url;

use crate::cache::redis_client as client;
use crate::store::{Store, StoreError};
use crate::transport::Trust;

/// Longest wait for one service.
const LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of a broker's greeting that are read.
const GREETING_BYTES: usize = 4_096;

/// Bytes that this user may still write where `path` is.
pub fn free_bytes(path: &std::path::Path) -> std::io::Result<u64> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

/// Whether this user may write in a folder.
pub fn is_writable(folder: &std::path::Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether something is mounted at this very folder, as a volume of a container is.
pub fn is_mounted(folder: &std::path::Path) -> std::io::Result<bool> {
    let folder = folder.canonicalize()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(folder.to_str().is_some_and(|folder| mount_points(&mounts).any(|point| point == folder)))
}

/// The mount points of `/proc/self/mountinfo`: the fifth field of each line (proc_pid_mountinfo(5)). Those with blanks are
/// written otherwise and match nothing.
fn mount_points(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| line.split(' ').nth(4))
}

/// A service could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It did not answer in time.
    #[error("no answer within {LIMIT:?}")]
    Silent,
    /// Its address cannot be used.
    #[error("the address cannot be used")]
    Address,
    /// No connection.
    #[error("no connection: {0}")]
    Connection(#[from] std::io::Error),
    /// Redis refused or broke off.
    #[error("Redis: {}", .0.kind())]
    Redis(#[from] RedisFailure),
    /// The database refused or broke off.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why Redis did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisFailure(#[source] redis::RedisError);

impl RedisFailure {
    fn kind(&self) -> String {
        self.0.detail().map_or_else(|| format!("{:?}", self.0.kind()), str::to_owned)
    }
}

impl From<redis::RedisError> for InspectError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(RedisFailure(error))
    }
}

/// What a Redis server says of itself.
#[derive(Debug, Clone)]
pub struct RedisFacts {
    /// Such as `7.0.15`.
    pub version: String,
    /// Whether it appends what it is told to a file; none when it does not say.
    pub append_only: Option<bool>,
    /// What it does when its memory is full; none when it does not say.
    pub eviction: Option<String>,
}

/// Asks a Redis server.
pub async fn redis(url: &Secret, trust: &Trust) -> Result<RedisFacts, InspectError> {
    timeout(LIMIT, ask_redis(url, trust)).await.unwrap_or(Err(InspectError::Silent))
}

async fn ask_redis(url: &Secret, trust: &Trust) -> Result<RedisFacts, InspectError> {
    let client = client(url.expose_text().ok_or(InspectError::Address)?, trust)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let information: String = redis::cmd("INFO").query_async(&mut connection).await?;
    let told = |name: &str| {
        information.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
    };
    Ok(RedisFacts {
        version: told("redis_version").unwrap_or_default(),
        append_only: told("aof_enabled").map(|value| value == "1"),
        eviction: told("maxmemory_policy"),
    })
}

/// What a PostgreSQL server says of itself.
#[derive(Debug, Clone)]
pub struct PostgresFacts {
    /// Such as `150013` for 15.13.
    pub version_number: i64,
    /// Its time, in milliseconds since 1970.
    pub time_ms: i64,
}

/// Asks the PostgreSQL server of a store.
pub async fn postgres(store: &Store) -> Result<PostgresFacts, InspectError> {
    const QUESTION: &str = "SELECT current_setting('server_version_num')::bigint AS version,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS time_ms";
    let database = store.database();
    let statement = Statement::from_string(database.get_database_backend(), QUESTION);
    let answer = timeout(LIMIT, database.query_one_raw(statement)).await.map_err(|_| InspectError::Silent)?;
    let row = answer.map_err(StoreError::from)?.ok_or(InspectError::Silent)?;
    let number = |name: &str| row.try_get::<i64>("", name).map_err(StoreError::from);
    Ok(PostgresFacts { version_number: number("version")?, time_ms: number("time_ms")? })
}

/// The version that a RabbitMQ server greets with, before any password is asked for. None over TLS, or when it does not
/// say.
pub async fn rabbitmq(url: &Secret) -> Result<Option<String>, InspectError> {
    let url: Url = url.expose_text().and_then(|text| text.parse().ok()).ok_or(InspectError::Address)?;
    let host = url.host_str().ok_or(InspectError::Address)?.trim_matches(['[', ']']).to_owned();
    let is_plain = url.scheme() == "amqp";
    let port = url.port().unwrap_or(if is_plain { 5672 } else { 5671 });
    timeout(LIMIT, greet(&host, port, is_plain)).await.unwrap_or(Err(InspectError::Silent))
}

async fn greet(host: &str, port: u16, is_plain: bool) -> Result<Option<String>, InspectError> {
    let mut stream = TcpStream::connect((host, port)).await?;
    if !is_plain {
        return Ok(None);
    }
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    let mut greeting = Vec::with_capacity(GREETING_BYTES);
    while greeting.len() < GREETING_BYTES && version_in(&greeting).is_none() {
        if stream.read_buf(&mut greeting).await? == 0 {
            break;
        }
    }
    Ok(version_in(&greeting))
}

/// The member `version` of the server properties in a `connection.start` frame: its name as a short string, the type
/// `S`, and a long string.
fn version_in(greeting: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\x07versionS";
    let start = greeting.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let (length, rest) = greeting.get(start..)?.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_told_from_the_folders_inside_them() {
        let mounts = "36 35 98:0 /mnt1 /var/lib/touchstone rw,noatime master:1 - ext4 /dev/root rw\n\
            22 1 0:21 / / rw - overlay overlay rw\n\nbroken";
        assert_eq!(mount_points(mounts).collect::<Vec<_>>(), ["/var/lib/touchstone", "/"]);
        assert!(is_mounted(std::path::Path::new("/")).unwrap());
        assert!(!is_mounted(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap());
    }

    #[test]
    fn version_is_found_in_a_greeting_and_never_read_past_its_end() {
        let greeting = b"\x01\0\0\0\0\x01\x02\x07versionS\0\0\0\x063.10.8\x08platformS";
        assert_eq!(version_in(greeting).as_deref(), Some("3.10.8"));
        for end in 0..greeting.len() - 11 {
            let _ = version_in(&greeting[..end]);
        }
        assert_eq!(version_in(b"\x07versionS\xff\xff\xff\xffx"), None);
    }
}
