//! What holds of the reader of JSON whatever it is given. Property tests and fuzz targets call this function, which panics
//! where it does not hold.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Json, read};

/// What is read is JSON and is written as what it was read from; what is refused for not being JSON is none.
///
/// # Panics
/// When something does not hold.
pub fn document(bytes: &[u8]) {
    let accepted = Json::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(accepted.is_err());
        return;
    };
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    match read::document(text) {
        Ok(document) => {
            assert!(is_json, "{text}");
            let written = document.to_json_string();
            let value = |text: &str| serde_json::from_str::<Value>(text).ok();
            assert_eq!(value(&written), value(text));
            let again = Json::parse_text(&written).expect("what is written can be read");
            assert_eq!(again, document);
            assert_eq!(again.canonical_hash(), document.canonical_hash());
        }
        Err(read::Unread::NotJson) => assert!(!is_json, "{text}"),
        Err(read::Unread::Refused(_)) => assert!(accepted.is_err()),
    }
}

#[cfg(test)]
mod tests {
    use touchstone_hostile::{assert_holds, samples};

    use super::*;

    #[test]
    fn any_bytes_are_read_as_json_or_refused_as_the_generic_parser_does() {
        assert_holds(samples::SIGNED_ORDERS, document);
    }
}
