//! Rights of the database role that the roles of Touchstone run as, apart from the role that owns the tables.
//!
//! Guarantee: it may read and change rows, and nothing else: it changes no table, writes no migration, and neither changes
//! nor removes a line of the audit log. PostgreSQL only; a SQLite file has one user.

use std::fmt;
use std::str::FromStr;

use sea_orm::ConnectionTrait as _;

use super::{Store, StoreError};

/// Tables whose rows are only added.
const APPEND_ONLY: [&str; 1] = ["audit_log"];
/// The table of applied migrations, which the owner alone writes.
const MIGRATIONS: &str = "seaql_migrations";
/// Longest name of a role (PostgreSQL, `NAMEDATALEN` - 1).
const ROLE_CHARS: usize = 63;

/// The name of a database role: lower-case letters, digits and underscores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRole(String);

impl FromStr for DatabaseRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let sound = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if begins && sound && text.len() <= ROLE_CHARS {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("expected the name of a role: up to {ROLE_CHARS} lower-case letters, digits and underscores"))
    }
}

impl fmt::Display for DatabaseRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Store {
    /// Gives a role the rights that Touchstone needs, and takes back those that it must not have. Run by the owner of the
    /// tables, after every migration: a new table has no rights yet.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is no such role, or the caller does not own the tables.
    pub async fn grant(&self, role: &DatabaseRole) -> Result<(), StoreError> {
        let change = self.begin().await?;
        // The name has no quotes to escape, by its type.
        let mut statements = vec![
            format!("GRANT USAGE ON SCHEMA public TO \"{role}\""),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{role}\""),
            format!("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO \"{role}\""),
            format!("REVOKE ALL ON {MIGRATIONS} FROM \"{role}\""),
            format!("GRANT SELECT ON {MIGRATIONS} TO \"{role}\""),
        ];
        statements
            .extend(APPEND_ONLY.map(|table| format!("REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM \"{role}\"")));
        for statement in statements {
            change.execute_unprepared(&statement).await?;
        }
        change.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_end_a_statement_are_no_roles() {
        for right in ["touchstone", "_app2", &"a".repeat(63)] {
            assert_eq!(right.parse::<DatabaseRole>().map(|role| role.to_string()).as_deref(), Ok(right));
        }
        for wrong in ["", "Touchstone", "2app", "a\"; DROP TABLE stores; --", "a b", "a-b", "é", &"a".repeat(64)] {
            assert!(wrong.parse::<DatabaseRole>().is_err(), "{wrong}");
        }
    }
}
