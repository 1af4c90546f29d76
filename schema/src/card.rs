//! Full card numbers: refused in payment fields, masked everywhere else, so that none is ever stored or logged
//! (contract section 0).
//!
//! Guarantee: a document that [`is_in`] finds nothing in, or that went through [`find_in_payment_fields`] and [`mask`], holds no run of digits that passes
//! for a card number, outside identifiers: payment references look like cards one time in ten, so members named
//! `*_id`, `*Id`, `*Reference` or `fingerprint` are left alone.

use std::borrow::Cow;
use std::ops::Range;

use crate::decimal::Decimal;
use crate::json::{Json, Path};

/// Fewest digits of a card number.
const MIN_DIGITS: usize = 13;
/// Most digits of a card number.
const MAX_DIGITS: usize = 19;
/// Digits at the end of a card number that stay readable.
const KEPT_DIGITS: usize = 4;

/// Whether there is a full card number anywhere, identifiers included. Most documents hold none: this one look saves them
/// the others.
pub fn is_in(document: &Json<'_>) -> bool {
    match document {
        Json::Array(items) => items.iter().any(is_in),
        Json::Object(members) => members.iter().any(|(key, member)| has_card(key) || is_in(member)),
        Json::String(text) => has_card(text),
        Json::Number(raw) => number_card(raw).is_some(),
        Json::Null | Json::Bool(_) => false,
    }
}

/// The JSON pointer of the first full card number in a payment field: one whose name says card, account number or PAN,
/// or that lies anywhere under a payment object.
pub fn find_in_payment_fields(document: &Json<'_>) -> Option<String> {
    find(document, &Path::Root)
}

fn find(value: &Json<'_>, path: &Path<'_>) -> Option<String> {
    match value {
        Json::Array(items) => items.iter().enumerate().find_map(|(index, item)| find(item, &path.index(index))),
        Json::Object(members) => members.iter().find_map(|(key, member)| {
            if has_card(key) && is_under_payment(path) {
                return Some(path.pointer());
            }
            find(member, &path.key(key))
        }),
        Json::String(text) if has_card(text) => is_payment_field(path).then(|| path.pointer()),
        Json::Number(raw) if number_card(raw).is_some() => is_payment_field(path).then(|| path.pointer()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

/// Masks every full card number outside identifiers, keys included; tells whether there was any. A masked number
/// becomes a text. Only the last four digits stay.
pub fn mask(document: Json<'_>) -> (Json<'_>, bool) {
    let mut changed = false;
    let masked = mask_value(document, "", &mut changed);
    (masked, changed)
}

fn mask_value<'a>(value: Json<'a>, name: &str, changed: &mut bool) -> Json<'a> {
    match value {
        Json::Array(items) => Json::Array(items.into_iter().map(|item| mask_value(item, name, changed)).collect()),
        Json::Object(members) => mask_members(members, changed),
        Json::String(text) => match mask_text(&text).filter(|_| !is_identifier(name)) {
            Some(masked) => {
                *changed = true;
                Json::String(Cow::Owned(masked))
            }
            None => Json::String(text),
        },
        Json::Number(raw) => match number_card(raw).filter(|_| !is_identifier(name)) {
            Some(digits) => {
                *changed = true;
                Json::String(Cow::Owned(mask_text(&digits).unwrap_or_default()))
            }
            None => Json::Number(raw),
        },
        plain @ (Json::Null | Json::Bool(_)) => plain,
    }
}

fn mask_members<'a>(members: Vec<(Cow<'a, str>, Json<'a>)>, changed: &mut bool) -> Json<'a> {
    let mut key_masked = false;
    let mut masked: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(members.len());
    for (key, member) in members {
        let member = mask_value(member, &key, changed);
        let key = match mask_text(&key) {
            Some(text) => {
                key_masked = true;
                Cow::Owned(text)
            }
            None => key,
        };
        masked.push((key, member));
    }
    if key_masked {
        *changed = true;
        tell_keys_apart(&mut masked);
    }
    Json::Object(masked)
}

/// Numbers keys that became equal by masking: a stored document must not have duplicate keys.
fn tell_keys_apart(members: &mut [(Cow<'_, str>, Json<'_>)]) {
    let mut seen = std::collections::HashSet::with_capacity(members.len());
    let mut number = 1;
    for (key, _) in members.iter_mut() {
        let masked = key.clone().into_owned();
        while !seen.insert(key.clone().into_owned()) {
            number += 1;
            *key = Cow::Owned(format!("{masked} #{number}"));
        }
    }
}

/// The text with every full card number masked, or none when it has no card number.
pub fn mask_text(text: &str) -> Option<String> {
    let cards = card_runs(text);
    if cards.is_empty() {
        return None;
    }
    let mut bytes = text.as_bytes().to_vec();
    for card in cards {
        let mut readable = KEPT_DIGITS;
        for byte in bytes[card].iter_mut().rev().filter(|byte| byte.is_ascii_digit()) {
            if readable > 0 {
                readable -= 1;
            } else {
                *byte = b'*';
            }
        }
    }
    // ASCII digits were replaced by an ASCII sign: the text stays UTF-8.
    String::from_utf8(bytes).ok()
}

fn has_card(text: &str) -> bool {
    !card_runs(text).is_empty()
}

/// The digits of a number whose value is a card number, however it is spelled.
fn number_card(raw: &str) -> Option<String> {
    if raw.len() < 3 {
        return None;
    }
    let digits = Decimal::parse(raw)?.whole_digits(MIN_DIGITS..=MAX_DIGITS)?;
    is_card_number(digits.as_bytes()).then_some(digits)
}

/// Byte ranges of the card numbers in a text: digits in groups parted by blanks or dashes.
fn card_runs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut cards = Vec::new();
    if !has_long_run(bytes) {
        return cards;
    }
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_digit() {
            let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            groups.push(at..at + length);
            at += length;
        } else if let Some(length) = separator(&bytes[at..]) {
            at += length;
        } else {
            cards_of_run(bytes, &groups, &mut cards);
            groups.clear();
            at += 1;
        }
    }
    cards_of_run(bytes, &groups, &mut cards);
    cards
}

/// Whether enough digits for a card number follow each other, blanks and dashes between them or not.
fn has_long_run(bytes: &[u8]) -> bool {
    if bytes.len() < MIN_DIGITS {
        return false;
    }
    // Counted without branches, which rules most texts out many bytes at a time.
    let all: usize = bytes.chunks(MAX_CHUNK).map(|chunk| usize::from(digits_of(chunk))).sum();
    if all < MIN_DIGITS {
        return false;
    }
    let (mut at, mut run) = (0, 0);
    while at < bytes.len() && run < MIN_DIGITS {
        if bytes[at].is_ascii_digit() {
            run += 1;
            at += 1;
        } else if let Some(length) = separator(&bytes[at..]) {
            at += length;
        } else {
            run = 0;
            at += 1;
        }
    }
    run == MIN_DIGITS
}

/// Bytes whose digits fit a count of one byte.
const MAX_CHUNK: usize = u8::MAX as usize;

fn digits_of(chunk: &[u8]) -> u8 {
    chunk.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum()
}

/// Length of a blank or dash at the start of the bytes: ASCII ones, no-break space, Unicode hyphens and dashes.
fn separator(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b' ' | b'-' | b'\t', ..] => Some(1),
        [0xC2, 0xA0, ..] => Some(2),
        [0xE2, 0x80, 0x90..=0x95 | 0xAF, ..] => Some(3),
        _ => None,
    }
}

/// Finds card numbers that begin and end with whole groups, the longest at each place.
fn cards_of_run(bytes: &[u8], groups: &[Range<usize>], cards: &mut Vec<Range<usize>>) {
    let mut first = 0;
    while first < groups.len() {
        let mut digits = [0u8; MAX_DIGITS];
        let mut length = 0;
        let mut found = None;
        for (last, group) in groups.iter().enumerate().skip(first) {
            let Some(room) = digits.get_mut(length..length + group.len()) else { break };
            room.copy_from_slice(&bytes[group.clone()]);
            length += group.len();
            if is_card_number(&digits[..length]) {
                found = Some(last);
            }
        }
        match found {
            Some(last) => {
                cards.push(groups[first].start..groups[last].end);
                first = last + 1;
            }
            None => first += 1,
        }
    }
}

fn is_card_number(digits: &[u8]) -> bool {
    (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) && scheme_knows(digits) && passes_luhn(digits)
}

/// Whether a card scheme issues numbers of this prefix and length (ISO/IEC 7812 ranges as published by the schemes).
fn scheme_knows(digits: &[u8]) -> bool {
    let prefix = digits[..6].iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    let length = digits.len();
    match prefix {
        // Visa
        400_000..=499_999 => matches!(length, 13 | 16 | 19),
        // Mastercard
        510_000..=559_999 | 222_100..=272_099 => length == 16,
        // American Express
        340_000..=349_999 | 370_000..=379_999 => length == 15,
        // Diners Club
        300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 => length >= 14,
        // JCB
        352_800..=358_999 => length >= 16,
        // Discover; UnionPay, whose 62 holds Discover's 622126-622925
        601_100..=601_199 | 644_000..=659_999 | 620_000..=629_999 => length >= 16,
        // Maestro
        501_800..=501_899 | 502_000..=502_099 | 503_800..=503_899 | 561_200..=561_299 | 589_300..=589_399 => true,
        630_400..=630_499 | 639_000..=639_099 | 675_900..=675_999 | 676_100..=676_399 | 676_600..=676_699 => true,
        677_100..=677_199 | 60_400..=60_499 => true,
        _ => false,
    }
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether the place is one where a card number is refused.
fn is_payment_field(path: &Path<'_>) -> bool {
    let (parent, own_name) = match path {
        Path::Root => return false,
        Path::Index(parent, _) => return is_payment_field(parent),
        Path::Key(parent, name) => (parent, name),
    };
    !is_identifier(own_name) && (says_card(own_name) || is_under_payment(parent))
}

fn is_under_payment(path: &Path<'_>) -> bool {
    match path {
        Path::Root => false,
        Path::Index(parent, _) => is_under_payment(parent),
        Path::Key(parent, name) => says_payment(name) || says_card(name) || is_under_payment(parent),
    }
}

fn says_payment(name: &str) -> bool {
    words(name).any(|word| word.starts_with("payment"))
}

fn says_card(name: &str) -> bool {
    let squeezed: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    squeezed.contains("card")
        || squeezed.contains("accountn") && (squeezed.contains("accountnumber") || squeezed.contains("accountno"))
        || words(name).any(|word| word == "pan")
}

/// Whether the name is an identifier's: `id`, `*_id`, `*Id`, `reference`, `*Reference`, `fingerprint`.
fn is_identifier(name: &str) -> bool {
    let mut last = None;
    for word in words(name) {
        if word == "fingerprint" {
            return true;
        }
        last = Some(word);
    }
    last.is_some_and(|word| word == "id" || word == "reference")
}

/// The words of a member's name, in lower case: `billingCardID` and `billing_card_id` are billing, card, id.
fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    let bytes = name.as_bytes();
    let starts_word = move |at: usize| {
        at == 0
            || !bytes[at - 1].is_ascii_alphanumeric()
            || bytes[at].is_ascii_uppercase()
                && (!bytes[at - 1].is_ascii_uppercase() || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase))
    };
    (0..bytes.len()).filter(move |at| bytes[*at].is_ascii_alphanumeric() && starts_word(*at)).map(move |start| {
        let end = (start + 1..bytes.len())
            .find(|at| !bytes[*at].is_ascii_alphanumeric() || starts_word(*at))
            .unwrap_or(bytes.len());
        bytes[start..end].iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
    })
}

#[cfg(test)]
mod tests;
