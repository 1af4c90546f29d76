//! What is known without any file: public lists that come with the build.
//!
//! Sources: disposable domains from the crate `mailchecker` (MIT); free providers and networks of hosting providers from
//! the lists beside this file, which say where they were checked.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use touchstone_schema::enrichment::{EMAIL_RELAYS, Enrichment};

use super::domains::{Domains, and_above};
use super::hosting::HostingNetworks;
use super::{Subject, Table as _};

const FREE_TEXT: &[u8] = include_bytes!("free-domains.txt");
const HOSTING_TEXT: &[u8] = include_bytes!("hosting-asns.txt");

/// Sorted; relays are left out: their addresses are random, lasting, and their owner's choice.
static DISPOSABLE: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut domains = mailchecker::blacklist();
    domains.retain(|domain| !EMAIL_RELAYS.contains(domain));
    domains.sort_unstable();
    domains
});
static FREE: LazyLock<Domains> = LazyLock::new(|| Domains::parse(FREE_TEXT).unwrap_or_default());
static HOSTING: LazyLock<HostingNetworks> = LazyLock::new(|| HostingNetworks::parse(HOSTING_TEXT).unwrap_or_default());

/// Adds what the lists know. After the files, because it goes by the network that they told.
pub(super) fn tell(subject: &Subject<'_>, enrichment: &mut Enrichment) {
    if let Some(domain) = subject.email_domain.as_deref() {
        let email = &mut enrichment.email;
        let is_listed = |domain: &str| DISPOSABLE.binary_search(&domain).is_ok();
        email.is_disposable = email.is_disposable || and_above(domain).any(is_listed);
        email.is_free = email.is_free || FREE.covers(domain);
    }
    HOSTING.tell(subject, enrichment);
}

/// SHA-256 of all the lists.
pub(super) static DIGEST: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for domain in DISPOSABLE.iter() {
        hash.update(domain);
        hash.update(b"\n");
    }
    hash.update(FREE_TEXT);
    hash.update(HOSTING_TEXT);
    hash.finalize().into()
});

/// How much the lists hold.
pub(super) fn coverage() -> String {
    format!(
        "{} disposable and {} free e-mail domains, {} hosting networks",
        DISPOSABLE.len(),
        FREE.len(),
        HOSTING.entries()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_the_build_can_be_read() {
        assert_eq!(Domains::parse(FREE_TEXT).unwrap().len(), FREE.len());
        assert!(FREE.len() > 250 && DISPOSABLE.len() > 50_000 && HOSTING.entries() > 90, "{}", coverage());
    }

    #[test]
    fn a_domain_is_disposable_or_free_and_not_both() {
        let free = std::str::from_utf8(FREE_TEXT).unwrap().lines();
        let both: Vec<_> = free.filter(|domain| and_above(domain).any(|domain| DISPOSABLE.contains(&domain))).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
