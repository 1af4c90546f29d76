//! The master keys: a list, so that they can be rotated. The first seals, all of them open.
//!
//! A sealed value is `version | length of key id | key id | nonce | ciphertext and tag`, AES-256-GCM. The store, the
//! record and the purpose are associated data, so a value copied to another row does not open. No master key is used
//! directly: every purpose has a key of its own, derived by HMAC-SHA256.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;
use touchstone_schema::secret::Secret;

use super::{ApiKey, hmac_sha256, sha256_hex};
use crate::random;

/// Name of the setting that holds the master keys.
const SETTING: &str = "TOUCHSTONE_MASTER_KEY";
/// Bytes of a master key.
const KEY_BYTES: usize = 32;
/// Longest id of a master key, in characters.
const KEY_ID_CHARS: usize = 32;
/// Characters of the id that a key without one is given.
const DERIVED_ID_CHARS: usize = 8;
/// Bytes of an AES-GCM nonce.
const NONCE_BYTES: usize = 12;
/// Version of the sealed form.
const SEALED_VERSION: u8 = 1;

/// Base64 with or without padding, as people paste it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A sealed value could not be opened, or a hash not be made.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The bytes are not a sealed value.
    #[error("not a sealed value")]
    Malformed,
    /// None of the master keys is the one that sealed it.
    #[error("sealed under master key `{id}`, which is not among the keys of {SETTING}")]
    UnknownKey {
        /// Id of the missing key.
        id: String,
    },
    /// The value was altered, or belongs to another store, record or purpose.
    #[error("the sealed {purpose} does not belong to this record, or was altered")]
    Mismatch {
        /// What it was meant for.
        purpose: &'static str,
    },
    /// The value is too large to be sealed.
    #[error("too large to be sealed")]
    TooLarge,
    /// The stored bcrypt hash cannot be used, or none can be made.
    #[error("bcrypt failed")]
    Bcrypt(#[source] bcrypt::BcryptError),
    /// The thread that hashed was lost.
    #[error("the hashing thread stopped")]
    HashingStopped,
    /// A webhook secret is not of the Standard Webhooks form.
    #[error("not a webhook secret: expected `whsec_` and base64 of 24 to 64 bytes")]
    WebhookSecret,
}

/// What is wrong with the setting of the master keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{SETTING}: {problem}. Expected base64 of 32 bytes, or a list `id:base64,id:base64` whose first key seals; \
         make one with `openssl rand -base64 32`"
)]
pub struct MasterKeyError {
    problem: String,
}

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// Id of the store or, above stores, of the merchant that owns it.
    pub store: &'a str,
    /// Id of the record that it is kept in.
    pub record: &'a str,
    /// What it is for: one of the constants here. Every purpose is sealed under a key of its own.
    pub purpose: &'static str,
}

impl SealContext<'_> {
    /// A store's data key.
    pub const DATA_KEY: &'static str = "data-key";
    /// The HMAC secret of an API key.
    pub const HMAC_SECRET: &'static str = "hmac-secret";
    /// The signing secret of a webhook endpoint.
    pub const WEBHOOK_SECRET: &'static str = "webhook-secret";
    /// The merchant's own headers of a webhook endpoint.
    pub const WEBHOOK_HEADERS: &'static str = "webhook-headers";
    /// A store's Centra token.
    pub const CENTRA_TOKEN: &'static str = "centra-token";
}

struct MasterKey {
    id: String,
    key: Secret,
}

impl MasterKey {
    fn derive(&self, purpose: &str) -> Secret {
        Secret::new(hmac_sha256(&self.key, &[b"touchstone/v1/", purpose.as_bytes()]))
    }

    fn cipher(&self, purpose: &str) -> Aes256Gcm {
        let key = self.derive(&format!("seal/{purpose}"));
        Aes256Gcm::new_from_slice(key.expose()).expect("HMAC-SHA256 yields the 32 bytes that AES-256 takes")
    }

    /// Of another purpose than an API key, so that neither ever passes for the other.
    fn password_mac(&self, password: &str) -> [u8; 32] {
        hmac_sha256(&self.derive("password-pepper"), &[password.as_bytes()])
    }

    fn pepper_mac(&self, api_key: &ApiKey) -> [u8; 32] {
        hmac_sha256(&self.derive("pepper"), &[api_key.expose().as_bytes()])
    }
}

/// The master keys. Never empty; ids are unique.
pub struct MasterKeys {
    current: MasterKey,
    older: Vec<MasterKey>,
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|key| &key.id)).finish()
    }
}

impl MasterKeys {
    /// Parses the setting `TOUCHSTONE_MASTER_KEY`: a comma-separated list of `base64` or `id:base64`, 32 bytes each.
    pub fn parse(setting: &str) -> Result<Self, MasterKeyError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (index, entry) in setting.split(',').map(str::trim).enumerate() {
            let key = parse_entry(entry)
                .map_err(|problem| MasterKeyError { problem: format!("key {} {problem}", index + 1) })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(MasterKeyError { problem: format!("two keys have the id `{}`", key.id) });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or_else(|| MasterKeyError { problem: "it is empty".into() })?;
        Ok(Self { current, older: keys.collect() })
    }

    /// Id of the key that seals.
    pub fn current_id(&self) -> &str {
        &self.current.id
    }

    /// Whether there is a key with this id.
    pub fn has(&self, id: &str) -> bool {
        self.key(id).is_some()
    }

    /// Encrypts `plaintext` under the first key, bound to its context, with a random nonce of its own.
    pub fn seal(&self, plaintext: &[u8], context: &SealContext<'_>) -> Result<Vec<u8>, CryptoError> {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let header = sealed_header(&self.current.id);
        let bound = associated_data(&header, context);
        let ciphertext = self
            .current
            .cipher(context.purpose)
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: &bound })
            .map_err(|_| CryptoError::TooLarge)?;
        Ok([header.as_slice(), &nonce, &ciphertext].concat())
    }

    /// Decrypts what [`MasterKeys::seal`] made in the same context, under whichever key it was sealed.
    pub fn open(&self, sealed: &[u8], context: &SealContext<'_>) -> Result<Secret, CryptoError> {
        let parts = SealedParts::parse(sealed)?;
        let key = self.key(parts.key_id).ok_or_else(|| CryptoError::UnknownKey { id: parts.key_id.to_owned() })?;
        let bound = associated_data(&sealed_header(parts.key_id), context);
        key.cipher(context.purpose)
            .decrypt(&Nonce::from(parts.nonce), Payload { msg: parts.ciphertext, aad: &bound })
            .map(Secret::new)
            .map_err(|_| CryptoError::Mismatch { purpose: context.purpose })
    }

    /// Seals anew under the first key what was sealed under an older one; `None` when that is not needed.
    pub fn reseal(&self, sealed: &[u8], context: &SealContext<'_>) -> Result<Option<Vec<u8>>, CryptoError> {
        if SealedParts::parse(sealed)?.key_id == self.current.id {
            return Ok(None);
        }
        let plaintext = self.open(sealed, context)?;
        self.seal(plaintext.expose(), context).map(Some)
    }

    /// The cheap first comparison of an API key (contract section 1): HMAC-SHA256 under the first key's pepper, and the
    /// id of that key.
    pub fn pepper_mac(&self, api_key: &ApiKey) -> (String, [u8; 32]) {
        (self.current.id.clone(), self.current.pepper_mac(api_key))
    }

    /// Whether `mac` was made of this API key by the master key `key_id`. Constant time; an unknown master key
    /// mismatches.
    pub fn verify_pepper(&self, key_id: &str, mac: &[u8], api_key: &ApiKey) -> bool {
        let known = self.key(key_id);
        let expected = known.unwrap_or(&self.current).pepper_mac(api_key);
        known.is_some() & bool::from(expected.ct_eq(mac))
    }

    /// The cheap first comparison of a Basic-auth password, under the first key's pepper like [`Self::pepper_mac`].
    pub fn password_mac(&self, password: &str) -> [u8; 32] {
        self.current.password_mac(password)
    }

    /// Whether `mac` was made of this password by the master key `key_id`. Constant time, and the same work without a
    /// `mac` or with an unknown master key, which mismatch.
    pub fn verify_password_mac(&self, key_id: &str, mac: Option<&[u8]>, password: &str) -> bool {
        let known = self.key(key_id);
        let expected = known.unwrap_or(&self.current).password_mac(password);
        let fits = bool::from(expected.ct_eq(mac.unwrap_or(&[0; 32])));
        known.is_some() & mac.is_some() & fits
    }

    fn key(&self, id: &str) -> Option<&MasterKey> {
        self.iter().find(|key| key.id == id)
    }

    fn iter(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.current).chain(&self.older)
    }
}

fn parse_entry(entry: &str) -> Result<MasterKey, &'static str> {
    let (id, encoded) = match entry.split_once(':') {
        Some((id, encoded)) => (Some(id), encoded),
        None => (None, entry),
    };
    if encoded.is_empty() {
        return Err("is empty");
    }
    let key = Secret::new(BASE64.decode(encoded).map_err(|_| "is not base64")?);
    if key.expose().len() != KEY_BYTES {
        return Err("is not 32 bytes long");
    }
    let id = match id {
        Some(id) if is_key_id(id) => id.to_owned(),
        Some(_) => return Err("has an id that is not 1 to 32 characters of A-Z a-z 0-9 - _"),
        None => sha256_hex(key.expose())[..DERIVED_ID_CHARS].to_owned(),
    };
    Ok(MasterKey { id, key })
}

fn is_key_id(id: &str) -> bool {
    (1..=KEY_ID_CHARS).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

struct SealedParts<'a> {
    key_id: &'a str,
    nonce: [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
}

impl<'a> SealedParts<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, CryptoError> {
        let parts = || {
            let (&[version, id_len], rest) = sealed.split_first_chunk::<2>()?;
            let (id, rest) = rest.split_at_checked(usize::from(id_len))?;
            let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
            let key_id = std::str::from_utf8(id).ok().filter(|id| is_key_id(id))?;
            (version == SEALED_VERSION).then_some(Self { key_id, nonce: *nonce, ciphertext })
        };
        parts().ok_or(CryptoError::Malformed)
    }
}

fn sealed_header(key_id: &str) -> Vec<u8> {
    let id_len = u8::try_from(key_id.len()).expect("ids are at most 32 characters long");
    [&[SEALED_VERSION, id_len], key_id.as_bytes()].concat()
}

/// The header and the context, each part preceded by its length so that no two contexts give the same bytes.
fn associated_data(header: &[u8], context: &SealContext<'_>) -> Vec<u8> {
    let mut bound = Vec::new();
    for part in [header, context.store.as_bytes(), context.record.as_bytes(), context.purpose.as_bytes()] {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchstone_schema::tenant::KeyMode;

    const OLD: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    const CONTEXT: SealContext<'_> =
        SealContext { store: "store_1", record: "key_1", purpose: SealContext::HMAC_SECRET };

    fn keys(setting: &str) -> MasterKeys {
        MasterKeys::parse(setting).unwrap()
    }

    #[test]
    fn sealed_value_opens_only_in_its_own_context() {
        let keys = keys(OLD);
        let sealed = keys.seal(b"top secret", &CONTEXT).unwrap();
        assert_eq!(keys.open(&sealed, &CONTEXT).unwrap().expose(), b"top secret");
        for foreign in [
            SealContext { store: "store_2", ..CONTEXT },
            SealContext { record: "key_2", ..CONTEXT },
            SealContext { purpose: SealContext::WEBHOOK_SECRET, ..CONTEXT },
            SealContext { store: "store_1k", record: "ey_1", ..CONTEXT },
        ] {
            assert!(matches!(keys.open(&sealed, &foreign), Err(CryptoError::Mismatch { .. })), "{foreign:?}");
        }
    }

    #[test]
    fn altered_or_cut_value_does_not_open() {
        let keys = keys(OLD);
        let sealed = keys.seal(b"x", &CONTEXT).unwrap();
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(keys.open(&altered, &CONTEXT).is_err(), "byte {index} may be altered");
            assert!(keys.open(&sealed[..index], &CONTEXT).is_err(), "may be cut to {index} bytes");
        }
    }

    #[test]
    fn same_value_is_sealed_differently_every_time() {
        let keys = keys(OLD);
        assert_ne!(keys.seal(b"x", &CONTEXT).unwrap(), keys.seal(b"x", &CONTEXT).unwrap());
    }

    #[test]
    fn first_key_seals_and_every_key_opens() {
        let before = keys(&format!("old:{OLD}"));
        let during = keys(&format!("new:{NEW}, old:{OLD}"));
        let after = keys(&format!("new:{NEW}"));
        let sealed = before.seal(b"x", &CONTEXT).unwrap();
        assert!(before.reseal(&sealed, &CONTEXT).unwrap().is_none());
        assert_eq!(during.open(&sealed, &CONTEXT).unwrap().expose(), b"x");
        assert!(matches!(after.open(&sealed, &CONTEXT), Err(CryptoError::UnknownKey { id }) if id == "old"));
        let resealed = during.reseal(&sealed, &CONTEXT).unwrap().unwrap();
        assert_eq!(after.open(&resealed, &CONTEXT).unwrap().expose(), b"x");
    }

    #[test]
    fn pepper_tells_api_keys_apart_across_rotation() {
        let api_key = ApiKey::generate(KeyMode::Live);
        let (id, mac) = keys(OLD).pepper_mac(&api_key);
        let during = keys(&format!("{NEW},{OLD}"));
        assert!(during.verify_pepper(&id, &mac, &api_key));
        assert!(!during.verify_pepper(&id, &mac, &ApiKey::generate(KeyMode::Live)));
        assert!(!during.verify_pepper(during.current_id(), &mac, &api_key));
        assert!(!during.verify_pepper(&id, &mac[..31], &api_key));
        assert!(!keys(NEW).verify_pepper(&id, &mac, &api_key));
    }

    #[test]
    fn pepper_tells_passwords_apart_from_each_other_and_from_api_keys() {
        let master = keys(OLD);
        let (id, mac) = (master.current_id(), master.password_mac("secret"));
        assert!(master.verify_password_mac(id, Some(&mac), "secret"));
        assert!(!master.verify_password_mac(id, Some(&mac), "other"));
        assert!(!master.verify_password_mac(id, None, "secret"));
        assert!(!master.verify_password_mac("gone", Some(&mac), "secret"));
        let api_key = ApiKey::generate(KeyMode::Live);
        assert!(!master.verify_password_mac(id, Some(&master.pepper_mac(&api_key).1), api_key.expose()));
    }

    #[test]
    fn wrong_setting_is_refused_without_showing_it() {
        for (wrong, problem) in [
            ("", "key 1 is empty"),
            ("AAAA", "key 1 is not 32 bytes long"),
            ("not base64!", "key 1 is not base64"),
            (&format!("{OLD},"), "key 2 is empty"),
            (&format!("a b:{OLD}"), "key 1 has an id"),
            (&format!("a:{OLD},a:{NEW}"), "two keys have the id `a`"),
            (&format!("{OLD},{OLD}"), "two keys have the id"),
        ] {
            let error = MasterKeys::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("TOUCHSTONE_MASTER_KEY: "), "{error}");
            assert!(error.contains(problem), "{error}");
            assert!(error.contains("openssl rand -base64 32"), "{error}");
            assert!(!error.contains("AQEBAQ"), "{error}");
        }
    }

    #[test]
    fn debug_shows_ids_only() {
        assert_eq!(format!("{:?}", keys(&format!("new:{NEW},old:{OLD}"))), r#"["new", "old"]"#);
    }
}
