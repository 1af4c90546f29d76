//! The documents of the checks surface as they are answered. The requests are described in `openapi/checks.rs`.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use touchstone_schema::checks::Flag;
use touchstone_schema::tenant::{RiskGroup, RiskGroups};
use touchstone_schema::verdict::Reason;
use touchstone_schema::warning::Warning;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::respond::json;

/// What the codes of a store's own rules begin with.
const RULE_CODE: &str = "rule_";

#[derive(Debug, ToSchema)]
#[schema(as = OrderCheck)]
pub(crate) struct OrderCheckDocument {}

#[derive(Debug, ToSchema)]
#[schema(as = CartCheck)]
pub(crate) struct CartCheckDocument {}

#[derive(Debug, ToSchema)]
#[schema(as = OrderUpdate)]
pub(crate) struct OrderUpdateDocument {}

#[derive(Debug, ToSchema)]
#[schema(as = CartUpdate)]
pub(crate) struct CartUpdateDocument {}

/// The result of a check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckResult {
    success: bool,
    data: CheckedRisk,
}

/// The risk of what was checked.
#[derive(Debug, Serialize, ToSchema)]
struct CheckedRisk {
    /// The id that was checked.
    id: String,
    /// Milliseconds that this answer took.
    timer: u64,
    /// 0 is no risk.
    #[schema(minimum = 0, maximum = 100)]
    risk_score: u8,
    /// low, medium or high, by the store's thresholds.
    #[schema(value_type = String)]
    risk_group: RiskGroup,
    /// Where the transaction is found.
    link: String,
    /// Why, one for each reason.
    tags: Vec<Tag>,
    /// Optional fields of the check that could not be used as they were sent; they counted as absent.
    #[schema(max_items = 32, value_type = Vec<crate::surfaces::signed::document::WarningDocument>)]
    warnings: Vec<Warning>,
}

/// A reason of the score.
#[derive(Debug, Serialize, ToSchema)]
struct Tag {
    /// Stable, for programs.
    id: String,
    /// For people.
    name: String,
    /// signal, or rule for one of the store's own.
    source: &'static str,
    /// risk when it raised the score, trust when it lowered it, else note.
    r#type: &'static str,
    /// Points that it added.
    weight: i32,
}

/// An update that was applied.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UpdateResult {
    success: bool,
    data: UpdatedCheck,
}

/// What was updated.
#[derive(Debug, Serialize, ToSchema)]
struct UpdatedCheck {
    /// The id that was updated.
    id: String,
    /// Members whose change was not to be expected. They were applied all the same.
    flagged: Vec<String>,
    /// Members that updates do not have, such as misspelt ones. They are kept and change nothing.
    #[schema(max_items = 32, value_type = Vec<crate::surfaces::signed::document::WarningDocument>)]
    warnings: Vec<Warning>,
}

/// The members of a verdict that a check is answered with.
#[derive(Deserialize)]
struct Told {
    risk_score: u8,
    #[serde(default)]
    reasons: Vec<Reason>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

/// 200 with the risk that a stored verdict tells.
pub(super) fn checked(
    id: &str,
    verdict: &RawValue,
    groups: RiskGroups,
    link: String,
    took: Duration,
) -> Result<Response, Problem> {
    let told: Told = serde_json::from_str(verdict.get()).map_err(|error| {
        tracing::error!(%error, "a stored verdict could not be read");
        Problem::internal()
    })?;
    let data = CheckedRisk {
        id: id.to_owned(),
        timer: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        risk_score: told.risk_score,
        risk_group: groups.of(told.risk_score),
        link,
        tags: told.reasons.into_iter().map(Tag::from).collect(),
        warnings: told.warnings,
    };
    json(StatusCode::OK, &CheckResult { success: true, data })
}

impl From<Reason> for Tag {
    fn from(reason: Reason) -> Self {
        Self {
            source: if reason.code.starts_with(RULE_CODE) { "rule" } else { "signal" },
            r#type: match reason.points {
                1.. => "risk",
                0 => "note",
                _ => "trust",
            },
            id: reason.code,
            name: reason.detail,
            weight: reason.points,
        }
    }
}

/// 200: an update was applied.
pub(super) fn updated(id: &str, flags: Vec<Flag>, warnings: Vec<Warning>) -> Result<Response, Problem> {
    let flagged = flags.into_iter().map(|flag| flag.member).collect();
    json(StatusCode::OK, &UpdateResult { success: true, data: UpdatedCheck { id: id.to_owned(), flagged, warnings } })
}
