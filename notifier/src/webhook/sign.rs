//! What is sent, the merchant's own headers, and its Standard Webhooks 1.0 signature.
//!
//! Guarantee: the body of an event is the same bytes on every attempt; the signature covers the time of the attempt.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use touchstone_platform::crypto::{CryptoError, MasterKeys, SealContext, webhook_key, webhook_signature};
use touchstone_platform::store::deliveries::EndpointTarget;
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::own_headers::OwnHeaders;

/// The body: `{"type":..,"timestamp":..,"data":..}`.
pub(crate) fn body(event: &Event) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: EventKind,
        timestamp: String,
        data: &'a RawValue,
    }
    let body = Body { r#type: event.kind, timestamp: event.occurred_at.to_rfc3339(), data: &event.data };
    serde_json::to_vec(&body).map(Bytes::from)
}

/// The `webhook-signature` header: one signature per secret that is valid now, newest first.
pub(crate) fn signatures(
    keys: &MasterKeys,
    endpoint: &EndpointTarget,
    id: &str,
    timestamp_s: i64,
    body: &[u8],
) -> Result<String, CryptoError> {
    let context = SealContext {
        store: endpoint.store_id.as_str(),
        record: endpoint.id.as_str(),
        purpose: SealContext::WEBHOOK_SECRET,
    };
    let sign = |sealed: &Vec<u8>| {
        let key = webhook_key(&keys.open(sealed, &context)?)?;
        Ok(webhook_signature(&key, id, timestamp_s, body))
    };
    let signed: Result<Vec<_>, CryptoError> = endpoint.sealed_secrets.iter().map(sign).collect();
    Ok(signed?.join(" "))
}

/// The merchant's own headers; `None` when they do not open, or are none that this build would send.
pub(crate) fn own_headers(keys: &MasterKeys, endpoint: &EndpointTarget) -> Option<OwnHeaders> {
    let Some(sealed) = &endpoint.sealed_headers else { return Some(OwnHeaders::default()) };
    let context = SealContext {
        store: endpoint.store_id.as_str(),
        record: endpoint.id.as_str(),
        purpose: SealContext::WEBHOOK_HEADERS,
    };
    OwnHeaders::read(&keys.open(sealed, &context).ok()?).ok()
}
