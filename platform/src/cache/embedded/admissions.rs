//! Revoked keys, backlogs and nonces: what decides whether a request comes in.

use std::collections::{HashMap, HashSet, VecDeque};

use sha2::{Digest, Sha256};
use touchstone_schema::ids::KeyId;
use touchstone_schema::limits::NONCE_TTL;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;

use super::super::rate::{Backlog, rate_state};
use super::super::{Admission, Admitted, RateState};
use super::journal::Record;

/// Most unexpired nonces: 1 500 requests a second.
const NONCES: usize = 1_000_000;
/// Keys that commands given to this process revoked. When there are as many they are forgotten: the directory refuses them
/// within two seconds.
const REVOKED: usize = 16_384;
/// Stores whose backlog is held before the drained ones are forgotten.
const BACKLOGS: usize = 16_384;

/// 128 bits of SHA-256 that stand for a nonce of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NonceDigest(pub(super) [u8; 16]);

impl NonceDigest {
    /// The digest of a nonce within its key.
    pub(super) fn of(key: &KeyId, nonce: &str) -> Self {
        let digest = Sha256::new().chain_update(key.as_str()).chain_update([0]).chain_update(nonce).finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }
}

/// What is to be done with a request.
pub(super) enum Decision {
    /// Answer so.
    Final(Admitted),
    /// It cannot be told from a replay.
    TooManyNonces,
    /// Let it in, once the record of its nonce, if it has one, is written.
    Admit { held: Option<(NonceDigest, Record)>, rate: RateState },
}

struct Held {
    expires: Timestamp,
    /// None: taken over from a process that has ended, and with it every request that could release it.
    mark: Option<Box<str>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Admissions {
    revoked: HashSet<KeyId>,
    backlogs: HashMap<Tenant, Backlog>,
    nonces: HashMap<NonceDigest, Held>,
    /// The nonces in the order of arrival, which is about that of expiry.
    expiries: VecDeque<(Timestamp, NonceDigest)>,
}

impl Admissions {
    /// Takes over what the journal holds.
    pub(super) fn restore(&mut self, records: &[Record], now: Timestamp) {
        for record in records {
            if record.released {
                self.nonces.remove(&record.nonce);
            } else if record.expires > now {
                self.hold(record.nonce, Held { expires: record.expires, mark: None });
            }
        }
    }

    /// Decides in the order of the port: revocation, nonce, rate.
    pub(super) fn decide(&mut self, admission: &Admission<'_>) -> Decision {
        if self.revoked.contains(admission.key) {
            return Decision::Final(Admitted::Revoked);
        }
        self.forget_expired(admission.now);
        let signed = admission.signed.as_ref();
        let signed = signed.map(|signed| (NonceDigest::of(admission.key, signed.nonce), signed.mark));
        if let Some((nonce, _)) = &signed {
            if self.nonces.get(nonce).is_some_and(|held| held.expires > admission.now) {
                return Decision::Final(Admitted::Replayed);
            }
            if self.nonces.len() >= NONCES {
                return Decision::TooManyNonces;
            }
        }
        let rate = match self.take_slot(admission) {
            Ok(rate) => rate,
            Err(rate) => return Decision::Final(Admitted::RateLimited { rate }),
        };
        let Some((nonce, mark)) = signed else { return Decision::Admit { held: None, rate } };
        let expires = admission.now + NONCE_TTL;
        self.hold(nonce, Held { expires, mark: Some(mark.into()) });
        Decision::Admit { held: Some((nonce, Record { nonce, expires, released: false })), rate }
    }

    /// Releases a nonce that `mark` holds; the record of it, if it did.
    pub(super) fn release(&mut self, nonce: &NonceDigest, mark: &str) -> Option<Record> {
        let held = self.nonces.get(nonce)?;
        let expires = held.expires;
        if held.mark.as_deref() != Some(mark) {
            return None;
        }
        self.nonces.remove(nonce);
        Some(Record { nonce: *nonce, expires, released: true })
    }

    /// Refuses a key from now on.
    pub(super) fn revoke(&mut self, key: &KeyId) {
        if self.revoked.len() >= REVOKED {
            self.revoked.clear();
        }
        self.revoked.insert(key.clone());
    }

    fn take_slot(&mut self, admission: &Admission<'_>) -> Result<RateState, RateState> {
        let limit = admission.limit_per_minute;
        if self.backlogs.len() >= BACKLOGS && !self.backlogs.contains_key(admission.tenant) {
            self.backlogs.retain(|_, backlog| admission.now.since(backlog.at).as_secs() < 60);
        }
        let backlog = self.backlogs.entry(admission.tenant.clone()).or_insert(Backlog::empty(admission.now));
        let drained = backlog.drained(admission.now, limit);
        match drained.with_request(limit) {
            Some(risen) => {
                *backlog = risen;
                Ok(rate_state(limit, risen.level))
            }
            None => Err(rate_state(limit, drained.level)),
        }
    }

    fn hold(&mut self, nonce: NonceDigest, held: Held) {
        self.expiries.push_back((held.expires, nonce));
        self.nonces.insert(nonce, held);
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((expires, nonce)) = self.expiries.front().copied().filter(|(expires, _)| *expires <= now) {
            self.expiries.pop_front();
            if self.nonces.get(&nonce).is_some_and(|held| held.expires == expires) {
                self.nonces.remove(&nonce);
            }
        }
    }
}
