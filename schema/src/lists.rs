//! A store's own lists: what is always allowed and what is always blocked (signal catalogue, group "lists").
//!
//! Entries that name people hold a keyed hash and a hint to recognise them by, never the value itself. Domains and ranges
//! of addresses are kept as they are. An entry that has expired matches nothing, by the clock of the order.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::history::{HistoryKey, HistoryKeyKind, HistoryKeys, normal};
use crate::ids::ListEntryId;
use crate::order::Order;
use crate::secret::Secret;
use crate::tenant::{KeyMode, wire_enum};
use crate::time::Timestamp;

mod value;

use value::Read;

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

impl ListSubject {
    /// The history key that it is compared by; none for what is compared as it is.
    pub const fn key_kind(self) -> Option<HistoryKeyKind> {
        match self {
            Self::Email => Some(HistoryKeyKind::Email),
            Self::Card => Some(HistoryKeyKind::Card),
            Self::Device => Some(HistoryKeyKind::Device),
            Self::Phone => Some(HistoryKeyKind::Phone),
            Self::Address => Some(HistoryKeyKind::Address),
            Self::Customer => Some(HistoryKeyKind::Customer),
            Self::EmailDomain | Self::Ip => None,
        }
    }
}

/// What an entry is compared by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListMatcher {
    /// A value under the store's key.
    Key(HistoryKey),
    /// A domain, in lower case and its ASCII form.
    Domain(String),
    /// One address or many.
    Range(IpNet),
}

impl ListMatcher {
    /// Reads a value as a person types it: `ann@example.com`, `example.com`, `203.0.113.0/24`, `10 High St; SW1A 1AA; GB`.
    ///
    /// # Errors
    /// What was expected, when it is not such a value or no order could match it.
    pub fn read(subject: ListSubject, value: &str, data_key: &Secret, mode: KeyMode) -> Result<Self, &'static str> {
        let text = match value::read(subject, value)? {
            Read::Text(text) => text,
            Read::Domain(domain) => return Ok(Self::Domain(domain)),
            Read::Range(range) => return Ok(Self::Range(range)),
        };
        let kind = subject.key_kind().map_or("", HistoryKeyKind::as_str);
        Ok(Self::Key(HistoryKey::of(data_key, mode, kind, &text)))
    }

    /// Its stored form.
    pub fn stored(&self) -> String {
        match self {
            Self::Key(key) => key.as_i64().to_string(),
            Self::Domain(domain) => domain.clone(),
            Self::Range(range) => range.to_string(),
        }
    }

    /// From its stored form.
    pub fn from_stored(subject: ListSubject, text: &str) -> Option<Self> {
        match subject {
            ListSubject::EmailDomain => Some(Self::Domain(normal::domain(text).into_owned())),
            ListSubject::Ip => text.parse().ok().map(Self::Range),
            _ => text.parse().ok().map(|stored| Self::Key(HistoryKey::from_i64(stored))),
        }
    }
}

/// What a value may be recognised by in a listing: domains and addresses whole, of anything else the least that helps.
pub fn hint(subject: ListSubject, value: &str) -> String {
    let value = value.trim();
    match (subject, value.rsplit_once('@')) {
        (ListSubject::EmailDomain, _) => normal::domain(value.trim_start_matches('@')).into_owned(),
        (ListSubject::Ip, _) => value.to_lowercase(),
        (ListSubject::Email, Some((local, domain))) => {
            format!("{}…@{}", local.chars().take(1).collect::<String>(), domain.to_lowercase())
        }
        _ => {
            let characters: Vec<char> = value.chars().collect();
            let shown = if characters.len() < 6 { 0 } else { 2 };
            let end: String = characters[characters.len() - shown..].iter().collect();
            format!("…{end}")
        }
    }
}

/// A domain as it is compared: in lower case and in its ASCII form.
///
/// # Errors
/// What was expected, when it is none.
pub fn domain(value: &str) -> Result<String, &'static str> {
    value::email_domain(value.trim())
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Names it.
    pub id: ListEntryId,
    /// What it does.
    pub list: ListKind,
    /// What it names.
    pub subject: ListSubject,
    /// What it is compared by.
    pub matcher: ListMatcher,
    /// What it may be recognised by.
    pub hint: String,
    /// Why it is there, in the words of whoever added it.
    pub note: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// From when it matches nothing.
    pub expires_at: Option<Timestamp>,
}

/// Which of a store's list entries an order matches, looked up before scoring.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMatches {
    /// What blocks it, in the order of [`ListSubject`].
    pub blocked: Vec<ListSubject>,
    /// What allows it, in the order of [`ListSubject`].
    pub allowed: Vec<ListSubject>,
}

#[derive(Debug, Clone, Copy)]
struct Listed {
    list: ListKind,
    subject: ListSubject,
    expires_at: Option<Timestamp>,
}

/// The lists of one store and world, ready to be matched: a few look-ups for each order, however long they are.
#[derive(Debug, Default)]
pub struct StoreLists {
    by_matcher: HashMap<ListMatcher, Vec<Listed>>,
    /// Lengths of the prefixes of all ranges.
    prefixes: BTreeSet<u8>,
}

impl StoreLists {
    /// Adds an entry.
    pub fn add(&mut self, entry: ListEntry) {
        if let ListMatcher::Range(range) = &entry.matcher {
            self.prefixes.insert(range.prefix_len());
        }
        let listed = Listed { list: entry.list, subject: entry.subject, expires_at: entry.expires_at };
        self.by_matcher.entry(entry.matcher).or_default().push(listed);
    }

    /// What an order that was received `at` matches.
    pub fn matches(&self, order: &Order, keys: &HistoryKeys, at: Timestamp) -> ListMatches {
        let mut found = ListMatches::default();
        if self.by_matcher.is_empty() {
            return found;
        }
        let hashed = keys.iter().map(|(_, key)| ListMatcher::Key(key));
        let address = order.ip_address.map(|address| address.to_canonical());
        let ranges = self.prefixes.iter().filter_map(|prefix| IpNet::new(address?, *prefix).ok());
        let ranges = ranges.map(|range| ListMatcher::Range(range.trunc()));
        for matcher in hashed.chain(ranges).chain(domains(order)) {
            for listed in self.by_matcher.get(&matcher).into_iter().flatten() {
                if listed.expires_at.is_none_or(|end| at < end) {
                    match listed.list {
                        ListKind::Block => found.blocked.push(listed.subject),
                        ListKind::Allow => found.allowed.push(listed.subject),
                    }
                }
            }
        }
        for subjects in [&mut found.blocked, &mut found.allowed] {
            subjects.sort_unstable();
            subjects.dedup();
        }
        found
    }
}

/// The order's e-mail domain and those above it.
fn domains(order: &Order) -> impl Iterator<Item = ListMatcher> {
    let domain = order.customer.email.as_deref().and_then(|email| email.trim().rsplit_once('@'));
    let whole = domain.map(|(_, domain)| normal::domain(domain).into_owned());
    std::iter::successors(whole, |domain| domain.split_once('.').map(|(_, above)| above.to_owned()))
        .map(ListMatcher::Domain)
}

#[cfg(test)]
mod tests;
