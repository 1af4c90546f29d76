//! Text of others as people see it: in terminals and in logs.
//!
//! Guarantee: what comes out holds no control character, and none that changes the direction or hides itself, so a text
//! can neither steer a terminal, nor begin a line of its own, nor look like another text. Each such character becomes
//! `\u{…}` with its code point. Documents for programs are never passed through here: they stay exact.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character that would not be seen as itself written as `\u{…}`, line breaks included.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, is_hidden)
}

/// The same of a text of several lines, which stay lines.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_hidden(c))
}

fn shown(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a text cannot fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (Cc), line and paragraph separators, and what Unicode 16 calls format characters (Cf) with an
/// effect on other text: marks of direction (UAX #9), of zero width, of annotations, and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_are_not_seen_are_written_out() {
        for (text, seen) in [
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{9b}31m\u{7f}", "a\\u{9b}31m\\u{7f}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(visible(text), seen);
        }
        assert_eq!(visible_lines("a\r\nb"), "a\\u{d}\nb");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["", "Zoë Müller", "Торстраße 12", "株式会社", "شارع", "→ 10 €, “so”", "e\u{301}", "🙂"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_comes_out(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.contains(is_hidden));
            prop_assert_eq!(visible(&shown), shown.clone());
            prop_assert!(!visible_lines(&text).contains(|c| c != '\n' && is_hidden(c)));
        }
    }
}
