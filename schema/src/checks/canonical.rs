//! A canonical document, put together member by member.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::input::fits;
use crate::json::Json;
use crate::limits;
use crate::money::Money;

/// The members of an object, absent ones left out.
#[derive(Default)]
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Members<'a> {
    pub(super) fn json(&mut self, key: &'a str, value: Json<'a>) {
        let is_empty = match &value {
            Json::Object(members) => members.is_empty(),
            Json::Array(items) => items.is_empty(),
            other => other.is_absent(),
        };
        if !is_empty {
            self.0.push((key.into(), value));
        }
    }

    pub(super) fn text(&mut self, key: &'a str, text: Option<String>) {
        self.json(key, text.map_or(Json::Null, |text| Json::String(Cow::Owned(text))));
    }

    /// Digits of a count or an amount, as text, which the order reads as well as a number.
    pub(super) fn number(&mut self, key: &'a str, number: Option<impl ToString>) {
        self.text(key, number.map(|number| number.to_string()));
    }

    pub(super) fn money(&mut self, key: &'a str, money: Option<Money>) {
        self.text(key, money.map(Money::to_decimal_text));
    }

    pub(super) fn flag(&mut self, key: &'a str, flag: Option<bool>) {
        self.json(key, flag.map_or(Json::Null, Json::Bool));
    }

    pub(super) fn into_json(self) -> Json<'a> {
        Json::Object(self.0)
    }
}

/// The id as a canonical order has it. A longer one is cut and told apart by its hash; the transaction keeps the whole.
pub(super) fn canonical_id(id: &str) -> String {
    if fits(id, limits::ORDER_ID_CHARS) {
        return id.to_owned();
    }
    let hash = hex::encode(Sha256::digest(id.as_bytes()));
    let kept = limits::ORDER_ID_CHARS - hash.len() - 1;
    format!("{}~{hash}", id.chars().take(kept).collect::<String>())
}

/// Whether a document may become a member of another: it is then one level deeper.
pub(super) fn has_room(document: &Json<'_>) -> bool {
    depth(document) < limits::JSON_DEPTH
}

fn depth(value: &Json<'_>) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(members) => 1 + members.iter().map(|(_, member)| depth(member)).max().unwrap_or(0),
        _ => 0,
    }
}
