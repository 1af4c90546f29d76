//! An e-mail address taken apart, and whether it can be one (RFC 5321, RFC 5322; letters of any script, RFC 6531).

/// Relays that hide a customer's address behind a random one. They are the customer's choice and not evidence.
pub(super) const RELAYS: &[&str] =
    &["privaterelay.appleid.com", "mozmail.com", "duck.com", "simplelogin.com", "passmail.net"];
/// Longest local part and domain (RFC 5321, 4.5.3.1), and longest label of a domain (RFC 1035), in bytes.
const LOCAL_BYTES: usize = 64;
const DOMAIN_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// A well-formed address in lower case.
pub(super) struct Mailbox {
    text: String,
    at: usize,
}

impl Mailbox {
    pub(super) fn parse(address: &str) -> Option<Self> {
        let text = address.trim().to_lowercase();
        let at = text.rfind('@')?;
        let mailbox = Self { text, at };
        let has_dots_apart =
            mailbox.local().split('.').all(|atom| !atom.is_empty()) || gives_any_dots(mailbox.domain());
        (has_dots_apart && is_local_part(mailbox.local()) && is_domain(mailbox.domain())).then_some(mailbox)
    }

    pub(super) fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// The local part without the tag after a plus sign.
    pub(super) fn untagged(&self) -> &str {
        self.local().split('+').next().unwrap_or_default()
    }

    pub(super) fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The domain and the domains above it, the longest first.
    pub(super) fn domains(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.domain()), |domain| domain.split_once('.').map(|(_, above)| above))
    }

    pub(super) fn is_relay(&self) -> bool {
        RELAYS.contains(&self.domain())
    }
}

/// Whether the provider gave out addresses with dots side by side or at the end, against RFC 5321, as Japanese mobile
/// operators did until 2009: such addresses are still in use.
fn gives_any_dots(domain: &str) -> bool {
    ["docomo.ne.jp", "ezweb.ne.jp", "au.com"].contains(&domain)
}

fn is_local_part(local: &str) -> bool {
    (1..=LOCAL_BYTES).contains(&local.len())
        && local
            .chars()
            .all(|c| c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace()) || ".!#$%&'*+/=?^_`{|}~-".contains(c))
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.len() <= DOMAIN_BYTES
        && domain.contains('.')
        && domain.split('.').all(is_label)
        && !top.bytes().all(|byte| byte.is_ascii_digit())
}
