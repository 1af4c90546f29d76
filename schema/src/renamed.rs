//! Words of ours that have another name now, because two people read the old one in opposite ways.
//!
//! Banks, payment services and shops disagree on whose chargeback is "won": the customer's claim, or the merchant's
//! defence. Guarantee: a row or message that was written under an old word is read as the new one; a client that sends an
//! old word is refused with a sentence that says which to send in which case, so that no report is taken for its contrary.

/// Old word, the word of today, and what a client is answered.
const RENAMED: [(&str, &str, &str); 4] = [
    ("chargeback_won", "chargeback_upheld", OUTCOME),
    ("chargeback_lost", "chargeback_reversed", OUTCOME),
    ("chargeback.won", "chargeback.upheld", EVENT),
    ("chargeback.lost", "chargeback.reversed", EVENT),
];

const OUTCOME: &str = "is read in opposite ways: expected chargeback_upheld when the customer keeps the money (you lost \
    the dispute), chargeback_reversed when you keep the money";
const EVENT: &str = "is read in opposite ways: expected chargeback.upheld for disputes in which the customer keeps the \
    money, chargeback.reversed for those in which you keep it";

/// The word of today for a word that was stored or sent between processes; any other word is itself.
pub fn present(stored: &str) -> &str {
    RENAMED.iter().find(|(old, ..)| *old == stored).map_or(stored, |(_, new, _)| new)
}

/// The data of an event that was stored under `kind`, its outcome in the word of today.
pub fn present_data(kind: &str, data: String) -> String {
    if present(kind) == kind {
        return data;
    }
    let member = |word: &str| format!("\"outcome\":\"{word}\"");
    RENAMED.iter().fold(data, |data, (old, new, _)| data.replace(&member(old), &member(new)))
}

/// Why a client's word is refused, when it is an old one.
pub fn refusal(word: &str) -> Option<String> {
    RENAMED.iter().find(|(old, ..)| *old == word).map(|(old, _, why)| format!("`{old}` {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::history::Happening;

    #[test]
    fn old_words_are_read_where_they_were_stored_and_refused_where_they_are_sent() {
        assert_eq!(present("chargeback_won"), Happening::ChargebackUpheld.as_str());
        assert_eq!(present("chargeback_lost"), Happening::ChargebackReversed.as_str());
        assert_eq!(present("chargeback.won"), EventKind::ChargebackUpheld.as_str());
        assert_eq!(present("chargeback.lost"), EventKind::ChargebackReversed.as_str());
        assert_eq!(present("refunded"), "refunded");
        let data = r#"{"outcome":"chargeback_won","note":"\"outcome\":\"chargeback_won\""}"#.to_owned();
        let now = r#"{"outcome":"chargeback_upheld","note":"\"outcome\":\"chargeback_won\""}"#;
        assert_eq!(present_data("chargeback.won", data.clone()), now);
        assert_eq!(present_data("order.status_changed", data.clone()), data);
        for old in ["chargeback.won", "chargeback.lost"] {
            let why = old.parse::<EventKind>().unwrap_err();
            assert!(why.contains("chargeback.upheld") && why.contains("chargeback.reversed"), "{why}");
        }
        let why = "chargeback_lost".parse::<Happening>().unwrap_err();
        assert!(why.contains("chargeback_upheld when the customer keeps the money"), "{why}");
        let elsewhere = "chargeback_won".parse::<EventKind>().unwrap_err();
        assert!(elsewhere.starts_with("expected one of"), "{elsewhere}");
    }

    #[test]
    fn messages_of_the_release_before_are_read() {
        let kind: EventKind = serde_json::from_str(r#""chargeback.won""#).unwrap();
        assert_eq!(kind, EventKind::ChargebackUpheld);
        assert_eq!(serde_json::to_string(&kind).unwrap(), r#""chargeback.upheld""#);
        let what: Happening = serde_json::from_str(r#""chargeback_lost""#).unwrap();
        assert_eq!(what, Happening::ChargebackReversed);
    }
}
