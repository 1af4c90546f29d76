//! Enums: a value that one side does not know is no mistake in a document, and still decides what is done.

use super::{Comparison, ExtendedType, Schema};

/// The enum by which a shop says why it holds an order.
const HOLD_REASON: &str = "OrderHoldReason";

impl Comparison<'_> {
    /// Compares the values that we may be answered.
    pub(super) fn values_met(&mut self, expected: &str, served: &str) {
        let (known, live) = (values(self.known, expected), values(self.live, served));
        if live.is_empty() {
            return;
        }
        for value in live.iter().filter(|value| !known.contains(value)) {
            let consequence = if expected == HOLD_REASON {
                "nothing, but an order that is held for it too is left to a person"
            } else {
                "nothing that we know of: it is taken to have no special meaning"
            };
            self.remark(format!("`{served}` has the value `{value}`, which is not known here"), consequence);
        }
        for value in known.iter().filter(|value| !live.contains(value)) {
            let consequence = "whatever depends on it; perhaps it has another name in the shop";
            self.remark(format!("`{served}` has no value `{value}`"), consequence);
        }
    }

    /// Compares the values that we may send in a variable.
    pub(super) fn values_sent(&mut self, name: &str) {
        let (known, live) = (values(self.known, name), values(self.live, name));
        for value in known.iter().filter(|value| !live.contains(value)) {
            self.serious(format!("value `{value}` does not exist on `{name}`"), "the shop refuses what we send");
        }
    }
}

fn values(schema: &Schema, name: &str) -> Vec<String> {
    match schema.types.get(name) {
        Some(ExtendedType::Enum(found)) => found.values.keys().map(|value| value.as_str().to_owned()).collect(),
        _ => Vec::new(),
    }
}
