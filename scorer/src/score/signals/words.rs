//! Texts made comparable: case, spacing and punctuation do not count.

/// The letters and digits of a text in lower case.
pub(super) fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Whether two texts have the same letters and digits.
pub(super) fn same(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

/// The words of some texts in lower case, each with a blank on either side, so that `" po box "` finds whole words.
pub(super) fn spaced<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut spaced = String::from(" ");
    for text in texts {
        for c in text.chars() {
            if c.is_alphanumeric() {
                spaced.extend(c.to_lowercase());
            } else if !spaced.ends_with(' ') && c != '\'' {
                spaced.push(' ');
            }
        }
        if !spaced.ends_with(' ') {
            spaced.push(' ');
        }
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_and_case_do_not_count() {
        assert!(same("O'Brien-Smith", "obrien smith"));
        assert!(!same("Smith", "Smyth"));
        assert_eq!(spaced(["P.O. Box 7", "", "Unit-3"]), " p o box 7 unit 3 ");
    }
}
