//! A store's own lists: what is always allowed and what is always blocked (signal catalogue, group "lists").

use crate::tenant::wire_enum;

wire_enum! {
    /// What a list does to the orders that it matches.
    ListKind {
        /// The score is 100.
        Block = "block",
        /// The score is 0 unless a block matches too.
        Allow = "allow",
    }
}

wire_enum! {
    /// What a list entry names.
    ListSubject {
        /// A mailbox.
        Email = "email",
        /// Every mailbox of a domain and of those below it.
        EmailDomain = "email_domain",
        /// An address or a range of addresses (CIDR).
        Ip = "ip",
        /// A card, by the gateway's fingerprint.
        Card = "card",
        /// A device fingerprint.
        Device = "device",
        /// A phone number.
        Phone = "phone",
        /// A postal address.
        Address = "address",
        /// A customer id of the merchant.
        Customer = "customer",
    }
}

/// Which of a store's list entries an order matches, looked up before scoring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMatches {
    /// What blocks it, in the order of [`ListSubject`].
    pub blocked: Vec<ListSubject>,
    /// What allows it, in the order of [`ListSubject`].
    pub allowed: Vec<ListSubject>,
}
