//! Refusals as the checks surface has them: the first fault, with its field.

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

/// `{"success":false,"code":..,"source":..,"message":..}`
pub(crate) fn text(problem: &Problem) -> String {
    let (source, message) = problem.faults().into_iter().next().unwrap_or_default();
    let code = Envelope::Checks.status(problem.status).as_u16();
    serde_json::to_string(&Refusal { success: false, code, source, message }).unwrap_or_else(|_| "{}".to_owned())
}
