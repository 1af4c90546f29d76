//! What a member's name says of its value.
//!
//! Guarantee: a name is read once, and no more than its first [`NAME_BYTES`] bytes.

/// Bytes of a name that are read. A longer name is neither an identifier's nor an article number's.
const NAME_BYTES: usize = 64;

/// Names of article numbers.
const NUMBERS: [&str; 9] = ["sku", "ean", "gtin", "upc", "isbn", "issn", "barcode", "mpn", "asin"];
/// Names of articles; beside one of [`NUMBER_WORDS`] they name an article number. A `bar_code` is two words to some.
const ARTICLES: [&str; 11] =
    ["product", "article", "item", "stock", "variant", "part", "material", "model", "style", "catalog", "bar"];
/// Words that make a number of what is named before them.
const NUMBER_WORDS: [&str; 6] = ["number", "no", "nr", "num", "code", "id"];
/// Other names of what an order or a cart is known by.
const IDENTIFIERS: [[&str; 2]; 3] = [["order", "number"], ["order", "no"], ["cart", "token"]];
/// Words that say nothing of what is named before them.
const VALUE_WORDS: [&str; 2] = ["value", "list"];

/// What a name says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// `id`, `*_id`, `*Id`, `reference`, `*Reference`, `fingerprint`, `orderNumber`, `cart_token`.
    pub(super) is_identifier: bool,
    /// Says card, account number or PAN.
    pub(super) says_card: bool,
    /// Has a word that begins with payment.
    pub(super) says_payment: bool,
    /// What it says of articles.
    pub(super) article: Article,
}

/// What a name says of articles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Article {
    /// Nothing.
    #[default]
    Other,
    /// It is an article number's: `sku`, `stockNumber`, `ean13`, `product_ids`.
    Number,
    /// It is an article's, whose number may be among its members: `product`, `items`.
    Thing,
    /// `number`, `code`: of what it is a member of.
    NumberOf,
    /// `value`: what it is a member of.
    ValueOf,
    /// Digits, as of an element of a list.
    Element,
}

impl Name {
    /// Reads a name.
    pub(super) fn read(name: &str) -> Self {
        let start = &name[..name.floor_char_boundary(NAME_BYTES)];
        let words = words(start);
        let is_whole = start.len() == name.len();
        Self {
            is_identifier: is_whole && is_identifier(&words),
            says_card: says_card(start, &words),
            says_payment: words.iter().any(|word| word.starts_with("payment")),
            article: if is_whole { article(&words) } else { Article::Other },
        }
    }
}

fn is_identifier(words: &[String]) -> bool {
    words.iter().any(|word| word == "fingerprint")
        || words.last().is_some_and(|word| word == "id" || word == "reference")
        || words.last_chunk().is_some_and(|[first, last]| IDENTIFIERS.contains(&[first.as_str(), last.as_str()]))
}

fn says_card(name: &str, words: &[String]) -> bool {
    let squeezed: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    squeezed.contains("card")
        || squeezed.contains("accountnumber")
        || squeezed.contains("accountno")
        || words.iter().any(|word| word == "pan")
}

/// Goes by the last word that is neither a number's nor a value's: a `card_number` of an item is none of its own.
fn article(words: &[String]) -> Article {
    let (mut is_number, mut is_value) = (false, false);
    for word in words.iter().rev() {
        let word = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let word = word.strip_suffix('s').unwrap_or(word);
        if NUMBER_WORDS.contains(&word) {
            is_number = true;
        } else if VALUE_WORDS.contains(&word) {
            is_value = true;
        } else if NUMBERS.contains(&word) || is_written_together(word) {
            return Article::Number;
        } else if ARTICLES.contains(&word) {
            return if is_number { Article::Number } else { Article::Thing };
        } else if !word.is_empty() {
            return Article::Other;
        }
    }
    match (is_number, is_value) {
        (true, _) => Article::NumberOf,
        (_, true) => Article::ValueOf,
        _ if words.is_empty() => Article::Other,
        _ => Article::Element,
    }
}

/// `productid`, `stocknumber`.
fn is_written_together(word: &str) -> bool {
    ARTICLES.iter().any(|article| word.strip_prefix(article).is_some_and(|rest| NUMBER_WORDS.contains(&rest)))
}

/// The words of a name, in lower case: `billingCardID` and `billing_card_id` are billing, card, id.
pub(super) fn words(name: &str) -> Vec<String> {
    let bytes = name.as_bytes();
    let starts_word = |at: usize| {
        at == 0
            || !bytes[at - 1].is_ascii_alphanumeric()
            || bytes[at].is_ascii_uppercase()
                && (!bytes[at - 1].is_ascii_uppercase() || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase))
    };
    let mut words: Vec<String> = Vec::new();
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
        if starts_word(at) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    words
}
