//! One consistent state of all files, and what it tells of an order.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use touchstone_schema::enrichment::Enrichment;
use touchstone_schema::history::normal;
use touchstone_schema::order::{CountryCode, Order};

use super::built_in;
use super::files::{FILE_COUNT, FILES, Loaded};

/// Bytes of a version's hash that are shown: enough to tell any two sets of files apart.
const VERSION_BYTES: usize = 8;

/// What is asked for, taken from an order once.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    pub(super) ip: Option<IpAddr>,
    /// In lower case.
    pub(super) email_domain: Option<Cow<'a, str>>,
    pub(super) card_bin: Option<&'a str>,
    pub(super) billing_postcode: Option<(CountryCode, &'a str)>,
}

impl<'a> Subject<'a> {
    fn of(order: &'a Order) -> Self {
        let address = order.billing_address.as_ref();
        Self {
            ip: order.ip_address,
            email_domain: order.customer.email.as_deref().and_then(domain),
            card_bin: order.payment.card_bin.as_deref(),
            billing_postcode: address.and_then(|address| Some((address.country?, address.postal_code.as_deref()?))),
        }
    }
}

/// The domain of a mailbox, in the spelling of [`normal::domain`].
fn domain(mailbox: &str) -> Option<Cow<'_, str>> {
    mailbox.trim().rsplit_once('@').map(|(_, domain)| normal::domain(domain))
}

/// One consistent state; it does not change while it is held.
#[derive(Debug, Clone)]
pub struct Snapshot {
    files: [Option<Arc<Loaded>>; FILE_COUNT],
    version: Arc<str>,
}

impl Snapshot {
    pub(super) fn new(files: [Option<Arc<Loaded>>; FILE_COUNT]) -> Self {
        let mut hash = Sha256::new();
        hash.update(*built_in::DIGEST);
        for (file, loaded) in FILES.iter().zip(&files) {
            if let Some(loaded) = loaded {
                hash.update(file.name);
                hash.update(loaded.digest);
            }
        }
        let hash = hash.finalize();
        let version = hex::encode(hash.get(..VERSION_BYTES).unwrap_or(&hash)).into();
        Self { files, version }
    }

    /// Names the data: the same version tells the same of the same order. It covers the files' contents and the lists
    /// that come with the build.
    pub const fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// What is known of an order.
    pub fn look_up(&self, order: &Order) -> Enrichment {
        let subject = Subject::of(order);
        let mut enrichment = Enrichment::default();
        for loaded in self.files.iter().flatten() {
            loaded.table.tell(&subject, &mut enrichment);
        }
        built_in::tell(&subject, &mut enrichment);
        enrichment
    }

    pub(super) const fn files(&self) -> &[Option<Arc<Loaded>>; FILE_COUNT] {
        &self.files
    }
}
