//! Card numbers in text: where they are, and the text without them.
//!
//! Guarantee: the time is linear in the text, whatever is in it: each digit is looked at a fixed number of times.

use std::ops::Range;

use crate::decimal::Decimal;

/// Fewest digits of a card number.
pub(super) const MIN_DIGITS: usize = 13;
/// Most digits of a card number.
const MAX_DIGITS: usize = 19;
/// Digits that name the scheme.
const PREFIX_DIGITS: usize = 6;
/// Digits at the end of a card number that stay readable.
const KEPT_DIGITS: usize = 4;

/// The text with every full card number masked, or none when it has no card number. Only the last four digits stay.
pub fn mask_text(text: &str) -> Option<String> {
    let cards = card_runs(text);
    if cards.is_empty() { None } else { Some(masked(text, &cards)) }
}

/// The text with these card numbers masked.
pub(super) fn masked(text: &str, cards: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for card in cards {
        let digits = bytes[card.clone()].iter_mut().rev().filter(|byte| byte.is_ascii_digit());
        digits.skip(KEPT_DIGITS).for_each(|digit| *digit = b'*');
    }
    // ASCII digits were replaced by an ASCII sign: the text stays UTF-8.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The digits of a number whose value is a card number, however it is spelled.
pub(super) fn number_card(raw: &str) -> Option<String> {
    // Without an exponent a number has no more digits than are written.
    if raw.len() < MIN_DIGITS && !raw.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return None;
    }
    let digits = Decimal::parse(raw)?.whole_digits(MIN_DIGITS..=MAX_DIGITS)?;
    is_card_number(digits.as_bytes()).then_some(digits)
}

/// Byte ranges of the card numbers in a text: digits in groups parted by blanks or dashes, from the beginning of a group to
/// the end of one, the longest at each place. The digits that stay readable of one may begin the next.
pub(super) fn card_runs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut cards = Vec::new();
    if !has_long_run(bytes) {
        return cards;
    }
    let mut run = Run::default();
    let mut at = 0;
    let mut follows_digit = false;
    while at < bytes.len() {
        let is_digit = bytes[at].is_ascii_digit();
        if is_digit {
            run.push(bytes[at] - b'0', at, !follows_digit);
            at += 1;
        } else if let Some(length) = separator(&bytes[at..]) {
            at += length;
        } else {
            run.take_cards(&mut cards);
            at += 1;
        }
        follows_digit = is_digit;
    }
    run.take_cards(&mut cards);
    cards
}

/// Digits that only blanks and dashes part.
#[derive(Default)]
struct Run {
    digits: Vec<Digit>,
}

struct Digit {
    value: u8,
    /// Its place in the text.
    at: usize,
    /// Whether a blank or dash is before it, or nothing.
    begins: bool,
    /// The Luhn sums, modulo 10, of the digits before it: with those at even places doubled, and those at odd ones.
    sums: [u8; 2],
}

impl Digit {
    fn sums_behind(&self, place: usize) -> [u8; 2] {
        let doubled = if self.value < 5 { self.value * 2 } else { self.value * 2 - 9 };
        let added = if place.is_multiple_of(2) { [doubled, self.value] } else { [self.value, doubled] };
        [(self.sums[0] + added[0]) % 10, (self.sums[1] + added[1]) % 10]
    }
}

impl Run {
    fn push(&mut self, value: u8, at: usize, begins: bool) {
        let place = self.digits.len();
        let sums = self.digits.last().map_or([0; 2], |last| last.sums_behind(place - 1));
        self.digits.push(Digit { value, at, begins, sums });
    }

    /// Finds the card numbers of the run and empties it.
    fn take_cards(&mut self, cards: &mut Vec<Range<usize>>) {
        let mut first = 0;
        while first + MIN_DIGITS <= self.digits.len() {
            let Some(end) = self.card_end(first) else {
                first += 1;
                continue;
            };
            cards.push(self.digits[first].at..self.digits[end - 1].at + 1);
            first = end - KEPT_DIGITS;
            // What is before it is hidden.
            self.digits[first].begins = true;
        }
        self.digits.clear();
    }

    /// Where the longest card number ends that begins with this digit.
    fn card_end(&self, first: usize) -> Option<usize> {
        if !self.digits[first].begins {
            return None;
        }
        let prefix = self.digits[first..first + PREFIX_DIGITS].iter();
        let prefix = prefix.fold(0, |value, digit| value * 10 + u32::from(digit.value));
        scheme_lengths(prefix).iter().map(|length| first + length).find(|end| self.is_card(first, *end))
    }

    /// Whether the digits up to `end` are whole groups and pass Luhn: counted from the last, each second one is doubled.
    fn is_card(&self, first: usize, end: usize) -> bool {
        let sums_before_end = match self.digits.get(end) {
            Some(next) if next.begins => next.sums,
            None if end == self.digits.len() => self.digits[end - 1].sums_behind(end - 1),
            _ => return false,
        };
        sums_before_end[end % 2] == self.digits[first].sums[end % 2]
    }
}

/// Whether enough digits for a card number follow each other, blanks and dashes between them or not.
pub(super) fn has_long_run(bytes: &[u8]) -> bool {
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
pub(super) fn separator(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b' ' | b'-' | b'\t', ..] => Some(1),
        [0xC2, 0xA0, ..] => Some(2),
        [0xE2, 0x80, 0x90..=0x95 | 0xAF, ..] => Some(3),
        _ => None,
    }
}

/// Whether these digits are a card number: a scheme's prefix and length, and the Luhn check digit.
pub(super) fn is_card_number(digits: &[u8]) -> bool {
    let Some(prefix) = digits.get(..PREFIX_DIGITS) else { return false };
    let prefix = prefix.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    scheme_lengths(prefix).contains(&digits.len()) && passes_luhn(digits)
}

/// The lengths that card schemes issue numbers of this prefix in, longest first (ISO/IEC 7812 ranges as published by the
/// schemes).
fn scheme_lengths(prefix: u32) -> &'static [usize] {
    const FROM_13: &[usize] = &[19, 18, 17, 16, 15, 14, 13];
    const FROM_14: &[usize] = &[19, 18, 17, 16, 15, 14];
    const FROM_16: &[usize] = &[19, 18, 17, 16];
    match prefix {
        // Visa
        400_000..=499_999 => &[19, 16, 13],
        // Mastercard
        510_000..=559_999 | 222_100..=272_099 => &[16],
        // American Express
        340_000..=349_999 | 370_000..=379_999 => &[15],
        // Diners Club
        300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 => FROM_14,
        // JCB
        352_800..=358_999 => FROM_16,
        // Discover; UnionPay, whose 62 holds Discover's 622126-622925
        601_100..=601_199 | 644_000..=659_999 | 620_000..=629_999 => FROM_16,
        // Maestro
        501_800..=501_899 | 502_000..=502_099 | 503_800..=503_899 | 561_200..=561_299 | 589_300..=589_399 => FROM_13,
        630_400..=630_499 | 639_000..=639_099 | 675_900..=675_999 | 676_100..=676_399 | 676_600..=676_699 => FROM_13,
        677_100..=677_199 | 60_400..=60_499 => FROM_13,
        _ => &[],
    }
}

pub(super) fn passes_luhn(digits: &[u8]) -> bool {
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
