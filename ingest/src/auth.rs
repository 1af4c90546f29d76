//! Who is asking: the checks before a request may cost anything (contract section 1).
//!
//! Guarantee: until the signature has verified, every refusal is the same problem after the same work, whatever was
//! wrong: one or two HMACs over the body are computed also for keys that do not exist. The signature covers the raw
//! bytes as received. bcrypt runs only for a key whose signature and peppered MAC both fit. Well-formed credentials that do
//! not fit are looked for once more, within the budget of [`Directory::look_again`], whether or not their key exists.
//!
//! [`Directory::look_again`]: touchstone_platform::directory::Directory::look_again
//! Surfaces without a signature know a caller by its key alone, which must have been given their scope.
//! Failure: a key whose store is gone, or whose stored hash is damaged, is refused like a wrong one.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method, Uri};
use touchstone_platform::crypto::{ApiKey, verify_hex_hmac};
use touchstone_platform::directory::{KeyEntry, Snapshot};
use touchstone_schema::limits;
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, KeyScope, StoreProfile};
use touchstone_schema::time::Timestamp;

use crate::Dependencies;
use crate::problem::Problem;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEY: HeaderName = HeaderName::from_static("x-fraudshield-key");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-fraudshield-timestamp");
const NONCE: HeaderName = HeaderName::from_static("x-fraudshield-nonce");
const SIGNATURE: HeaderName = HeaderName::from_static("x-fraudshield-signature");

/// What the signature of a request covers, between the nonce and the body.
///
/// The signed bytes of two different requests that are accepted are never equal, so a captured request is no other one.
/// The bytes can be divided again in one way only:
/// - A nonce of our own routes has no dot, so it ends at the first dot after the timestamp, and the method ends at the first
///   space. A method of a route has no dot either; so if the nonce of an analyzed order continues behind that first dot, the
///   bytes before the first space are no method, and if it does not, the body begins with a method and is no JSON object.
/// - A target has no `{` and no white space, one of which a JSON document begins with. So a document begins at the first of
///   these; where there is none, the body is empty, or the hash of an upload, which has no dot.
/// - Of two orders to analyze with the same bytes, the longer nonce would end within a text of the other document. Behind
///   that place what was a text is none and the reverse, so no name of a required member is left.
#[derive(Debug, Clone)]
pub(crate) enum Signed<'a> {
    /// Nothing: `POST /v1/analyze`, as the vendor's document has it.
    Body,
    /// Method and path too, so that a captured request cannot be aimed elsewhere: all our own routes.
    Target(&'a Method, &'a Uri),
}

impl Signed<'_> {
    /// Whether a nonce has the form of these requests.
    fn takes_nonce(&self, nonce: &str) -> bool {
        let takes = match self {
            Self::Body => |byte: u8| byte.is_ascii_graphic(),
            Self::Target(..) => |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        (1..=limits::NONCE_CHARS).contains(&nonce.len()) && nonce.bytes().all(takes)
    }

    /// Whether the target consists of characters of RFC 3986 alone; HTTP libraries escape others.
    fn is_plain(&self) -> bool {
        let Self::Target(_, uri) = self else { return true };
        target(uri).bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte))
    }
}

/// Path and query, as they are signed.
fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// A caller whose credentials and scope are right. Not admitted yet: it may be over its limit or a replay.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) key: Arc<KeyEntry>,
    pub(crate) store: Arc<StoreProfile>,
    /// None on surfaces whose credential is no signature.
    pub(crate) nonce: Option<String>,
}

/// The five headers, in their right forms.
struct Credentials<'a> {
    api_key: ApiKey,
    timestamp: &'a str,
    nonce: &'a str,
    signature: &'a [u8],
}

/// Runs all checks from the header forms to the scope.
pub(crate) async fn authenticate(
    dependencies: &Dependencies,
    headers: &HeaderMap,
    signed: Signed<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<Caller, Problem> {
    let mut snapshot = dependencies.directory.snapshot();
    let mut verified = verify_signature(&snapshot, headers, &signed, body, now);
    if verified.is_none()
        && let Some(presented) = read_headers(headers, &signed, now).map(|credentials| credentials.api_key)
        && let Some(newer) = dependencies.directory.look_again(&snapshot, presented.prefix8()).await
    {
        snapshot = newer;
        verified = verify_signature(&snapshot, headers, &signed, body, now);
    }
    let (credentials, key) = verified.ok_or_else(Problem::unauthorized)?;
    let store = snapshot.store(&key.tenant.store_id).cloned().ok_or_else(Problem::unauthorized)?;
    if !fits_pepper(dependencies, &key, &credentials.api_key)
        || !is_proven(dependencies, &key, &credentials.api_key).await
    {
        return Err(Problem::unauthorized());
    }
    if !key.scopes.contains(&KeyScope::Signed) {
        return Err(Problem::missing_scope(KeyScope::Signed.as_str()));
    }
    if !signed.is_plain() {
        return Err(Problem::unescaped_target());
    }
    Ok(Caller { nonce: Some(credentials.nonce.to_owned()), key, store })
}

/// Runs all checks of a request whose only credential is its API key, for `scope`. Whatever is wrong, the refusal is the
/// same; and a key that nobody has costs as much as one whose MAC does not fit.
pub(crate) async fn authenticate_by_key(
    dependencies: &Dependencies,
    headers: &HeaderMap,
    scope: KeyScope,
) -> Result<Caller, Problem> {
    let mut snapshot = dependencies.directory.snapshot();
    let Some(presented) = only(headers, &API_KEY).and_then(|value| ApiKey::parse(value.to_str().ok()?)) else {
        compare_with_nothing(dependencies, &ApiKey::generate(KeyMode::Live));
        return Err(Problem::unauthorized());
    };
    let mut known = known_key(dependencies, &snapshot, &presented);
    if known.is_none()
        && let Some(newer) = dependencies.directory.look_again(&snapshot, presented.prefix8()).await
    {
        snapshot = newer;
        known = known_key(dependencies, &snapshot, &presented);
    }
    let key = known.ok_or_else(Problem::unauthorized)?;
    let store = snapshot.store(&key.tenant.store_id).cloned().ok_or_else(Problem::unauthorized)?;
    if !is_proven(dependencies, &key, &presented).await || !key.scopes.contains(&scope) {
        return Err(Problem::unauthorized());
    }
    Ok(Caller { key, store, nonce: None })
}

/// The key whose peppered MAC fits.
fn known_key(dependencies: &Dependencies, snapshot: &Snapshot, presented: &ApiKey) -> Option<Arc<KeyEntry>> {
    let candidates = snapshot.keys_with_prefix(presented.prefix8()).iter();
    let mut candidates = candidates.filter(|key| key.tenant.mode == presented.mode()).peekable();
    if candidates.peek().is_none() {
        compare_with_nothing(dependencies, presented);
        return None;
    }
    candidates.find(|key| fits_pepper(dependencies, key, presented)).cloned()
}

/// The cheap comparison, in constant time.
fn fits_pepper(dependencies: &Dependencies, key: &KeyEntry, presented: &ApiKey) -> bool {
    dependencies.master_keys.verify_pepper(&key.pepper_id, &key.key_mac, presented)
}

/// The work of a wrong key, for requests that have no key to be wrong about.
fn compare_with_nothing(dependencies: &Dependencies, presented: &ApiKey) {
    std::hint::black_box(dependencies.master_keys.verify_pepper("", &[0; 32], presented));
}

/// The dear comparison, once per process and key.
async fn is_proven(dependencies: &Dependencies, key: &KeyEntry, presented: &ApiKey) -> bool {
    dependencies.bcrypt.verify(presented.expose(), &key.key_hash).await.unwrap_or_else(|error| {
        tracing::error!(%error, key = %key.id, "an API key could not be compared with its stored hash");
        false
    })
}

/// The key whose present or still valid previous secret made the signature.
fn verify_signature<'a>(
    snapshot: &Snapshot,
    headers: &'a HeaderMap,
    signed: &Signed<'_>,
    body: &[u8],
    now: Timestamp,
) -> Option<(Credentials<'a>, Arc<KeyEntry>)> {
    let Some(credentials) = read_headers(headers, signed, now) else {
        verify_against_nothing("", "", signed, body);
        return None;
    };
    let Credentials { timestamp, nonce, signature, .. } = credentials;
    let fits = |secret: &Secret| verify(secret, timestamp, nonce, signed, body, signature);
    let mut candidates = snapshot
        .keys_with_prefix(credentials.api_key.prefix8())
        .iter()
        .filter(|key| key.tenant.mode == credentials.api_key.mode())
        .peekable();
    if candidates.peek().is_none() {
        verify_against_nothing(timestamp, nonce, signed, body);
        return None;
    }
    let key = candidates.find(|key| {
        let previous = key.previous_hmac_secret.as_ref().filter(|(_, until)| now < *until);
        fits(&key.hmac_secret)
            || match previous {
                Some((secret, _)) => fits(secret),
                None => {
                    fits(&nobody());
                    false
                }
            }
    })?;
    let key = Arc::clone(key);
    Some((credentials, key))
}

/// The work of a wrong signature, for requests that have no key to be wrong about.
fn verify_against_nothing(timestamp: &str, nonce: &str, signed: &Signed<'_>, body: &[u8]) {
    for _ in 0..2 {
        std::hint::black_box(verify(&nobody(), timestamp, nonce, signed, body, b""));
    }
}

/// A secret that nobody has: nothing verifies against it, because its result is never used.
fn nobody() -> Secret {
    Secret::new([0u8; 64])
}

fn verify(secret: &Secret, timestamp: &str, nonce: &str, signed: &Signed<'_>, body: &[u8], signature: &[u8]) -> bool {
    match signed {
        Signed::Body => verify_hex_hmac(secret, &[timestamp.as_bytes(), b".", nonce.as_bytes(), b".", body], signature),
        Signed::Target(method, uri) => {
            let parts: &[&[u8]] = &[
                timestamp.as_bytes(),
                b".",
                nonce.as_bytes(),
                b".",
                method.as_str().as_bytes(),
                b" ",
                target(uri).as_bytes(),
                b".",
                body,
            ];
            verify_hex_hmac(secret, parts, signature)
        }
    }
}

fn read_headers<'a>(headers: &'a HeaderMap, signed: &Signed<'_>, now: Timestamp) -> Option<Credentials<'a>> {
    let bearer = only(headers, &AUTHORIZATION)?.to_str().ok()?;
    let (scheme, presented) = bearer.split_once(' ')?;
    let key_header = only(headers, &KEY)?.to_str().ok()?;
    let timestamp = only(headers, &TIMESTAMP)?.to_str().ok()?;
    let nonce = only(headers, &NONCE)?.to_str().ok()?;
    let signature = only(headers, &SIGNATURE)?.as_bytes();
    let well_formed = scheme.eq_ignore_ascii_case("bearer")
        && presented == key_header
        && signed.takes_nonce(nonce)
        && is_near(timestamp, now);
    if !well_formed {
        return None;
    }
    Some(Credentials { api_key: ApiKey::parse(presented)?, timestamp, nonce, signature })
}

/// A header that is there once: which of several was meant would be a guess.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a http::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Whether the text is Unix seconds, digits only, within the allowed skew.
fn is_near(timestamp: &str, now: Timestamp) -> bool {
    if timestamp.is_empty() || timestamp.len() > 12 || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let skew = limits::TIMESTAMP_SKEW.as_secs();
    timestamp.parse::<i64>().is_ok_and(|seconds| seconds.abs_diff(now.as_secs()) <= skew)
}

#[cfg(test)]
mod signed_bytes;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);

    fn header() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop::option::of(prop::collection::vec(prop_oneof![b'\t'..=b'\t', b' '..=b'~', 0x80..=0xff_u8], 0..140))
    }

    proptest! {
        #[test]
        fn no_headers_panic_and_those_taken_have_their_forms(
            given in prop::array::uniform5(header()), key in "fcc_(live|test)_[0-9A-Za-z]{31,33}",
            seconds in 1_767_322_700_i64..1_767_323_400, nonce in "[!-~]{0,129}|[A-Za-z0-9_-]{1,128}",
            has_key in any::<bool>(),
        ) {
            let uri = Uri::from_static("/v1/transactions");
            let own = Signed::Target(&Method::GET, &uri);
            let right = [format!("Bearer {key}"), key, seconds.to_string(), nonce, "00".to_owned()];
            let mut headers = HeaderMap::new();
            for ((name, given), right) in [AUTHORIZATION, KEY, TIMESTAMP, NONCE, SIGNATURE].iter().zip(given).zip(right) {
                let value = if has_key { Some(right.into_bytes()) } else { given };
                if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
                    headers.append(name, value);
                }
            }
            for signed in [Signed::Body, own] {
                let mut headers = headers.clone();
                let Some(credentials) = read_headers(&headers, &signed, NOW) else { continue };
                let (nonce, is_own) = (credentials.nonce, matches!(signed, Signed::Target(..)));
                prop_assert!((1..=limits::NONCE_CHARS).contains(&nonce.len()));
                let divides = nonce.contains(['.', ' ', '"', '{']);
                prop_assert!(!(is_own && divides));
                prop_assert!(seconds.abs_diff(NOW.as_secs()) <= limits::TIMESTAMP_SKEW.as_secs());
                headers.append(NONCE, HeaderValue::from_static("another"));
                prop_assert!(read_headers(&headers, &signed, NOW).is_none(), "which of two is meant is a guess");
            }
        }
    }
}
