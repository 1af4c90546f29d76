//! The field tables of the orders surface: what is checked and what is described both go by them.

use touchstone_schema::input::Identity;

/// What a member holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A text of at most so many characters.
    Text(usize),
    /// A text that identifies a customer or device, unless it stands for a missing value.
    Identity(Identity),
    /// One of these texts, in any case.
    Choice(&'static [&'static str]),
    /// Between so many digits, as text.
    Digits(usize, usize),
    /// An amount of the store's currency.
    Money,
    /// An amount of zero or more.
    Total,
    /// A whole number of zero or more.
    Count,
    /// Any number.
    Number,
    /// A number of at most six decimals.
    Score,
    /// `true` or `false`.
    Flag,
    /// `true` or `false`, also as text.
    FlagOrText,
    /// A date or a point in time.
    Date,
    /// An address of the Internet.
    IpAddress,
    /// An ISO 3166 alpha-2 code.
    Country,
    /// A state, of two letters where its country has such.
    State,
    /// A month as `05/12` or `0512`.
    Expiration,
    /// An object of these members.
    Object(&'static Table),
    /// One or more objects of these members.
    Objects(&'static Table),
    /// Exactly one payment.
    Payments,
}

impl Kind {
    /// Whether the documented form is a text.
    pub(crate) const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Identity(_)
                | Self::Choice(_)
                | Self::Digits(..)
                | Self::Date
                | Self::IpAddress
                | Self::Country
                | Self::State
                | Self::Expiration
        )
    }
}

/// One line of a table.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Another spelling that is taken.
    pub(crate) alias: Option<&'static str>,
    pub(crate) is_required: bool,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// A table of the document.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// Longest order number and site name, in characters: both are keys.
pub(crate) const NAME_CHARS: usize = touchstone_schema::limits::ORDER_ID_CHARS;

const TEXT: Kind = Kind::Text(touchstone_schema::limits::FIELD_CHARS);

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, alias: None, is_required: true, kind, about }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, alias: None, is_required: false, kind, about }
}

impl Field {
    const fn or(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }
}

/// The order itself.
pub(crate) static ORDER: Table = Table {
    name: "PlacedOrderRequest",
    fields: &[
        required("orderNumber", Kind::Text(NAME_CHARS), "The number that the shop knows the order by."),
        required("siteName", Kind::Text(NAME_CHARS), "The site of the order, such as abcdiscounts."),
        required("grandTotal", Kind::Total, "Total, in the store's currency."),
        required("orderDate", Kind::Date, "When it was ordered."),
        optional("customerId", Kind::Identity(Identity::Id), "The shop's id of the customer."),
        required("billing", Kind::Object(&ADDRESS), "Who pays."),
        optional("shipping", Kind::Object(&ADDRESS), "Where it goes; with shippingMethod and shippingFee."),
        required("orderProducts", Kind::Objects(&PRODUCT), "What was ordered."),
        required("payments", Kind::Payments, "Exactly one payment, by card or by PayPal."),
        optional("shippingMethod", TEXT, "Such as Ground or Overnight; with shipping and shippingFee."),
        optional("shippingFee", Kind::Total, "With shipping and shippingMethod; 0 alone counts as absent."),
        optional("referringCode", TEXT, "Where the customer came from."),
        optional("consumerReferral", TEXT, "Where the customer says to have heard of the site."),
        optional("cookie", TEXT, "The customer's cookie."),
        optional("promoCode", TEXT, "A discount that was used."),
        optional("deviceFingerprintId", Kind::Identity(Identity::Id), "The shop's fingerprint of the device."),
        optional("customerComments", TEXT, "What the customer wrote."),
        optional("mirScore", Kind::Score, "The shop's own score; its scale is for the policy to state."),
        optional("highRiskDeliveryMethod", Kind::Flag, "Whether the shop thinks the delivery risky."),
        optional("shippingDeadline", Kind::Date, "When it must be shipped."),
        optional("custom1", Kind::Number, "The shop's own."),
        optional("custom2", TEXT, "The shop's own."),
        optional("custom3", TEXT, "The shop's own."),
        optional("custom4", TEXT, "The shop's own."),
        optional("custom5", TEXT, "The shop's own."),
        optional("salesRep", TEXT, "Who took the order by telephone."),
        optional("salesRepComments", TEXT, "What they wrote."),
        optional("inboundCallerId", TEXT, "Number that called."),
        optional("outboundCallerID", TEXT, "Number that was called.").or("outboundCallerId"),
        optional("ipAddress", Kind::IpAddress, "Where the order came from on the Internet."),
        optional("repeatCustomer", Kind::Flag, "Whether the shop vouches for the customer."),
    ],
};

/// An address.
pub(crate) static ADDRESS: Table = Table {
    name: "PlacedAddress",
    fields: &[
        required("firstName", TEXT, "First name."),
        optional("middleName", TEXT, "Middle name."),
        required("lastName", TEXT, "Last name."),
        optional("company", TEXT, "Company."),
        required("address1", TEXT, "Street and number."),
        optional("address2", TEXT, "Second line."),
        required("city", TEXT, "City."),
        required("state", Kind::State, "State; two letters in the United States and Canada."),
        required("country", Kind::Country, "ISO 3166 alpha-2 code."),
        required("zip", TEXT, "Postal code."),
        required("eveningPhone", Kind::Identity(Identity::Phone), "Telephone in the evening."),
        optional("dayPhone", TEXT, "Telephone by day."),
        optional("cellPhone", TEXT, "Mobile telephone."),
        required("email", Kind::Identity(Identity::Email), "E-mail address."),
    ],
};

/// A line of the order.
pub(crate) static PRODUCT: Table = Table {
    name: "PlacedProduct",
    fields: &[
        required("sku", TEXT, "The manufacturer's number."),
        required("name", TEXT, "Name."),
        optional("description", TEXT, "Description."),
        required("sellingPrice", Kind::Money, "Price of one."),
        required("qty", Kind::Count, "How many."),
        required("stockNumber", TEXT, "The shop's number."),
        required("brandName", TEXT, "Brand.").or("brandname"),
        optional("costPrice", Kind::Money, "What one cost the shop."),
        optional("custom1", TEXT, "The shop's own."),
        optional("custom2", TEXT, "The shop's own."),
        optional("custom3", TEXT, "The shop's own."),
        optional("custom4", TEXT, "The shop's own."),
        optional("custom5", TEXT, "The shop's own."),
    ],
};

/// A payment by card.
pub(crate) static CREDIT_CARD: Table = Table {
    name: "PlacedCreditCard",
    fields: &[
        required("paymentType", Kind::Choice(&["creditcard"]), "creditcard"),
        optional("gatewayTransactionId", TEXT, "The gateway's id of the payment."),
        optional("gatewayStatus", Kind::Choice(&["approved", "declined", "timeout"]), "What the gateway said."),
        optional("cavvResultCode", TEXT, "Answer of 3-D Secure."),
        required("bin", Kind::Digits(6, 8), "First digits of the card."),
        required("lastFour", Kind::Digits(4, 4), "Last digits of the card."),
        optional("cardType", TEXT, "Such as visa or amex."),
        optional("expiration", Kind::Expiration, "05/12 or 0512."),
        required(
            "avsCode",
            TEXT,
            "Answer of the address verification: letter, number or word of gateway or scheme, such as Y, N, no_match.",
        ),
        required(
            "cidResponse",
            TEXT,
            "Answer of the security code check: letter, number or word of gateway or scheme, such as M, Y, N, no_match.",
        ),
        optional("eciCode", TEXT, "Electronic commerce indicator, such as 05."),
        optional("fraudFree", Kind::FlagOrText, "Whether the card is known to be honest."),
    ],
};

/// A payment by PayPal.
pub(crate) static PAYPAL: Table = Table {
    name: "PlacedPaypal",
    fields: &[
        required("paymentType", Kind::Choice(&["paypal"]), "paypal"),
        required("payerEmail", TEXT, "E-mail address of the account."),
        required("payerStatus", Kind::Choice(&["Y", "N"]), "Whether the account is verified."),
        optional("paymentStatus", TEXT, "Status of the payment."),
        optional("protectionEligible", Kind::Choice(&["eligible", "ineligible"]), "Whether PayPal protects the shop."),
    ],
};

/// Every table, those of payments last.
pub(crate) static ALL: [&Table; 5] = [&ORDER, &ADDRESS, &PRODUCT, &CREDIT_CARD, &PAYPAL];
