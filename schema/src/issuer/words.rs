//! Plain words and numbered answers.

use std::borrow::Cow;

use super::{Answer, Table};

/// The letters and digits of a text, in lower case: `No match`, `no_match` and `NOMATCH` are the same.
pub(super) fn squashed(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Whether two answers are the same but for case, blanks and punctuation. A text of punctuation alone is no answer.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    squashed(one).next().is_some() && squashed(one).eq(squashed(other))
}

/// `2 Doesn't Match` as its number and its words; none of a text that has not both.
fn numbered(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).filter(|end| *end > 0)?;
    let (number, rest) = text.split_at(end);
    squashed(rest).next()?;
    Some((number, rest))
}

/// Whether two texts begin with the same word.
fn begin_alike(one: &str, other: &str) -> bool {
    let first = |text: &str| text.split_whitespace().next().map(|word| squashed(word).collect::<String>());
    first(one).is_some_and(|word| Some(word) == first(other))
}

/// An answer of Adyen's, which is a number with words after it: by the number, where the words begin as those of the
/// table, or where nothing but the number was sent and the gateway is Adyen.
pub(super) fn adyen<M: Copy>(text: &str, is_adyen: bool, table: &Table<M>) -> Option<Answer<M>> {
    let text = text.trim();
    let sent = numbered(text).or_else(|| is_adyen.then_some((text, "")))?;
    let has = |answer: &str| {
        numbered(answer)
            .is_some_and(|(number, words)| number == sent.0 && (sent.1.is_empty() || begin_alike(words, sent.1)))
    };
    let (answer, meaning) = table.rows.iter().find(|(answer, _)| has(answer))?;
    Some(Answer { meaning: *meaning, text: Some(Cow::Borrowed(answer)) })
}

/// What a plain word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It matches.
    Match,
    /// It does not.
    NoMatch,
    /// Part of it does; of an address.
    Partly,
    /// It was not checked, or no answer came.
    Unchecked,
}

/// Words that shops and gateways send in place of letters. `pass`, `fail`, `unavailable` and `unchecked` are those of the
/// Stripe API reference (`payment_method_details.card.checks`), the words of Braintree those of its GraphQL reference
/// (`AvsCvvResponseCode`), those with AVS and CVV in front those of the Square API reference (`CardPaymentDetails`).
pub(super) const PLAIN: &[(&str, Said)] = &[
    ("match", Said::Match),
    ("matches", Said::Match),
    ("matched", Said::Match),
    ("full match", Said::Match),
    ("exact match", Said::Match),
    ("pass", Said::Match),
    ("passed", Said::Match),
    ("success", Said::Match),
    ("verified", Said::Match),
    ("yes", Said::Match),
    ("true", Said::Match),
    ("avs accepted", Said::Match),
    ("cvv accepted", Said::Match),
    ("no match", Said::NoMatch),
    ("not match", Said::NoMatch),
    ("not matched", Said::NoMatch),
    ("unmatched", Said::NoMatch),
    ("does not match", Said::NoMatch),
    ("doesn't match", Said::NoMatch),
    ("did not match", Said::NoMatch),
    ("mismatch", Said::NoMatch),
    ("mismatched", Said::NoMatch),
    ("fail", Said::NoMatch),
    ("failed", Said::NoMatch),
    ("failure", Said::NoMatch),
    ("incorrect", Said::NoMatch),
    ("wrong", Said::NoMatch),
    ("no", Said::NoMatch),
    ("false", Said::NoMatch),
    ("avs rejected", Said::NoMatch),
    ("cvv rejected", Said::NoMatch),
    ("partial", Said::Partly),
    ("partial match", Said::Partly),
    ("partially matched", Said::Partly),
    ("unavailable", Said::Unchecked),
    ("not available", Said::Unchecked),
    ("service unavailable", Said::Unchecked),
    ("unchecked", Said::Unchecked),
    ("not checked", Said::Unchecked),
    ("avs not checked", Said::Unchecked),
    ("cvv not checked", Said::Unchecked),
    ("unsupported", Said::Unchecked),
    ("not supported", Said::Unchecked),
    ("unverified", Said::Unchecked),
    ("not verified", Said::Unchecked),
    ("not processed", Said::Unchecked),
    ("not performed", Said::Unchecked),
    ("not provided", Said::Unchecked),
    ("not supplied", Said::Unchecked),
    ("not present", Said::Unchecked),
    ("not applicable", Said::Unchecked),
    ("issuer does not participate", Said::Unchecked),
    ("system error", Said::Unchecked),
    ("error", Said::Unchecked),
    ("retry", Said::Unchecked),
    ("bypass", Said::Unchecked),
    ("skipped", Said::Unchecked),
    ("no response", Said::Unchecked),
    ("unknown", Said::Unchecked),
    ("none", Said::Unchecked),
    ("n/a", Said::Unchecked),
];

/// What a plain word says, with the word as the list has it.
pub(super) fn plain(text: &str) -> Option<(&'static str, Said)> {
    PLAIN.iter().find(|(word, _)| are_same(word, text)).copied()
}
