//! Values that stand for a missing one. They identify no customer: a shop sends the same for every guest.
//!
//! This is the only list of such values. Sources: the guest values of WooCommerce (customer id `0`), Magento (customer id
//! `0`, group `NOT LOGGED IN`), PrestaShop (`id_customer` `0`, mailbox `anonymous@psgdpr.com` of its privacy module), Shopify
//! (`null`), and what PHP, JavaScript, Python and Java print for a missing value.

use super::numerals::to_ascii_digits;

/// What a value would identify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// An id of a customer, device, session or card.
    Id,
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
}

/// Texts that stand for a missing value, in lower case.
const WORDS: &[&str] = &[
    "null",
    "(null)",
    "nil",
    "none",
    "nan",
    "undefined",
    "unknown",
    "unbekannt",
    "n/a",
    "n.a.",
    "n.a",
    "na",
    "not available",
    "not applicable",
    "not provided",
    "not set",
    "no value",
    "empty",
    "void",
    "guest",
    "guest user",
    "guest customer",
    "guest_user",
    "not logged in",
    "anonymous",
    "anonym",
    "visitor",
    "default",
    "false",
    "[object object]",
    "object",
    "array",
    "-1",
    "tbd",
    "xxx",
];
/// Local parts of mailboxes that no customer reads.
const LOCAL_PARTS: &[&str] = &[
    "none",
    "noreply",
    "no-reply",
    "no_reply",
    "no.reply",
    "donotreply",
    "do-not-reply",
    "nomail",
    "no-mail",
    "noemail",
    "no-email",
    "no_email",
    "na",
    "n/a",
    "null",
    "undefined",
    "unknown",
    "guest",
    "guests",
    "anonymous",
    "nobody",
    "notprovided",
    "not-provided",
    "kein",
    "keine",
    "keinemail",
];
/// Mailboxes that a shop system writes where a customer has none.
const MAILBOXES: &[&str] = &["anonymous@psgdpr.com"];
/// Fewest equal digits that make a telephone number none.
const EQUAL_DIGITS: usize = 6;
/// Digits of the longest country calling code.
const CALLING_CODE_DIGITS: usize = 3;

/// Whether the text stands for a missing value of this kind.
pub fn is_placeholder(identity: Identity, text: &str) -> bool {
    let text = text.trim();
    if is_any(WORDS, text) || is_no_id(text) || !text.chars().any(char::is_alphanumeric) {
        return true;
    }
    match identity {
        Identity::Id => false,
        Identity::Phone => is_no_phone(text),
        Identity::Email => is_no_mailbox(text),
    }
}

/// Whether the mailbox is one of the store's own that stands for a missing one: `noreply@` or `guest@` on one of its
/// domains or below it.
pub fn is_own_mailbox(email: &str, own_domains: &[String]) -> bool {
    let Some((local, domain)) = email.trim().rsplit_once('@') else { return false };
    let is_below = |own: &String| {
        let at = domain.len().checked_sub(own.len());
        let (above, end) = at.and_then(|at| domain.split_at_checked(at)).unwrap_or_default();
        end.eq_ignore_ascii_case(own) && (above.is_empty() || above.ends_with('.'))
    };
    own_domains.iter().any(is_below) && is_no_reader(local)
}

fn is_any(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// `0`, `000`, and the UUID of zeros.
fn is_no_id(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'.' | b'{' | b'}'))
}

/// Zeros or nines alone, with or without a country calling code before them.
fn is_no_phone(text: &str) -> bool {
    let text = to_ascii_digits(text);
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    let is_one_digit =
        |digits: &[u8]| digits.iter().all(|digit| *digit == b'0') || digits.iter().all(|digit| *digit == b'9');
    let mut national = (1..=CALLING_CODE_DIGITS).filter_map(|code| digits.get(code..));
    !digits.is_empty() && is_one_digit(&digits)
        || national.any(|number| number.len() >= EQUAL_DIGITS && is_one_digit(number))
}

/// A known mailbox of a shop system, or one such as `none@none.com`, whose domain says the same as its local part.
fn is_no_mailbox(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let label = domain.split('.').next().unwrap_or_default();
    is_any(MAILBOXES, text) || is_no_reader(local) && (label.is_empty() || is_any(LOCAL_PARTS, label))
}

fn is_no_reader(local: &str) -> bool {
    is_any(LOCAL_PARTS, local.split('+').next().unwrap_or(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shops_send_for_guests_is_no_id() {
        for text in [
            "0",
            "000",
            "00000000-0000-0000-0000-000000000000",
            "null",
            "NULL",
            "guest",
            "Guest",
            "unknown",
            "n/a",
            "N/A",
            "none",
            "undefined",
            "[object Object]",
            "NOT LOGGED IN",
            "-",
            "  ",
            "-1",
            "NaN",
            "false",
            "--",
        ] {
            assert!(is_placeholder(Identity::Id, text), "{text}");
        }
        for text in ["1", "10", "007", "c0", "guest-4711", "a0000", "null-7", "9", "999999"] {
            assert!(!is_placeholder(Identity::Id, text), "{text}");
        }
    }

    #[test]
    fn zeros_and_nines_are_no_telephone_number() {
        for text in [
            "0",
            "0000000000",
            "+00 000 000",
            "999999999",
            "+1 999 999 9999",
            "+49 000000",
            "٠٠٠٠٠٠٠",
            "n/a",
            "none",
            "-",
            "+",
        ] {
            assert!(is_placeholder(Identity::Phone, text), "{text}");
        }
        for text in ["+15125555571", "030 1", "+49 30 900000", "0999999990", "112", "+1 800 000 0001"] {
            assert!(!is_placeholder(Identity::Phone, text), "{text}");
        }
    }

    #[test]
    fn mailboxes_that_nobody_reads_are_no_identity() {
        for text in ["none", "n/a", "none@none.com", "NoReply@noreply.org", "anonymous@psgdpr.com", "@", "noemail@"] {
            assert!(is_placeholder(Identity::Email, text), "{text}");
        }
        for text in ["ann@example.com", "none@keller.com", "guest@hotel.com", "odd", "na@example.com"] {
            assert!(!is_placeholder(Identity::Email, text), "{text}");
        }
    }

    #[test]
    fn mailboxes_of_the_store_itself_need_its_domains() {
        let own = ["shop.example".to_owned(), "shop.de".to_owned()];
        for text in ["noreply@shop.example", "None@Shop.DE", "guest@mail.shop.de", "noreply+7@shop.de"] {
            assert!(is_own_mailbox(text, &own), "{text}");
        }
        for text in ["ann@shop.de", "noreply@other.de", "noreply@myshop.de", "noreply", "noreply@de"] {
            assert!(!is_own_mailbox(text, &own), "{text}");
        }
    }
}
