//! Whose letters an answer is written in: the gateway, else the card's scheme.

use super::words::squashed;
use crate::order::Payment;

/// What else an order says of its payment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// `payment.gateway`, as sent.
    pub gateway: Option<&'a str>,
    /// `payment.card_brand`, as sent.
    pub card_brand: Option<&'a str>,
    /// `payment.method`, as sent; some shops name the scheme here.
    pub method: Option<&'a str>,
    /// `payment.card_bin`: first digits of the card.
    pub card_bin: Option<&'a str>,
}

impl<'a> Hints<'a> {
    /// The hints of a payment.
    pub fn of(payment: &'a Payment) -> Self {
        Self {
            gateway: payment.gateway.as_deref(),
            card_brand: payment.card_brand.as_deref(),
            method: payment.method.as_deref(),
            card_bin: payment.card_bin.as_deref(),
        }
    }

    pub(super) fn gateway(&self) -> Option<Gateway> {
        self.gateway.and_then(Gateway::named)
    }

    /// By its name, else by the first digits of the card.
    pub(super) fn scheme(&self) -> Option<Scheme> {
        let named = self.card_brand.and_then(Scheme::named).or_else(|| self.method.and_then(Scheme::named));
        named.or_else(|| self.card_bin.and_then(Scheme::of_bin))
    }
}

/// A gateway with answers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// Adyen.
    Adyen,
    /// Authorize.Net.
    AuthorizeNet,
    /// Braintree.
    Braintree,
    /// CyberSource.
    CyberSource,
    /// PayPal Payflow.
    Payflow,
    /// PayPal.
    PayPal,
    /// Worldpay.
    Worldpay,
}

impl Gateway {
    /// Parts of the names that shops give to gateways, the more special ones first.
    const NAMES: [(&'static str, Self); 8] = [
        ("adyen", Self::Adyen),
        ("authorize", Self::AuthorizeNet),
        ("authnet", Self::AuthorizeNet),
        ("braintree", Self::Braintree),
        ("cybersource", Self::CyberSource),
        ("payflow", Self::Payflow),
        ("paypal", Self::PayPal),
        ("worldpay", Self::Worldpay),
    ];

    fn named(name: &str) -> Option<Self> {
        let name: String = squashed(name).collect();
        Self::NAMES.iter().find(|(part, _)| name.contains(part)).map(|(_, gateway)| *gateway)
    }
}

/// A card scheme with letters of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    AmericanExpress,
    /// Discover.
    Discover,
}

impl Scheme {
    const NAMES: [(&'static str, Self); 6] = [
        ("visa", Self::Visa),
        ("mastercard", Self::Mastercard),
        ("eurocard", Self::Mastercard),
        ("amex", Self::AmericanExpress),
        ("americanexpress", Self::AmericanExpress),
        ("discover", Self::Discover),
    ];

    fn named(name: &str) -> Option<Self> {
        let name: String = squashed(name).collect();
        if name == "mc" {
            return Some(Self::Mastercard);
        }
        Self::NAMES.iter().find(|(part, _)| name.contains(part)).map(|(_, scheme)| *scheme)
    }

    /// By the ranges of ISO/IEC 7812, as the schemes publish theirs.
    fn of_bin(bin: &str) -> Option<Self> {
        let first: u32 = bin.get(..4).filter(|first| first.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
        Some(match first {
            4000..=4999 => Self::Visa,
            5100..=5599 | 2221..=2720 => Self::Mastercard,
            3400..=3499 | 3700..=3799 => Self::AmericanExpress,
            6011 | 6440..=6599 => Self::Discover,
            _ => return None,
        })
    }
}
