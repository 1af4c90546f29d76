//! How an order was paid, and on what device.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::Money;

/// A way to pay that the shop offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentMethod {
    /// What shoppers read.
    pub name: String,
    /// What notices call it: `adyen_drop_in` or `klarna-payments`.
    pub uri: String,
    /// The shop's plugin.
    pub plugin: String,
}

impl PaymentMethod {
    /// Cards through Adyen's drop-in form; the fraud check waits until the payment has cleared.
    #[must_use]
    pub fn adyen_drop_in() -> Self {
        Self { name: "Adyen Drop-in".to_owned(), uri: "adyen_drop_in".to_owned(), plugin: "adyen_drop_in".to_owned() }
    }

    /// Klarna; the fraud check is asked for as soon as the order is placed.
    #[must_use]
    pub fn klarna_payments() -> Self {
        Self {
            name: "Klarna Payments".to_owned(),
            uri: "klarna-payments".to_owned(),
            plugin: "klarna_payments".to_owned(),
        }
    }

    /// As a `PaymentMethod` of the schema.
    pub(crate) fn render(&self) -> Value {
        json!({ "name": self.name, "uri": self.uri, "plugin": self.plugin })
    }
}

/// One entry of an order's payment history.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// A `PaymentHistoryEntryType`, such as `AUTH`.
    pub entry_type: String,
    /// A `PaymentHistoryEntryStatus`: `SUCCESS`, `PENDING` or `FAILED`.
    pub status: String,
    /// How much.
    pub value: Money,
    /// When.
    pub created_at: DateTime<Utc>,
    /// The provider's name of it.
    pub external_reference: String,
    /// What the provider said.
    pub parameters: Value,
}

impl Payment {
    /// An attempt to reserve money.
    #[must_use]
    pub fn authorization(status: &str, value: Money, created_at: DateTime<Utc>, external_reference: &str) -> Self {
        Self {
            entry_type: "AUTH".to_owned(),
            status: status.to_owned(),
            value,
            created_at,
            external_reference: external_reference.to_owned(),
            parameters: json!({ "resultCode": if status == "FAILED" { "Refused" } else { "Authorised" } }),
        }
    }
}

/// What a shop's front end tells of the shopper's browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its language, such as `sv-sv`.
    pub browser_language: String,
    /// Its address.
    pub ip_address: String,
    /// What it calls itself.
    pub user_agent: String,
}
