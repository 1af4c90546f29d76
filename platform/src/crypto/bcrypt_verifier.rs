//! bcrypt of API keys and Basic-auth passwords (contract section 1), off the async threads and once per process and key.
//!
//! Guarantee: at most one bcrypt per lane runs at a time, so CPU does not grow with the number of callers; a credential
//! that was proven against its stored hash is not hashed again until that hash changes. Callers compare the peppered
//! HMAC of the API key first, so that a stranger never gets here.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use touchstone_schema::secret::Secret;

use super::{CryptoError, hmac_sha256};
use crate::random;

/// bcrypt cost: 2^10 rounds, about 50-100 ms.
const COST: u32 = 10;
/// Credentials that are remembered as proven, per process.
const REMEMBERED: usize = 65_536;

/// Hashes and verifies API keys and Basic-auth passwords.
pub struct BcryptVerifier {
    /// A credential always takes the same lane, so that it is proven once however many requests bring it at once.
    lanes: Vec<Arc<tokio::sync::Mutex<()>>>,
    lane_of: RandomState,
    /// Fingerprints of (credential, stored hash).
    proven: Mutex<HashSet<[u8; 32]>>,
    fingerprint_key: Secret,
}

impl std::fmt::Debug for BcryptVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BcryptVerifier").field("lanes", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl Default for BcryptVerifier {
    fn default() -> Self {
        let lanes = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self {
            lanes: (0..lanes).map(|_| Arc::default()).collect(),
            lane_of: RandomState::new(),
            proven: Mutex::default(),
            fingerprint_key: Secret::new(random::bytes::<32>()),
        }
    }
}

impl BcryptVerifier {
    /// The bcrypt hash to store for a new credential.
    pub async fn hash(&self, credential: &str) -> Result<String, CryptoError> {
        let lane = self.lane(&self.fingerprint(credential, "")).lock_owned().await;
        let credential = Secret::new(credential);
        blocking(lane, move || bcrypt::non_truncating_hash(credential.expose(), COST)).await
    }

    /// Whether `presented` is the credential whose hash is stored. A hash that is not bcrypt's is an error, not a
    /// mismatch.
    pub async fn verify(&self, presented: &str, stored_hash: &str) -> Result<bool, CryptoError> {
        let fingerprint = self.fingerprint(presented, stored_hash);
        if self.is_proven(&fingerprint) {
            return Ok(true);
        }
        let lane = self.lane(&fingerprint).lock_owned().await;
        if self.is_proven(&fingerprint) {
            return Ok(true);
        }
        let (presented, stored_hash) = (Secret::new(presented), stored_hash.to_owned());
        let verified = blocking(lane, move || bcrypt::non_truncating_verify(presented.expose(), &stored_hash)).await?;
        if verified {
            self.remember(fingerprint);
        }
        Ok(verified)
    }

    fn lane(&self, fingerprint: &[u8; 32]) -> Arc<tokio::sync::Mutex<()>> {
        let lanes = self.lanes.len() as u64;
        Arc::clone(&self.lanes[(self.lane_of.hash_one(fingerprint) % lanes) as usize])
    }

    /// Tells (credential, stored hash) pairs apart without keeping the credential.
    fn fingerprint(&self, credential: &str, stored_hash: &str) -> [u8; 32] {
        hmac_sha256(&self.fingerprint_key, &[stored_hash.as_bytes(), b"\0", credential.as_bytes()])
    }

    fn is_proven(&self, fingerprint: &[u8; 32]) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(fingerprint)
    }

    fn remember(&self, fingerprint: [u8; 32]) {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= REMEMBERED {
            let any = proven.iter().next().copied();
            any.map(|fingerprint| proven.remove(&fingerprint));
        }
        proven.insert(fingerprint);
    }
}

/// Runs `work` on a blocking thread. The lane goes with it: a caller that gives up does not free it early.
async fn blocking<T: Send + 'static>(
    lane: tokio::sync::OwnedMutexGuard<()>,
    work: impl FnOnce() -> bcrypt::BcryptResult<T> + Send + 'static,
) -> Result<T, CryptoError> {
    tokio::task::spawn_blocking(move || {
        let _lane = lane;
        work()
    })
    .await
    .map_err(|_| CryptoError::HashingStopped)?
    .map_err(CryptoError::Bcrypt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credential_verifies_against_its_own_hash_only() {
        let verifier = BcryptVerifier::default();
        let hash = verifier.hash("mine").await.unwrap();
        assert!(hash.starts_with("$2b$10$"), "{hash}");
        assert!(verifier.verify("mine", &hash).await.unwrap());
        assert!(!verifier.verify("other", &hash).await.unwrap());
        assert!(verifier.verify("mine", "damaged").await.is_err());
    }

    #[tokio::test]
    async fn proven_credential_is_not_hashed_again_until_its_stored_hash_changes() {
        let verifier = BcryptVerifier::default();
        let hash = verifier.hash("mine").await.unwrap();
        assert!(verifier.verify("mine", &hash).await.unwrap());
        let lanes: Vec<_> = verifier.lanes.iter().map(|lane| lane.try_lock().unwrap()).collect();
        assert!(verifier.verify("mine", &hash).await.unwrap(), "needs no lane, so no bcrypt ran");
        drop(lanes);
        let rotated = verifier.hash("another").await.unwrap();
        assert!(!verifier.verify("mine", &rotated).await.unwrap());
    }
}
