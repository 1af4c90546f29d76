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

    /// Where it is, for logs and dead letters: names that a sender chose may be personal data, so those that are no plain
    /// word are left out.
    pub fn place(&self) -> String {
        if self.pointer.is_empty() {
            return "fault in the document as a whole".to_owned();
        }
        let tokens = self.pointer.split('/').skip(1).map(|token| if is_plain(token) { token } else { "…" });
        format!("fault at /{}", tokens.collect::<Vec<_>>().join("/"))
    }
}

/// Longest name of a member that is shown.
const PLAIN_CHARS: usize = 40;
/// Most digits in a row of such a name: indexes, and never phone or card numbers.
const PLAIN_DIGITS: usize = 6;

fn is_plain(token: &str) -> bool {
    (1..=PLAIN_CHARS).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && token.bytes().filter(u8::is_ascii_digit).count() <= PLAIN_DIGITS
}

/// Where a parser failed, for logs and dead letters. Its own message may quote the value, which may be personal data.
pub fn place_in_text(error: &serde_json::Error) -> String {
    format!("fault at line {} column {}", error.line(), error.column())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_members_and_no_values() {
        let place = |pointer: &str| Fault::new(pointer, "expected ann@example.net to be a text").place();
        assert_eq!(place("/customer/email"), "fault at /customer/email");
        assert_eq!(place("/line_items/12/price"), "fault at /line_items/12/price");
        assert_eq!(place("/metadata/ann@example.net"), "fault at /metadata/…");
        assert_eq!(place("/metadata/0701234567"), "fault at /metadata/…");
        assert_eq!(place("/metadata/a~1b/"), "fault at /metadata/…/…");
        assert_eq!(place(""), "fault in the document as a whole");
    }

    #[test]
    fn a_parser_is_quoted_with_its_place_alone() {
        let error = serde_json::from_str::<u8>("\"ann@example.net\"").unwrap_err();
        assert!(error.to_string().contains("ann@example.net"));
        assert_eq!(place_in_text(&error), "fault at line 1 column 17");
    }
}
