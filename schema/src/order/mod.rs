//! The canonical order: what every surface's document becomes and what the scorer reads.
//!
//! Guarantee: [`Order::parse`] is pure; the same document always gives the same order. What is present is well formed
//! and within its limit; what is `null`, empty or unreadable is absent, which is a signal and not an error, and an
//! unreadable field is named by a [`Warning`]. Unknown members are ignored here, they live on in the document itself.
//! Failure: missing or unusable required members, all at once, each with its JSON pointer and what was expected, never
//! the value.

mod country;
mod parse;
pub mod summary;
#[cfg(test)]
mod tests;
mod unverified;

use std::fmt;
use std::net::IpAddr;

pub use country::CountryCode;
pub use unverified::Unverified;

use crate::money::{Currency, Money};
use crate::quantity::Quantity;
use crate::tenant::wire_enum;
use crate::time::Timestamp;
use crate::warning::Warning;

/// Most faults that one document is answered with.
pub const MAX_FAULTS: usize = 100;

/// An order, as it is scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The merchant's own id, exactly as sent, 1-128 characters.
    pub order_id: String,
    /// Total of the order, never negative. Its currency is the currency of every amount of the order.
    pub amount: Money,
    /// Who ordered.
    pub customer: Customer,
    /// Who pays; absent when none of its members is present.
    pub billing_address: Option<Address>,
    /// Where it goes; absent when none of its members is present.
    pub shipping_address: Option<Address>,
    /// How it is paid.
    pub payment: Payment,
    /// What was ordered.
    pub line_items: Vec<LineItem>,
    /// Address that the order came from; IPv4-mapped addresses are given as IPv4.
    pub ip_address: Option<IpAddr>,
    /// `User-Agent` of the customer's browser.
    pub user_agent: Option<String>,
    /// What the order came from.
    pub device: Device,
    /// When the order was placed.
    pub created_at: Option<Timestamp>,
    /// Discounts that were used.
    pub discount_codes: Vec<DiscountCode>,
    /// Where the order was placed.
    pub source: Option<OrderSource>,
    /// Name of the shipping method.
    pub shipping_method: Option<String>,
    /// Price of shipping, never negative.
    pub shipping_amount: Option<Money>,
    /// The merchant's own score of the order, in millionths; its scale is for the policy to state.
    pub merchant_score_millionths: Option<i64>,
    /// The merchant's own annotations, in the order they were sent; numbers and booleans as text.
    pub metadata: Vec<(String, String)>,
    /// Fields that only an unsigned notice told: they may make an assessment stricter, never milder.
    pub unverified: Unverified,
    /// Optional fields of the document that could not be used as they were sent.
    pub warnings: Vec<Warning>,
}

impl Order {
    /// Currency of every amount of the order.
    pub const fn currency(&self) -> Currency {
        self.amount.currency()
    }
}

wire_enum! {
    /// Where an order was placed.
    OrderSource {
        /// In a browser.
        Web = "web",
        /// In an app.
        MobileApp = "mobile_app",
        /// By telephone.
        Phone = "phone",
        /// In a shop.
        InStore = "in_store",
        /// In a chat.
        Chat = "chat",
    }
}

/// The customer of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customer {
    /// The merchant's id of the customer.
    pub id: Option<String>,
    /// E-mail address as sent; its form is judged by a signal.
    pub email: Option<String>,
    /// Phone number as sent.
    pub phone: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// When the account was made.
    pub created_at: Option<Timestamp>,
    /// Earlier orders, as the merchant counts them.
    pub orders_count: Option<u32>,
    /// Whether the customer has no account.
    pub is_guest: Option<bool>,
    /// Whether the merchant vouches for the customer, as one who came back and always paid.
    pub is_trusted: Option<bool>,
}

/// A postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Street and number.
    pub address1: Option<String>,
    /// Second line.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// State, province or region.
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country.
    pub country: Option<CountryCode>,
    /// Phone number.
    pub phone: Option<String>,
}

/// The payment of an order. Never a full card number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payment {
    /// Kind of payment in lower case, e.g. `card`.
    pub method: Option<String>,
    /// Payment gateway.
    pub gateway: Option<String>,
    /// The gateway's id of the payment.
    pub transaction_id: Option<String>,
    /// Answer of the address verification, in capitals.
    pub avs_result: Option<String>,
    /// Answer of the address verification for the street alone, in capitals.
    pub avs_street_result: Option<String>,
    /// Answer of the address verification for the postal code alone, in capitals.
    pub avs_postal_result: Option<String>,
    /// Answer of the security code check, in capitals.
    pub cvv_result: Option<String>,
    /// Electronic commerce indicator, in capitals, at least two digits: `05`.
    pub eci: Option<String>,
    /// First 6 to 8 digits of the card.
    pub card_bin: Option<String>,
    /// Last four digits of the card.
    pub card_last4: Option<String>,
    /// Until when the card is valid.
    pub card_expiry: Option<CardExpiry>,
    /// The gateway's token for the card: the same card, the same token.
    pub card_fingerprint: Option<String>,
    /// Scheme in lower case, e.g. `visa`.
    pub card_brand: Option<String>,
    /// `credit`, `debit`, `prepaid`, … in lower case.
    pub card_funding: Option<String>,
    /// Whether the payment was authorized.
    pub was_authorized: Option<bool>,
    /// Declined attempts before this one.
    pub decline_count: Option<u32>,
}

/// Month until whose end a card is valid. Written `MM/YY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CardExpiry {
    /// 1-12.
    pub month: u8,
    /// Last two digits of the year.
    pub year: u8,
}

impl fmt::Display for CardExpiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}/{:02}", self.month, self.year)
    }
}

/// One line of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineItem {
    /// Stock keeping unit.
    pub sku: Option<String>,
    /// Name of the article.
    pub name: Option<String>,
    /// Category of the article.
    pub category: Option<String>,
    /// How many.
    pub quantity: Option<Quantity>,
    /// Price of one; negative on a line that is a discount.
    pub price: Option<Money>,
    /// Whether nothing is shipped for it.
    pub is_digital: Option<bool>,
}

/// The device that an order came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The merchant's fingerprint of the device.
    pub fingerprint_id: Option<String>,
    /// Session of the shop.
    pub session_id: Option<String>,
    /// `Accept-Language` of the browser.
    pub accept_language: Option<String>,
    /// IANA name of the time zone, as sent.
    pub time_zone: Option<String>,
    /// Whether the shop found that it came by a proxy or VPN.
    pub is_proxy: Option<bool>,
    /// Whether the shop found that it came by the Tor network.
    pub is_tor: Option<bool>,
}

/// A discount that was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscountCode {
    /// The code.
    pub code: Option<String>,
    /// What it took off.
    pub amount: Option<Money>,
}
