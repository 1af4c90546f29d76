//! What a shop serves, compared with what we send it.
//!
//! Our picture of Centra's schema is put together from what is published, and shops run different releases. So the
//! operations are checked against the schema that the shop itself tells of, before an order depends on them.
//! Guarantee: pure; nothing that a shop tells can make it panic, and what it cannot read is an error with a reason.

use std::collections::BTreeSet;

use apollo_compiler::executable::{Operation as Parsed, Selection, SelectionSet};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde::Serialize;
use serde_json::Value;

use crate::centra::Operation;

mod enums;
mod inputs;
mod outputs;
mod sdl;

/// One thing that the shop serves otherwise than we expect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Whether the shop would refuse what we send, or we what it answers.
    pub serious: bool,
    /// The operations that it concerns, separated by commas.
    pub operation: String,
    /// What is different.
    pub what: String,
    /// What that breaks.
    pub breaks: String,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The shop's answer is no introspection.
    #[error("the shop's description of itself cannot be read: {0}")]
    Introspection(String),
    /// Our own schema, or an operation that does not fit it: a mistake of ours.
    #[error("{what} is not sound: {problem}")]
    Ours {
        /// Which part.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Compares what `introspection` tells with the operations, which were written for the schema `ours` (SDL). The
/// serious ones come first.
pub fn differences(
    introspection: &Value,
    operations: &[Operation],
    ours: &str,
) -> Result<Vec<Difference>, CompareError> {
    let live = sdl::schema_of(introspection)?;
    let known = Schema::parse(ours, "our schema").map_err(|errors| wrong("our schema", &errors.errors))?;
    let known = Valid::assume_valid(known);
    let mut found = BTreeSet::new();
    for operation in operations {
        let document = ExecutableDocument::parse_and_validate(&known, operation.text, operation.name)
            .map_err(|errors| wrong(operation.name, &errors.errors))?;
        let mut comparison = Comparison { operation, known: &known, live: &live, found: &mut found };
        comparison.refusals();
        for parsed in document.operations.iter() {
            comparison.variables(parsed);
            comparison.answers(&document, parsed);
        }
    }
    let mut found = told_once(found);
    found.sort_by_key(|difference| !difference.serious);
    Ok(found)
}

/// What concerns several operations alike is one difference.
fn told_once(found: BTreeSet<Difference>) -> Vec<Difference> {
    let mut told: Vec<Difference> = Vec::new();
    for next in found {
        let alike = |told: &&mut Difference| (&told.what, &told.breaks) == (&next.what, &next.breaks);
        match told.iter_mut().find(alike) {
            Some(told) => told.operation = format!("{}, {}", told.operation, next.operation),
            None => told.push(next),
        }
    }
    told
}

fn wrong(what: &str, errors: &apollo_compiler::validation::DiagnosticList) -> CompareError {
    let problem = errors.iter().next().map(|first| first.error.to_string()).unwrap_or_default();
    CompareError::Ours { what: what.to_owned(), problem }
}

/// One operation against the two schemas.
struct Comparison<'a> {
    operation: &'a Operation,
    known: &'a Valid<Schema>,
    live: &'a Valid<Schema>,
    found: &'a mut BTreeSet<Difference>,
}

impl Comparison<'_> {
    /// What the shop would refuse in the document itself.
    fn refusals(&mut self) {
        let Err(refused) = ExecutableDocument::parse_and_validate(self.live, self.operation.text, self.operation.name)
        else {
            return;
        };
        for diagnostic in refused.errors.iter() {
            let line = diagnostic.line_column_range().map(|range| format!(" (line {})", range.start.line));
            self.serious(format!("{}{}", diagnostic.error, line.unwrap_or_default()), "the shop refuses it");
        }
    }

    fn serious(&mut self, what: String, consequence: &str) {
        let breaks = format!("{consequence}, so this does not work: {}", self.operation.purpose);
        self.add(true, what, breaks);
    }

    fn remark(&mut self, what: String, consequence: impl Into<String>) {
        self.add(false, what, consequence.into());
    }

    fn add(&mut self, serious: bool, what: String, breaks: String) {
        let operation = self.operation.name.to_owned();
        self.found.insert(Difference { serious, operation, what, breaks });
    }
}

#[cfg(test)]
mod tests;
