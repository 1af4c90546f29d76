//! Webhook endpoints that were switched off because of their failures. Where it was a store's only one, no webhook could tell.

use touchstone_platform::store::accounts::GivenUp;
use touchstone_platform::store::{Store, SystemReason};

use super::Findings;

/// Endpoints that are named one by one.
const NAMED: usize = 5;

pub(super) async fn examine(store: &Store, findings: &mut Findings) {
    const WHAT: &str = "webhook endpoints";
    let system = store.system(SystemReason::Operator);
    let (counts, given_up) = match (system.count_given_up_endpoints().await, system.given_up_endpoints().await) {
        (Ok(counts), Ok(given_up)) => (counts, given_up),
        (Err(error), _) | (_, Err(error)) => {
            return findings.fail(WHAT, error.to_string(), "look into the database's log");
        }
    };
    if given_up.is_empty() {
        return findings.ok(WHAT, "none was switched off because of failures");
    }
    for endpoint in given_up.iter().take(NAMED) {
        findings.warn(WHAT, found(endpoint), mend(endpoint));
    }
    let more = counts.given_up.saturating_sub(NAMED as u64);
    if more > 0 {
        findings.warn(
            WHAT,
            format!("{more} more were switched off because of failures"),
            "touchstone endpoint list --store STORE_ID",
        );
    }
}

fn found(endpoint: &GivenUp) -> String {
    let told = if endpoint.is_told { "its other endpoints were told" } else { "nobody was told: it has no other" };
    format!("{} of {} is switched off ({}); {told}", endpoint.id, endpoint.store_id, endpoint.reason)
}

fn mend(endpoint: &GivenUp) -> String {
    let id = &endpoint.id;
    format!(
        "mend the receiver, touchstone endpoint enable --endpoint {id}, touchstone endpoint recover --endpoint {id} --since 7d"
    )
}
