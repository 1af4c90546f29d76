//! Whether a text looks like keys hit at random rather than a name or a word.
//!
//! Only texts in plain Latin letters are judged: of any other script or accent nothing is said.

/// For each letter a-z, the letters that often follow it in names and words of European languages and in romanised
/// Chinese, Japanese and Arabic names.
const FOLLOWERS: [&str; 26] = [
    "bcdeghiklmnprstuvwyz",
    "aeiolrubys",
    "aehiklorstuyz",
    "aeiorsudygw",
    "abcdefghiklmnoprstuvwxyz",
    "aefilorstu",
    "aeghilnorsuy",
    "aeinormuyt",
    "abcdefgklmnoprstvz",
    "aeiou",
    "aehiklorsuyn",
    "adefiklmostuvy",
    "abeimopuyc",
    "acdegiknostuzy",
    "abcdefghijklmnoprstuvwyz",
    "aehiloprstu",
    "u",
    "abcdefgiklmnorstuvyz",
    "acehiklmnopqrstuwyz",
    "aehiorstuwyz",
    "abcdegiklmnprstvyz",
    "aeioy",
    "aehinorls",
    "aeiu",
    "aelmnorstu",
    "aeihouzy",
];

/// [`FOLLOWERS`] with one bit a letter.
const FOLLOWS: [u32; 26] = {
    let mut follows = [0; 26];
    let mut letter = 0;
    while letter < 26 {
        let followers = FOLLOWERS[letter].as_bytes();
        let mut at = 0;
        while at < followers.len() {
            follows[letter] |= 1 << (followers[at] - b'a');
            at += 1;
        }
        letter += 1;
    }
    follows
};

/// Fewest pairs of letters that can be judged.
const LEAST_PAIRS: usize = 8;
/// Fewest changes between letters and digits that look random, in a text of at least as many characters as
/// [`LEAST_MIXED`].
const MIXED_CHANGES: usize = 4;
/// Fewest characters of a text that is judged by its mix of letters and digits.
const LEAST_MIXED: usize = 8;

/// Whether fewer than three in five pairs of neighbouring letters are common ones. Random letters reach half, names
/// nearly all.
pub(super) fn has_unlikely_letters(text: &str) -> bool {
    if !text.is_ascii() {
        return false;
    }
    let (pairs, common) = text
        .as_bytes()
        .windows(2)
        .filter(|pair| pair.iter().all(u8::is_ascii_alphabetic))
        .map(|pair| [pair[0].to_ascii_lowercase() - b'a', pair[1].to_ascii_lowercase() - b'a'])
        .map(|[first, second]| FOLLOWS[usize::from(first)] & (1 << second) != 0)
        .fold((0, 0), |(pairs, common), is_common| (pairs + 1, common + usize::from(is_common)));
    pairs >= LEAST_PAIRS && common * 5 < pairs * 3
}

/// Whether letters and digits alternate often, as in `x7k2m9q4`.
pub(super) fn mixes_digits(text: &str) -> bool {
    let characters = text.as_bytes();
    let changes = characters
        .windows(2)
        .filter(|pair| pair.iter().all(u8::is_ascii_alphanumeric))
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count();
    characters.len() >= LEAST_MIXED && changes >= MIXED_CHANGES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_languages_do_not_look_random() {
        let names = [
            "christopher.wright",
            "krzysztof.szczepanski",
            "zhangxiaoming",
            "muhammad.abdulrahman",
            "bjornstrand",
            "schwarzenegger",
            "vandenberghe",
            "takahashi.yoshinori",
            "nguyenthihuong",
            "oconnor-fitzgerald",
            "jedrzejczyk",
            "papadopoulos",
            "srinivasan.krishnamurthy",
            "wojciechowski",
            "customerservice",
            "purchasing",
        ];
        for name in names {
            assert!(!has_unlikely_letters(name), "{name}");
            assert!(!mixes_digits(name), "{name}");
        }
    }

    #[test]
    fn random_letters_look_random() {
        for text in ["xkqjzvbwtf", "hgfdkjsbvx", "qzwxmlpkjn", "bvnmxcztrq"] {
            assert!(has_unlikely_letters(text), "{text}");
        }
        assert!(mixes_digits("x7k2m9q4"));
    }

    #[test]
    fn short_or_accented_texts_are_not_judged() {
        assert!(!has_unlikely_letters("xkqjz"));
        assert!(!has_unlikely_letters("žqxkčřwvzb"));
        assert!(!mixes_digits("anna1985smith2"));
    }
}
