//! What is wrong with an input: where, and what was expected instead.

use std::fmt;

/// One fault of an input document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// RFC 6901 JSON pointer to the value at fault; empty for the whole document.
    pub pointer: String,
    /// What is wrong and what was expected, without the value itself (it may be personal data).
    pub message: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}
