//! Warnings: an input that was accepted although a part of it could not be used as it was sent.

use serde::{Deserialize, Serialize};

use crate::tenant::wire_enum;

wire_enum! {
    /// What kind of a deviation a warning reports.
    WarningCode {
        /// The value does not have the form that was expected.
        Malformed = "malformed",
    }
}

/// One deviation of an accepted input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Its kind.
    pub code: WarningCode,
    /// RFC 6901 JSON pointer to the value; empty for the whole document.
    pub field: String,
    /// What was expected and what was done, without the value itself (it may be personal data).
    pub message: String,
}
