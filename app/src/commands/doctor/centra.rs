//! The connections to Centra shops: their tokens, what they hold too long, and whether each shop still serves what is
//! asked of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use touchstone_notifier::{
    ApiError, Difference, IntrospectError, differences, introspect, operations, order_arguments,
};
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext};
use touchstone_platform::egress::EgressPolicy;
use touchstone_platform::settings::Settings;
use touchstone_platform::store::accounts::{CENTRA_TOKEN, ConnectionRow};
use touchstone_platform::store::holds::Hold;
use touchstone_platform::store::{Store, StoreError, SystemReason, SystemStore};
use touchstone_schema::centra::{OrderArguments, SDL};
use touchstone_schema::secret::Secret;
use touchstone_schema::time::Timestamp;

use super::Findings;
use crate::commands::centra::status::{TOKEN_DAYS, TOKEN_WARN_DAYS, token_age_days};

const WHAT: &str = "Centra";
const TOKEN: &str = "Centra token";
const HOLDS: &str = "Centra holds";
const SWEEP: &str = "Centra sweep";
const API: &str = "Centra API";
const ARGUMENTS: &str = "Centra arguments";

/// Time beyond the second sweep that a busy shop may take.
const SWEEP_PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn examine(settings: &Settings, store: &Store, keys: &MasterKeys, findings: &mut Findings) {
    let system = store.system(SystemReason::Operator);
    let rows = match system.connections(None).await {
        Ok(rows) => rows,
        Err(error) => return unreadable(&error, findings),
    };
    let egress = Arc::new(EgressPolicy::new(settings.egress_allow.clone()));
    let now = Clock::system().now();
    for row in rows.iter().filter(|row| row.disconnected_at.is_none()) {
        match system.open_holds(&row.id).await {
            Ok(holds) => examine_holds(row, &holds, now, findings),
            Err(error) => unreadable(&error, findings),
        }
        examine_work(row, now, findings);
        if let Some(token) = examine_token(row, keys, now, findings) {
            let egress = Arc::clone(&egress);
            match introspect(&row.api_url, &token, egress).await {
                Ok(description) => {
                    let shown = order_arguments(&description);
                    compare(row, &description, shown, findings);
                    keep_arguments(&system, row, shown, now, findings).await;
                }
                Err(error) => examine_refusal(row, error, findings),
            }
        }
    }
}

fn unreadable(error: &StoreError, findings: &mut Findings) {
    findings.fail(WHAT, format!("the connections cannot be read: {error}"), "look into the database's log");
}

/// The token, when it opens.
fn examine_token(row: &ConnectionRow, keys: &MasterKeys, now: Timestamp, findings: &mut Findings) -> Option<Secret> {
    let context = SealContext { store: row.store_id.as_str(), record: row.id.as_str(), purpose: CENTRA_TOKEN };
    let renew =
        format!("make a token in Centra, then touchstone centra set-token --connection {} --token-file FILE", row.id);
    let token = match keys.open(&row.sealed_token, &context) {
        Ok(token) => token,
        Err(error) => {
            findings.fail(TOKEN, format!("{}: does not open: {error}", row.id), renew);
            return None;
        }
    };
    let age = token_age_days(row, now);
    let found = format!("{}: {age} days old, and tokens last {TOKEN_DAYS} days by default", row.id);
    match age {
        TOKEN_DAYS.. => findings.fail(TOKEN, found, renew),
        TOKEN_WARN_DAYS.. => findings.warn(TOKEN, found, renew),
        _ => findings.ok(TOKEN, format!("{}: opens, {age} days old", row.id)),
    }
    Some(token)
}

/// Whether notifiers work on it.
fn examine_work(row: &ConnectionRow, now: Timestamp, findings: &mut Findings) {
    if let Some(reason) = &row.stopped_reason {
        let mend = format!("touchstone centra set-token --connection {} --token-file FILE", row.id);
        return findings.fail(WHAT, format!("{} is stopped: {reason}", row.id), mend);
    }
    if row.paused_until > now {
        let until = row.paused_until.to_rfc3339();
        let mend = "nothing, unless it happens often: then the shop's integrations ask for more than its plan allows";
        return findings.warn(WHAT, format!("{} is paused until {until}, as the shop asked", row.id), mend);
    }
    let interval = Duration::from_secs(60 * u64::from(row.settings.sweep_minutes));
    let last = row.swept_at.unwrap_or(row.created_at);
    if now.since(last) > interval * 2 + SWEEP_PATIENCE {
        let found = format!("{}: the shop was last looked through {}", row.id, last.to_rfc3339());
        findings.warn(SWEEP, found, "start a notifier (touchstone serve), and look into its log for this connection");
    }
}

fn examine_holds(row: &ConnectionRow, holds: &[Hold], now: Timestamp, findings: &mut Findings) {
    let late: Vec<_> = holds.iter().filter(|hold| hold.deadline_at <= now).collect();
    let Some(oldest) = late.iter().map(|hold| hold.opened_at).min() else {
        return findings.ok(HOLDS, format!("{}: {} on hold, none beyond its review deadline", row.id, holds.len()));
    };
    findings.warn(
        HOLDS,
        format!("{}: {} on hold beyond their review deadline, since {}", row.id, late.len(), oldest.to_rfc3339()),
        format!("touchstone centra status --store {}, then touchstone order decide", row.store_id),
    );
}

/// Compares what the shop says of its API with what it is sent.
fn compare(row: &ConnectionRow, description: &Value, shown: OrderArguments, findings: &mut Findings) {
    match differences(description, &operations(shown), SDL) {
        Ok(found) if found.is_empty() => {
            findings.ok(API, format!("{}: {} serves all that is asked of it", row.id, row.api_url));
        }
        Ok(found) => found.iter().for_each(|difference| tell(row, difference, findings)),
        Err(error) => findings.fail(API, format!("{}: {error}", row.id), "check the URL; it may be no Integration API"),
    }
}

/// Compares the arguments that the shop's mutations take with those that are kept, and keeps what the shop shows.
async fn keep_arguments(
    system: &SystemStore<'_>,
    row: &ConnectionRow,
    shown: OrderArguments,
    now: Timestamp,
    findings: &mut Findings,
) {
    if row.arguments == Some(shown) {
        return findings.ok(ARGUMENTS, format!("{}: {shown}, as it is kept", row.id));
    }
    let kept = row.arguments.map_or_else(|| "nothing was kept yet".to_owned(), |kept| format!("{kept} was kept"));
    let found = format!("{}: {shown}; {kept}", row.id);
    match system.set_connection_arguments(&row.id, shown, now).await {
        Ok(_) if row.arguments.is_none() => findings.ok(ARGUMENTS, format!("{found}, and this is kept from now on")),
        Ok(_) => findings.warn(ARGUMENTS, found, "kept from now on: nothing is left to do"),
        Err(error) => findings.fail(
            ARGUMENTS,
            format!("{found}, and the change cannot be kept: {error}"),
            "look into the database's log, then run doctor again",
        ),
    }
}

fn tell(row: &ConnectionRow, difference: &Difference, findings: &mut Findings) {
    let found = format!("{}: {}: {}", row.id, difference.operation, difference.what);
    if difference.serious {
        let mend = format!("{}; a newer Touchstone may know this schema", difference.breaks);
        findings.fail(API, found, mend);
    } else {
        findings.warn(API, found, format!("it breaks {}", difference.breaks));
    }
}

fn examine_refusal(row: &ConnectionRow, error: IntrospectError, findings: &mut Findings) {
    let mend = match &error {
        IntrospectError::Asked(ApiError::Refused(_)) => {
            format!(
                "make a token in Centra, then touchstone centra set-token --connection {} --token-file FILE",
                row.id
            )
        }
        IntrospectError::Asked(ApiError::Busy { .. }) => {
            let found = format!("{}: {}", row.id, anyhow::Error::new(error));
            return findings.warn(API, found, "run doctor again in a minute");
        }
        IntrospectError::Asked(ApiError::Invalid(_)) => {
            let found = format!("{}: cannot be compared, {error}", row.id);
            return findings.warn(API, found, "check the token's permissions; orders are worked on all the same");
        }
        _ => format!("check that {} is the shop's Integration API and can be reached from here", row.api_url),
    };
    findings.fail(API, format!("{}: {:#}", row.id, anyhow::Error::new(error)), mend);
}
