//! What can go wrong with the database, and whether trying again may help.

use std::error::Error as StdError;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, a time-out, a serialisation failure or a full pool: trying again may help.
    #[error("the database cannot be reached")]
    Unavailable(#[source] DbErr),
    /// The statement itself failed: this very data is refused.
    #[error("the database refused the statement")]
    Refused(#[source] DbErr),
    /// A row does not have the form that this build writes.
    #[error("a stored {what} cannot be read")]
    Corrupt {
        /// Which column or document.
        what: &'static str,
        /// Why.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The migrations of this build have not been applied.
    #[error("the database schema is not current: run `touchstone migrate`")]
    NotMigrated,
}

impl StoreError {
    /// Whether trying the same again can succeed.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether a concurrent change of the same rows came between; trying again sees it.
    pub(super) fn is_collision(&self) -> bool {
        let (Self::Unavailable(error) | Self::Refused(error)) = self else { return false };
        let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
            return false;
        };
        let SqlxError::Database(told) = &**cause else { return false };
        matches!(told.code().as_deref(), Some("23505" | "40001" | "40P01"))
    }

    /// A stored value that this build cannot read.
    pub(crate) fn corrupt(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Corrupt { what, source: Some(source.into()) }
    }

    /// The database did not answer in time.
    pub(crate) fn timed_out() -> Self {
        Self::Unavailable(DbErr::Conn(RuntimeErr::Internal("the statement took too long".to_owned())))
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if is_transient(&error) { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

impl From<SqlxError> for StoreError {
    fn from(error: SqlxError) -> Self {
        DbErr::Conn(RuntimeErr::SqlxError(error.into())).into()
    }
}

fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause) => match cause {
            RuntimeErr::SqlxError(cause) => is_transient_sqlx(cause),
            _ => matches!(error, DbErr::Conn(_)),
        },
        _ => false,
    }
}

fn is_transient_sqlx(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed => true,
        SqlxError::Database(told) => {
            let code = told.code().unwrap_or_default();
            if told.try_downcast_ref::<sea_orm::SqlxSqliteError>().is_some() {
                code.parse::<i32>().is_ok_and(is_transient_sqlite)
            } else {
                is_transient_postgres(&code)
            }
        }
        _ => false,
    }
}

/// Classes and codes of PostgreSQL's appendix A: connection, resources, operator intervention, serialisation, locks,
/// and a server that is read-only because it is being failed over.
fn is_transient_postgres(code: &str) -> bool {
    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || matches!(code, "40001" | "40P01" | "55P03" | "25006" | "25P03")
}

/// Primary result codes of SQLite: busy, locked, I/O error, full, cannot open.
const fn is_transient_sqlite(code: i32) -> bool {
    matches!(code & 0xFF, 5 | 6 | 10 | 13 | 14)
}
