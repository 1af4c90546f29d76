//! Decimal digits of other scripts as ASCII digits.

use std::borrow::Cow;

/// The zeros of scripts whose ten digits follow each other (Unicode, general category Nd).
const ZEROS: [char; 20] = [
    '\u{660}', '\u{6F0}', '\u{7C0}', '\u{966}', '\u{9E6}', '\u{A66}', '\u{AE6}', '\u{B66}', '\u{BE6}', '\u{C66}',
    '\u{CE6}', '\u{D66}', '\u{E50}', '\u{ED0}', '\u{F20}', '\u{1040}', '\u{17E0}', '\u{1810}', '\u{1946}', '\u{FF10}',
];

/// The text with digits of other scripts as ASCII digits, and the Arabic decimal and thousands separators as `.` and `,`.
pub fn to_ascii_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(ascii).collect())
}

fn ascii(sign: char) -> char {
    if sign.is_ascii() {
        return sign;
    }
    match sign {
        '\u{66B}' => '.',
        '\u{66C}' => ',',
        _ => ZEROS
            .iter()
            .filter_map(|zero| u32::from(sign).checked_sub(u32::from(*zero)))
            .find(|digit| *digit < 10)
            .and_then(|digit| char::from_digit(digit, 10))
            .unwrap_or(sign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_become_ascii() {
        for (text, expected) in [
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("۱۲٫۵", "12.5"),
            ("１２", "12"),
            ("0512-৭", "0512-7"),
            ("½ é", "½ é"),
            ("plain 5", "plain 5"),
        ] {
            assert_eq!(to_ascii_digits(text), expected);
        }
    }
}
