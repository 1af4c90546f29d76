//! Who is asking, by HTTP Basic: the key's id and its secret.
//!
//! Guarantee: bad credentials are one refusal after the same work, whether or not the key exists: one look-up and one HMAC
//! over the password. bcrypt runs only for a password whose HMAC fits. Which scopes a key has is told only to its owner.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use touchstone_platform::directory::{KeyEntry, Snapshot};
use touchstone_schema::ids::KeyId;
use touchstone_schema::tenant::KeyScope;

use crate::Dependencies;
use crate::auth::{Caller, only};
use crate::problem::Problem;

/// Longest password that is looked at, in bytes: ours are shorter.
const PASSWORD_BYTES: usize = 256;

/// Runs all checks from the header's form to the scope.
pub(super) async fn authenticate(dependencies: &Dependencies, headers: &HeaderMap) -> Result<Caller, Problem> {
    let (id, password) = read(headers).unwrap_or_default();
    let id = id.parse::<KeyId>().ok();
    let mut snapshot = dependencies.directory.snapshot();
    let mut known = known_key(dependencies, &snapshot, id.as_ref(), &password);
    if known.is_none()
        && let Some(id) = &id
        && let Some(newer) = dependencies.directory.look_again(&snapshot, id.as_str()).await
    {
        snapshot = newer;
        known = known_key(dependencies, &snapshot, Some(id), &password);
    }
    let key = known.ok_or_else(Problem::unauthorized)?;
    let store = snapshot.store(&key.tenant.store_id).ok_or_else(Problem::unauthorized)?;
    let proven = dependencies.bcrypt.verify(&password, &key.password_hash).await.unwrap_or_else(|error| {
        tracing::error!(%error, key = %key.id, "a password could not be compared with its stored hash");
        false
    });
    if !proven {
        return Err(Problem::unauthorized());
    }
    if !key.scopes.contains(&KeyScope::Checks) {
        return Err(Problem::forbidden(KeyScope::Checks.as_str()));
    }
    Ok(Caller { key, store: store.clone(), nonce: None })
}

/// The key of this id, when the password's HMAC fits.
fn known_key(
    dependencies: &Dependencies,
    snapshot: &Snapshot,
    id: Option<&KeyId>,
    password: &str,
) -> Option<Arc<KeyEntry>> {
    let key = id.and_then(|id| snapshot.key(id));
    let (pepper_id, mac) = key.map_or(("", None), |key| (key.pepper_id.as_str(), key.password_mac.as_deref()));
    let fits = dependencies.master_keys.verify_password_mac(pepper_id, mac, password);
    key.filter(|_| fits).cloned()
}

/// User name and password; none of what is no such header.
fn read(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = only(headers, &AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > PASSWORD_BYTES * 2 {
        return None;
    }
    let plain = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, password) = plain.split_once(':')?;
    Some((id.to_owned(), password.to_owned()))
}
