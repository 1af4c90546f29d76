//! Headers of the merchant's own on webhooks: what they may be called and hold.
//!
//! Guarantee: none can stand for a header that we, the signature or the connection answer for, and none can end its line.
//! The values are secrets (`Authorization` is the main use): they are never shown, not even in a refusal.

use crate::limits::{OWN_HEADER_NAME_CHARS, OWN_HEADER_VALUE_CHARS, OWN_HEADERS};
use crate::secret::Secret;

/// Beginnings of names that are not the merchant's to give.
const REFUSED_BEGINNINGS: [&str; 4] = ["webhook-", "content-", "proxy-", "x-forwarded-"];
/// Names that are not the merchant's to give: they belong to the connection or to us.
const REFUSED_NAMES: [&str; 13] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "user-agent",
    "expect",
    "forwarded",
    "http2-settings",
    "accept-encoding",
    "date",
];

/// Why headers are refused; tells no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnHeaderError {
    /// Not a name, a colon and a value.
    #[error("a header is given as `Name: value`")]
    NoColon,
    /// Not a name.
    #[error("a header's name has 1 to {OWN_HEADER_NAME_CHARS} letters, digits and dashes")]
    Name,
    /// A name that the merchant cannot give.
    #[error("the header {0} cannot be set: it belongs to the connection, the content or the signature")]
    Refused(String),
    /// Not a value.
    #[error("the value of {0} has 1 to {OWN_HEADER_VALUE_CHARS} visible ASCII characters, spaces between them")]
    Value(String),
    /// Twice the same name.
    #[error("the header {0} is given twice")]
    Twice(String),
    /// Too many.
    #[error("an endpoint has at most {OWN_HEADERS} headers of its own")]
    TooMany,
}

/// Headers that every delivery to an endpoint carries.
#[derive(Debug, Clone, Default)]
pub struct OwnHeaders(Vec<(String, Secret)>);

impl OwnHeaders {
    /// Reads headers of the form `Name: value`.
    pub fn parse<'a>(given: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, OwnHeaderError> {
        let mut headers: Vec<(String, Secret)> = Vec::new();
        for line in given {
            let (name, value) = one(line)?;
            if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                return Err(OwnHeaderError::Twice(name));
            }
            headers.push((name, value));
        }
        if headers.len() > OWN_HEADERS { Err(OwnHeaderError::TooMany) } else { Ok(Self(headers)) }
    }

    /// Reads what [`Self::write`] wrote.
    pub fn read(written: &Secret) -> Result<Self, OwnHeaderError> {
        Self::parse(written.expose().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()))
    }

    /// All of them as one secret, a line each: no name and no value holds the end of a line.
    pub fn write(&self) -> Secret {
        let mut lines = Vec::new();
        for (name, value) in &self.0 {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.expose());
            lines.push(b'\n');
        }
        Secret::new(lines)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The names.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

fn one(line: &[u8]) -> Result<(String, Secret), OwnHeaderError> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(OwnHeaderError::NoColon)?;
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    let sound = (1..=OWN_HEADER_NAME_CHARS).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if !sound {
        return Err(OwnHeaderError::Name);
    }
    let name = String::from_utf8_lossy(name).into_owned();
    let lower = name.to_ascii_lowercase();
    if REFUSED_NAMES.contains(&lower.as_str()) || REFUSED_BEGINNINGS.iter().any(|start| lower.starts_with(start)) {
        return Err(OwnHeaderError::Refused(name));
    }
    let visible = value.iter().all(|byte| (b' '..=b'~').contains(byte));
    if !visible || !(1..=OWN_HEADER_VALUE_CHARS).contains(&value.len()) {
        return Err(OwnHeaderError::Value(name));
    }
    Ok((name, Secret::new(value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Result<OwnHeaders, OwnHeaderError> {
        OwnHeaders::parse([line.as_bytes()])
    }

    #[test]
    fn headers_come_back_as_they_were_written_and_are_not_shown() {
        let given = OwnHeaders::parse([b"Authorization: Bearer a b:c".as_slice(), b"X-Shop:7"]).unwrap();
        let read = OwnHeaders::read(&given.write()).unwrap();
        let all: Vec<_> = read.iter().map(|(name, value)| (name, value.expose_text().unwrap())).collect();
        assert_eq!(all, [("Authorization", "Bearer a b:c"), ("X-Shop", "7")]);
        assert!(!format!("{read:?}").contains("Bearer"), "{read:?}");
        assert!(OwnHeaders::read(&OwnHeaders::default().write()).unwrap().names().is_empty());
    }

    #[test]
    fn names_of_the_connection_the_content_and_the_signature_are_refused() {
        for name in [
            "webhook-id",
            "Webhook-Signature",
            "WEBHOOK-TIMESTAMP",
            "webhook-x",
            "Content-Type",
            "content-length",
            "Host",
            "Connection",
            "Keep-Alive",
            "Transfer-Encoding",
            "TE",
            "Trailer",
            "Upgrade",
            "User-Agent",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "Forwarded",
        ] {
            assert!(matches!(parsed(&format!("{name}: x")), Err(OwnHeaderError::Refused(_))), "{name}");
        }
        assert!(parsed("Authorization: Basic eA==").is_ok());
    }

    #[test]
    fn malformed_headers_are_refused_without_quoting_the_value() {
        let long = format!("X-A: {}", "v".repeat(OWN_HEADER_VALUE_CHARS + 1));
        let named = format!("{}: v", "n".repeat(OWN_HEADER_NAME_CHARS + 1));
        for wrong in ["hunter2", ": v", "X A: v", "X-A:", "X-A: a\r\nwebhook-id: b", "X-Ä: v", "X-A: é", &long, &named]
        {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("vvv"), "{error}");
        }
        let twice = OwnHeaders::parse([b"X-A: 1".as_slice(), b"x-a: 2"]);
        assert_eq!(twice.unwrap_err(), OwnHeaderError::Twice("x-a".to_owned()));
        let many: Vec<_> = (0..=OWN_HEADERS).map(|n| format!("X-{n}: v")).collect();
        assert_eq!(OwnHeaders::parse(many.iter().map(String::as_bytes)).unwrap_err(), OwnHeaderError::TooMany);
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_line_and_not_ours(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(taken) = OwnHeaders::parse([line.as_slice()]) {
                for (name, value) in taken.iter() {
                    prop_assert!(!name.to_ascii_lowercase().starts_with("webhook-"));
                    prop_assert!(!value.expose().contains(&b'\n') && !value.expose().contains(&b'\r'));
                }
            }
        }
    }
}
