//! Refusals as the orders surface has them: every fault at once, each with its field.
//!
//! Guarantee: every 401 is the same bytes. What is said is true of this surface, whose callers sign nothing.

use http::StatusCode;
use serde::Serialize;

use crate::problem::Problem;

const UNAUTHORIZED: (&str, &str) = ("x-api-key", "expected, once, a valid API key that has the scope `orders`");
const UNAVAILABLE: (&str, &str) =
    ("", "the request could not be answered safely: send the same again; an order that was kept meanwhile is then 409");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Refusal<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_order: Option<bool>,
    errors: Vec<FieldError<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    message: &'a str,
}

/// `{"errors":[{"field":..,"message":..}]}`; of a number that was used before with `orderId` and `sameOrder` before it.
pub(crate) fn text(problem: &Problem) -> String {
    let faults = match problem.status {
        StatusCode::UNAUTHORIZED => vec![UNAUTHORIZED],
        StatusCode::SERVICE_UNAVAILABLE => vec![UNAVAILABLE],
        _ => problem.faults(),
    };
    let errors = faults.into_iter().map(|(field, message)| FieldError { field, message }).collect();
    let before = problem.placed_before();
    let order_id = before.map(|before| before.id.as_i64());
    let same_order = before.map(|before| before.is_same);
    serde_json::to_string(&Refusal { order_id, same_order, errors }).unwrap_or_else(|_| "{}".to_owned())
}
