//! Cryptography: master keys and sealing, API keys and secrets, signatures and their constant-time comparison.
//!
//! Guarantee: no error, log line or `Debug` output of this module holds a secret; comparisons of secrets take the same
//! time whatever differs. Failure: a sealed value that was moved to another record, or altered, does not open.
//! Design: ARCHITECTURE.md, "Security".

mod api_key;
mod bcrypt_verifier;
mod key_file;
mod master;
mod webhook;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use touchstone_schema::secret::Secret;

pub use api_key::{ApiKey, generate_basic_secret, generate_hmac_secret, generate_path_token};
pub use bcrypt_verifier::BcryptVerifier;
pub use key_file::KeyFileError;
pub use master::{CryptoError, MasterKeyError, MasterKeys, SealContext};
pub use webhook::{generate_webhook_secret, webhook_key, webhook_signature};

/// HMAC-SHA256 over the parts, one after the other as if they were one text.
pub fn hmac_sha256(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    mac_of(key, parts).finalize().into_bytes().into()
}

/// Whether `signature`, in hex of either case, is the HMAC-SHA256 of the parts. Constant time in the content; a
/// signature of a wrong length or with a foreign character is a mismatch.
pub fn verify_hex_hmac(key: &Secret, parts: &[&[u8]], signature: &[u8]) -> bool {
    let expected = hmac_sha256(key, parts);
    let mut given = [0u8; 32];
    let well_formed = hex::decode_to_slice(signature, &mut given).is_ok();
    well_formed & bool::from(expected.ct_eq(&given))
}

/// SHA-256 of the bytes, in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn mac_of(key: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    const RFC_4231_2: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    fn jefe() -> Secret {
        Secret::new(*b"Jefe")
    }

    #[test]
    fn hmac_gives_the_published_vector_however_its_text_is_split() {
        for parts in
            [&[b"what do ya want for nothing?".as_slice()] as &[&[u8]], &[b"what do ya ", b"want for nothing?"]]
        {
            assert_eq!(hex::encode(hmac_sha256(&jefe(), parts)), RFC_4231_2);
            assert!(verify_hex_hmac(&jefe(), parts, RFC_4231_2.as_bytes()));
            assert!(verify_hex_hmac(&jefe(), parts, RFC_4231_2.to_uppercase().as_bytes()));
        }
    }

    #[test]
    fn malformed_signatures_mismatch() {
        let text: &[&[u8]] = &[b"what do ya want for nothing?"];
        let foreign = RFC_4231_2.replace('5', "g");
        let other = RFC_4231_2.replace('5', "6");
        for wrong in ["", "5b", &RFC_4231_2[..63], &RFC_4231_2[..62], &format!("{RFC_4231_2}00"), &foreign, &other, "é"]
        {
            assert!(!verify_hex_hmac(&jefe(), text, wrong.as_bytes()), "{wrong:?} was taken");
        }
    }

    #[test]
    fn sha256_gives_the_published_vector() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
