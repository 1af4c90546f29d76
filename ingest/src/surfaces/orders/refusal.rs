//! Refusals as the orders surface has them: every fault at once, each with its field.

use serde::Serialize;

use crate::problem::Problem;

#[derive(Serialize)]
struct Refusal<'a> {
    errors: Vec<FieldError<'a>>,
}

#[derive(Serialize)]
struct FieldError<'a> {
    field: &'a str,
    message: &'a str,
}

/// `{"errors":[{"field":..,"message":..}]}`
pub(crate) fn text(problem: &Problem) -> String {
    let errors = problem.faults().into_iter().map(|(field, message)| FieldError { field, message }).collect();
    serde_json::to_string(&Refusal { errors }).unwrap_or_else(|_| "{}".to_owned())
}
