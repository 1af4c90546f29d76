//! Opening the database, writing transactions and running statements of fixed text.
//!
//! Guarantee: nothing waits for ever. A connection, a lock and a statement each have a limit, after which the caller gets
//! [`StoreError::Unavailable`]. On SQLite, writers of this process take turns here, so that they do not wake each other
//! by polling, and every writing transaction begins IMMEDIATE: one that reads first and writes later would otherwise
//! fail as soon as another wrote in between.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, Connection, PgPool, SqlitePool};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, TryGetable, Value,
};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use touchstone_migrations::{Migrator, MigratorTrait};
use touchstone_schema::renamed::present;
use touchstone_schema::secret::Secret;

use super::log::{KEPT_BYTES, Writers};
use super::{Store, StoreError, StoreSettings};
use crate::transport::{self, Trust};

/// Longest wait for a free connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);
/// Longest run of one statement, by the server's clock.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for an answer, by ours: the limits above and time on the wire.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// A PostgreSQL connection idle for this long is tried before it is used.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Most PostgreSQL connections of one process (design: "Two ways to run").
const POSTGRES_CONNECTIONS: u32 = 16;
/// The statements are few, of fixed text and all by index. Planning or compiling them anew for each batch costs more than
/// running them; and a plan that was made while a table was empty must not read the whole of it once it is not.
const BY_INDEX: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];
/// Connections to the SQLite file: one writes, one keeps the log, the others read.
const SQLITE_CONNECTIONS: u32 = 5;
/// How long SQLite waits for a lock that another process holds.
const SQLITE_BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Number of the advisory lock that lets one process migrate at a time ("touchsto" in ASCII).
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(8390876194896704623)";

impl Store {
    /// Connects, and makes the SQLite file when there is none. Applies no migrations.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        Self::open_trusting(settings, &Trust::default()).await
    }

    /// The same, with authorities that the server's certificate may come from.
    pub async fn open_trusting(settings: &StoreSettings, trust: &Trust) -> Result<Self, StoreError> {
        let database: DatabaseConnection = match settings {
            StoreSettings::Postgres { url, connections } => open_postgres(url, *connections, trust).await?.into(),
            StoreSettings::Sqlite { path } => open_sqlite(path).await?.into(),
        };
        let is_embedded = database.get_database_backend() == DbBackend::Sqlite;
        let writers = is_embedded.then(|| Arc::new(Writers::new(database.clone())));
        Ok(Self { database, writers })
    }

    /// Applies the migrations that are missing, in one transaction; several processes may try at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let change = self.begin().await?;
        if !self.is_embedded() {
            change.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
            change.execute_unprepared(MIGRATION_LOCK).await?;
        }
        Migrator::up(change.transaction(), None).await?;
        change.commit().await
    }

    /// Copies the SQLite file, as it is at one moment, into an empty file. Writers do not wait for it.
    pub async fn copy_into(&self, path: &std::path::Path) -> Result<(), StoreError> {
        let path = path.to_string_lossy().into_owned();
        let statement = Statement::from_sql_and_values(self.backend(), "VACUUM INTO $1", [path.into()]);
        // A large file takes longer than a statement otherwise may.
        self.database.execute_raw(statement).await.map(drop).map_err(StoreError::from)
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        rows(&self.database, "SELECT 1", []).await.map(|_| ())
    }

    /// [`StoreError::NotMigrated`] unless every migration of this build has been applied.
    pub async fn require_current(&self) -> Result<(), StoreError> {
        let missing = limited(Migrator::get_pending_migrations_read_only(&self.database)).await?;
        if missing.is_empty() { Ok(()) } else { Err(StoreError::NotMigrated) }
    }

    /// Whether the data lives in a SQLite file.
    pub fn is_embedded(&self) -> bool {
        self.backend() == DbBackend::Sqlite
    }

    /// The database itself, for questions about the server.
    pub(crate) const fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// Which database it is.
    pub(super) fn backend(&self) -> DbBackend {
        self.database.get_database_backend()
    }

    /// Begins a transaction that writes. It is rolled back unless it is committed.
    pub(crate) async fn begin(&self) -> Result<Change, StoreError> {
        let turn = match &self.writers {
            Some(writers) => {
                let waited = timeout(SQLITE_BUSY_LIMIT, Arc::clone(&writers.turn).lock_owned()).await;
                Some((waited.map_err(|_| StoreError::timed_out())?, Arc::clone(writers)))
            }
            None => None,
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: self.is_embedded().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = limited(self.database.begin_with_options(options)).await?;
        Ok(Change { transaction, turn })
    }
}

/// A writing transaction; it reads as a connection.
#[derive(Debug)]
pub(crate) struct Change {
    transaction: DatabaseTransaction,
    turn: Option<(OwnedMutexGuard<()>, Arc<Writers>)>,
}

impl Change {
    /// The transaction, to run statements on.
    pub(crate) const fn transaction(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Commits.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        limited(self.transaction.commit()).await?;
        if let Some((_, writers)) = self.turn {
            writers.committed();
        }
        Ok(())
    }
}

impl std::ops::Deref for Change {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.transaction
    }
}

/// Runs a query of fixed text, so that the connection prepares it once. Both databases take `$1`, `$2`, ...
pub(crate) async fn rows<C, V>(connection: &C, sql: &str, values: V) -> Result<Vec<QueryResult>, StoreError>
where
    C: ConnectionTrait,
    V: IntoIterator<Item = Value>,
{
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    limited(connection.query_all_raw(statement)).await
}

/// Runs a query that answers at most one row.
pub(crate) async fn row<C, V>(connection: &C, sql: &str, values: V) -> Result<Option<QueryResult>, StoreError>
where
    C: ConnectionTrait,
    V: IntoIterator<Item = Value>,
{
    Ok(rows(connection, sql, values).await?.into_iter().next())
}

/// Runs a statement and tells how many rows it changed.
pub(crate) async fn execute<C, V>(connection: &C, sql: &str, values: V) -> Result<u64, StoreError>
where
    C: ConnectionTrait,
    V: IntoIterator<Item = Value>,
{
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    limited(connection.execute_raw(statement)).await.map(|done| done.rows_affected())
}

/// A column of a row.
pub(crate) fn column<T: TryGetable>(row: &QueryResult, name: &'static str) -> Result<T, StoreError> {
    row.try_get("", name).map_err(|error| StoreError::corrupt(name, error))
}

/// A column whose text must parse. Words of earlier releases are read as those of today.
pub(crate) fn parsed<T>(row: &QueryResult, name: &'static str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    present(&column::<String>(row, name)?).parse().map_err(|error| StoreError::corrupt(name, error))
}

/// A column that counts something small.
pub(crate) fn count<T: TryFrom<i64>>(row: &QueryResult, name: &'static str) -> Result<T, StoreError> {
    T::try_from(column::<i64>(row, name)?).map_err(|_| StoreError::corrupt(name, "the number is out of range"))
}

async fn limited<T>(work: impl Future<Output = Result<T, sea_orm::DbErr>>) -> Result<T, StoreError> {
    match timeout(ANSWER_LIMIT, work).await {
        Ok(done) => done.map_err(StoreError::from),
        Err(_) => Err(StoreError::timed_out()),
    }
}

async fn open_postgres(url: &Secret, connections: u32, trust: &Trust) -> Result<PgPool, StoreError> {
    let limit_ms = STATEMENT_LIMIT.as_millis().to_string();
    let options = transport::postgres(url.expose_text().unwrap_or_default(), trust)?
        .application_name("touchstone")
        .options([("statement_timeout", &limit_ms), ("idle_in_transaction_session_timeout", &limit_ms)])
        .options(BY_INDEX)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(connections.clamp(1, POSTGRES_CONNECTIONS))
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for >= TRY_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        });
    Ok(pool.connect_with(options).await?)
}

/// Makes the file for its owner alone; SQLite gives the files beside it the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

async fn open_sqlite(path: &Path) -> Result<SqlitePool, StoreError> {
    make_private(path).map_err(|error| {
        let what = format!("{} cannot be opened: {error}", path.display());
        StoreError::Unavailable(DbErr::Conn(RuntimeErr::Internal(what)))
    })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY_LIMIT)
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", KEPT_BYTES.to_string())
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(pool.connect_with(options).await?)
}
