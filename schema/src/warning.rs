//! Warnings: optional fields of an order that could not be used as they were sent.
//!
//! Guarantee: a warning names the field and what was expected, never the value, which may be personal data. At most
//! [`limits::ORDER_WARNINGS`] are kept of one order, each once.

use serde::{Deserialize, Serialize};

use crate::json::Json;
use crate::limits;
use crate::tenant::wire_enum;

wire_enum! {
    /// Why a field was not used as it was sent. Codes, once released, are never renamed.
    WarningCode {
        /// The value is not of any form that the field is read in. It counts as absent.
        Malformed = "malformed",
        /// The text is longer than a field may be. It counts as absent.
        TooLong = "too_long",
        /// The list has more elements than are read. The first ones are read.
        TooMany = "too_many",
        /// The field goes together with others that are missing.
        Incomplete = "incomplete",
        /// The value stands for a missing one (`0`, `guest`, `unknown`, …). It counts as absent and identifies no customer.
        Placeholder = "placeholder",
        /// The IP address is private, reserved or for documentation. It identifies no customer.
        PrivateIp = "private_ip",
        /// The word is none of those that are known. It counts as absent.
        UnknownWord = "unknown_word",
        /// The member is none that is read. It is kept in the document and changes nothing.
        UnknownMember = "unknown_member",
        /// The value can be read in two ways. It counts as absent.
        Ambiguous = "ambiguous",
    }
}

/// One optional field of an order that could not be used as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Why.
    pub code: WarningCode,
    /// RFC 6901 JSON pointer into the document as it was sent.
    pub field: String,
    /// What was expected, in English.
    pub message: String,
}

impl Warning {
    /// Member of a canonical order that carries the warnings of the document that it was made from.
    pub const MEMBER: &str = "input_warnings";

    /// The warnings as the value of [`Self::MEMBER`].
    pub fn to_json(warnings: &[Self]) -> Json<'static> {
        let text = |text: &str| Json::String(text.to_owned().into());
        let member = |warning: &Self| {
            Json::Object(vec![
                ("code".into(), Json::String(warning.code.as_str().into())),
                ("field".into(), text(&warning.field)),
                ("message".into(), text(&warning.message)),
            ])
        };
        Json::Array(warnings.iter().map(member).collect())
    }

    /// The warnings that a canonical order carries; none when it carries none. An element of another form is left out.
    pub fn carried_by(order: &Json<'_>) -> Option<Vec<Self>> {
        let carried = order.get(Self::MEMBER)?.as_array()?.iter();
        let text = |warning: &Json<'_>, key: &str| warning.get(key).and_then(Json::as_str).map(str::to_owned);
        let read = |warning: &Json<'_>| {
            let code = WarningCode::parse(warning.get("code")?.as_str()?)?;
            Some(Self { code, field: text(warning, "field")?, message: text(warning, "message")? })
        };
        Some(carried.filter_map(read).take(limits::ORDER_WARNINGS).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_survive_the_document_that_carries_them() {
        let warnings: Vec<_> = WarningCode::ALL
            .iter()
            .map(|code| Warning { code: *code, field: "/a\"b".to_owned(), message: "expected a text".to_owned() })
            .collect();
        let order = Json::Object(vec![(Warning::MEMBER.into(), Warning::to_json(&warnings))]).to_json_string();
        let order = Json::parse_text(&order).unwrap();
        assert_eq!(Warning::carried_by(&order), Some(warnings));
    }

    #[test]
    fn an_order_without_warnings_of_its_own_form_carries_none() {
        for (order, expected) in [
            ("{}", None),
            (r#"{"input_warnings": 7}"#, None),
            (r#"{"input_warnings": []}"#, Some(0)),
            (r#"{"input_warnings": [7, {"code": "odd", "field": "", "message": ""}]}"#, Some(0)),
        ] {
            let carried = Warning::carried_by(&Json::parse_text(order).unwrap());
            assert_eq!(carried.map(|warnings| warnings.len()), expected, "{order}");
        }
    }
}
