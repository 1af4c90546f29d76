//! Sets of e-mail domains: a domain stands for itself and for what is below it.

use touchstone_schema::enrichment::{EmailFacts, Enrichment};
use touchstone_schema::history::normal;

use super::lines::{Problem, each_line};
use super::{Subject, Table};

/// Longest domain and longest label of one, in bytes (RFC 1035).
const DOMAIN_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// What a set of domains says of one that is in it.
type Mark = fn(&mut EmailFacts);

/// Domains in one piece of memory, sorted.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// All of them, one after the other.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[u32]>,
}

impl Domains {
    /// One domain a line.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut domains = Vec::new();
        each_line(bytes, |_, line| {
            let domain = normal::domain(line).into_owned();
            if !is_domain(&domain) {
                return Err("a domain such as example.com");
            }
            domains.push(domain);
            Ok(())
        })?;
        domains.sort_unstable();
        domains.dedup();
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(domains.len()));
        for domain in &domains {
            text.push_str(domain);
            // The size limit of the file is far below four gigabytes.
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Ok(Self { text: text.into(), ends: ends.into() })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the set has this domain or one above it.
    pub(super) fn covers(&self, domain: &str) -> bool {
        and_above(domain).any(|domain| self.has(domain))
    }

    fn has(&self, domain: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle).cmp(domain) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    fn at(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map_or(self.text.len(), |end| *end as usize);
        let start = index.checked_sub(1).map_or(0, end);
        self.text.get(start..end(index)).unwrap_or_default()
    }
}

/// A domain and the domains above it, the longest first.
pub(super) fn and_above(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, above)| above))
}

/// At least two labels: a top-level domain alone would stand for half of the world.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len()) && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    text.len() <= DOMAIN_BYTES && text.contains('.') && text.split('.').all(is_label)
}

/// Domains of a file that something is true of: `disposable-domains.txt`, `free-domains.txt`.
#[derive(Debug)]
pub(super) struct MarkedDomains {
    domains: Domains,
    mark: Mark,
}

impl MarkedDomains {
    /// One domain a line.
    pub(super) fn parse(bytes: &[u8], mark: Mark) -> Result<Self, Problem> {
        Ok(Self { domains: Domains::parse(bytes)?, mark })
    }
}

impl Table for MarkedDomains {
    fn tell(&self, subject: &Subject<'_>, enrichment: &mut Enrichment) {
        if subject.email_domain.as_deref().is_some_and(|domain| self.domains.covers(domain)) {
            (self.mark)(&mut enrichment.email);
        }
    }

    fn entries(&self) -> usize {
        self.domains.len()
    }

    fn coverage(&self) -> String {
        format!("{} domains", self.domains.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_domain_stands_for_what_is_below_it_and_nothing_else() {
        let domains = Domains::parse(b"Shop.example # a comment\nb.test\nzz.example\nb.test\n").unwrap();
        assert_eq!(domains.len(), 3);
        for covered in ["shop.example", "mail.shop.example", "a.b.test", "zz.example"] {
            assert!(domains.covers(covered), "{covered}");
        }
        for other in ["example", "workshop.example", "op.example", "test", "", "z.example", "shop.examplez"] {
            assert!(!domains.covers(other), "{other}");
        }
        assert!(!Domains::default().covers("shop.example"));
    }

    #[test]
    fn lines_that_are_no_domain_are_named() {
        for (text, line) in [
            ("a.example\ncom", "line 2"),
            ("a b.example", "line 1"),
            ("@a.example", "line 1"),
            ("a..example", "line 1"),
            ("https://a.example", "line 1"),
        ] {
            let problem = Domains::parse(text.as_bytes()).unwrap_err().to_string();
            assert_eq!(problem, format!("{line}: expected a domain such as example.com"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_domain_that_was_listed_is_found(names in prop::collection::vec("[a-z0-9ü]{1,5}\\.[a-z]{1,3}", 0..40)) {
            let domains = Domains::parse(names.join("\n").as_bytes()).unwrap();
            let names: Vec<_> = names.iter().map(|name| normal::domain(name)).collect();
            for name in &names {
                let below = format!("x.{name}");
                prop_assert!(domains.has(name) && domains.covers(&below));
                let longer = format!("{name}q");
                prop_assert_eq!(domains.has(&longer), names.iter().any(|name| *name == longer));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), asked in ".{0,30}") {
            if let Ok(domains) = Domains::parse(&bytes) {
                domains.covers(&asked);
            }
        }
    }
}
