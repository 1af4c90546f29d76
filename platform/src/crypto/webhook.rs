//! Signatures of outgoing webhooks: Standard Webhooks 1.0, scheme v1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use touchstone_schema::secret::Secret;

use super::{CryptoError, hmac_sha256};
use crate::random;

/// What every webhook secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes that the standard allows a key to have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Draws an endpoint's secret: `whsec_` and base64 of 32 bytes.
pub fn generate_webhook_secret() -> Secret {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(random::bytes::<32>())))
}

/// The signing key inside a secret of the form `whsec_…`.
pub fn webhook_key(secret: &Secret) -> Result<Secret, CryptoError> {
    secret
        .expose_text()
        .and_then(|text| text.strip_prefix(PREFIX))
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .map(Secret::new)
        .filter(|key| KEY_BYTES.contains(&key.expose().len()))
        .ok_or(CryptoError::WebhookSecret)
}

/// One signature for the `webhook-signature` header: `v1,` and base64 of the HMAC over `{id}.{timestamp}.{body}`. `key`
/// is what [`webhook_key`] gave; `timestamp_s` is that of this attempt, in seconds.
pub fn webhook_signature(key: &Secret, id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let mac = hmac_sha256(key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_gives_the_standards_vector() {
        let key = webhook_key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signature =
            webhook_signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn generated_secret_holds_a_key_of_32_bytes() {
        assert_eq!(webhook_key(&generate_webhook_secret()).unwrap().expose().len(), 32);
    }

    #[test]
    fn secrets_of_another_form_are_refused() {
        let short = format!("whsec_{}", STANDARD.encode([0; 23]));
        let long = format!("whsec_{}", STANDARD.encode([0; 65]));
        for wrong in ["", "whsec_", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long] {
            assert!(webhook_key(&Secret::new(wrong)).is_err(), "{wrong:?}");
        }
    }
}
