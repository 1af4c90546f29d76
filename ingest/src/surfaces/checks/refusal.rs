//! Refusals as the checks surface has them: the first fault, with its field.

use http::StatusCode;
use serde::Serialize;

use super::super::Envelope;
use crate::problem::Problem;

#[derive(Serialize)]
struct Refusal<'a> {
    success: bool,
    code: u16,
    source: &'a str,
    message: &'a str,
}

const CREDENTIALS: &str = "Authorization";
const UNAUTHORIZED: &str = "Expected HTTP Basic credentials: the key's id as user name and its secret as password.";
const UNAVAILABLE: &str = "No answer could be given safely and nothing was promised; send the same request again.";

/// `{"success":false,"code":..,"source":..,"message":..}`
pub(crate) fn text(problem: &Problem) -> String {
    let (source, message) = problem.faults().into_iter().next().unwrap_or_default();
    let (source, message) = match problem.status {
        // One text for all of them, whoever refused: the caller has another kind of credentials than elsewhere.
        StatusCode::UNAUTHORIZED => (CREDENTIALS, UNAUTHORIZED),
        StatusCode::FORBIDDEN => (CREDENTIALS, message),
        StatusCode::SERVICE_UNAVAILABLE => (source, UNAVAILABLE),
        _ => (source, message),
    };
    let code = Envelope::Checks.status(problem.status).as_u16();
    serde_json::to_string(&Refusal { success: false, code, source, message }).unwrap_or_else(|_| "{}".to_owned())
}
