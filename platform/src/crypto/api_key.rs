//! What merchants are given: API keys and secrets, drawn at random, shown once.

use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::KeyMode;

use crate::random;

/// Prefix of keys that open the live world (contract section 1).
const LIVE_PREFIX: &str = "fcc_live_";
/// Prefix of keys that open the test world.
const TEST_PREFIX: &str = "fcc_test_";
/// Random characters after the prefix.
const RANDOM_CHARS: usize = 32;
/// How many of them find the key and may be shown again.
const SHOWN_CHARS: usize = 8;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key of the right form; whether it is anyone's is another question.
#[derive(Debug, Clone)]
pub struct ApiKey {
    mode: KeyMode,
    text: Secret,
}

impl ApiKey {
    /// Draws a new key: prefix and 32 uniform base62 characters, 190 bits.
    pub fn generate(mode: KeyMode) -> Self {
        Self { mode, text: Secret::new(format!("{}{}", prefix_of(mode), base62(RANDOM_CHARS))) }
    }

    /// Takes a presented key when it has the form of one.
    pub fn parse(presented: &str) -> Option<Self> {
        let well_formed = |mode: &KeyMode| {
            presented
                .strip_prefix(prefix_of(*mode))
                .is_some_and(|rest| rest.len() == RANDOM_CHARS && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        let mode = KeyMode::ALL.iter().copied().find(well_formed)?;
        Some(Self { mode, text: Secret::new(presented) })
    }

    /// The world that the key opens.
    pub fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The first 8 characters after the prefix: the lookup index, all that is stored in the clear.
    pub fn prefix8(&self) -> &str {
        let start = prefix_of(self.mode).len();
        &self.expose()[start..start + SHOWN_CHARS]
    }

    /// The whole key: to be shown once to its owner, and to be hashed.
    pub fn expose(&self) -> &str {
        self.text.expose_text().expect("both constructors take text only")
    }
}

/// Draws the secret that a merchant signs requests with: 256 bits as 64 hex characters, whose ASCII bytes are the HMAC
/// key.
pub fn generate_hmac_secret() -> Secret {
    Secret::new(hex::encode(random::bytes::<32>()))
}

/// Draws the Basic-auth password of a key for the checks surface: 32 base62 characters.
pub fn generate_basic_secret() -> Secret {
    Secret::new(base62(RANDOM_CHARS))
}

/// Draws the end of the path that a shop's notices come in by: 32 base62 characters, 190 bits.
pub fn generate_path_token() -> Secret {
    Secret::new(base62(RANDOM_CHARS))
}

const fn prefix_of(mode: KeyMode) -> &'static str {
    match mode {
        KeyMode::Live => LIVE_PREFIX,
        KeyMode::Test => TEST_PREFIX,
    }
}

/// Uniform base62 characters: bytes that would favour some characters are thrown away.
fn base62(length: usize) -> String {
    const FAIR: u8 = 248; // the largest multiple of 62 that fits in a byte
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let fair = random::bytes::<64>().into_iter().filter(|byte| *byte < FAIR);
        text.extend(fair.take(length - text.len()).map(|byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_have_the_documented_form_and_parse_back() {
        for (mode, prefix) in [(KeyMode::Live, "fcc_live_"), (KeyMode::Test, "fcc_test_")] {
            let key = ApiKey::generate(mode);
            assert!(key.expose().starts_with(prefix));
            assert_eq!(key.expose().len(), 41);
            let parsed = ApiKey::parse(key.expose()).unwrap();
            assert_eq!((parsed.mode(), parsed.prefix8()), (mode, &key.expose()[9..17]));
        }
    }

    #[test]
    fn keys_of_another_form_are_not_parsed() {
        let body = "a".repeat(32);
        for wrong in [
            String::new(),
            "fcc_live_".into(),
            format!("fcc_live_{}", &body[1..]),
            format!("fcc_live_{body}a"),
            format!("fcc_prod_{body}"),
            format!("FCC_LIVE_{body}"),
            format!(" fcc_live_{body}"),
            format!("fcc_live_{}-", &body[1..]),
            format!("fcc_live_{}é", &body[2..]),
        ] {
            assert!(ApiKey::parse(&wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn every_character_is_as_likely_as_any_other() {
        const DRAWS: usize = 62_000;
        let mut counts = [0f64; 256];
        for byte in base62(DRAWS).bytes() {
            counts[usize::from(byte)] += 1.0;
        }
        let expected = DRAWS as f64 / 62.0;
        let chi_square: f64 = BASE62.iter().map(|c| (counts[usize::from(*c)] - expected).powi(2) / expected).sum();
        // 61 degrees of freedom: a fair source exceeds 150 once in a thousand million runs. Modulo bias of a byte (62
        // does not divide 256) would give about 400 more.
        assert!(chi_square < 150.0, "chi-square {chi_square}");
    }

    #[test]
    fn secrets_have_their_documented_length_and_are_never_printed() {
        let secret = generate_hmac_secret();
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().iter().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(generate_basic_secret().expose().len(), 32);
        let key = ApiKey::generate(KeyMode::Live);
        assert!(!format!("{key:?}").contains(key.prefix8()));
    }
}
