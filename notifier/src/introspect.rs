//! Asks a shop for a description of its API.
//!
//! Guarantee: one request, as the worker makes them: bound by the egress policy, a time-out and a most of bytes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use touchstone_platform::clock::Clock;
use touchstone_platform::egress::EgressPolicy;
use touchstone_schema::centra::OrderArguments;
use touchstone_schema::secret::Secret;

use crate::centra::{Api, ApiError, MUTATION_ARGUMENTS, Operation, Target, order_arguments};

/// Longest time to resolve and connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest time for all of it. A description of a whole API is large, and slow to make.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest time of the request for the arguments alone, which a person waits for.
const ARGUMENTS_LIMIT: Duration = Duration::from_secs(10);

/// The introspection that every tool asks, without what only documents.
pub(crate) const INTROSPECTION: Operation = Operation {
    name: "IntrospectionQuery",
    purpose: "what is sent is compared with what the shop serves",
    text: "query IntrospectionQuery {
  __schema {
    queryType { name }
    mutationType { name }
    types {
      kind
      name
      fields(includeDeprecated: true) {
        name
        args { ...Input }
        type { ...Reference }
        isDeprecated
        deprecationReason
      }
      inputFields { ...Input }
      interfaces { ...Reference }
      enumValues(includeDeprecated: true) { name }
      possibleTypes { ...Reference }
    }
  }
}
fragment Input on __InputValue { name type { ...Reference } defaultValue }
fragment Reference on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }
}",
};

/// Why a shop was not described.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectError {
    /// The roots of trust of this machine cannot be read.
    #[error("no certificates to verify the shop with")]
    Roots(#[source] std::io::Error),
    /// The shop was asked in vain.
    #[error(transparent)]
    Asked(#[from] ApiError),
    /// The shop's answer is no introspection.
    #[error("the answer describes no API")]
    NoDescription,
}

/// Asks the shop at `api_url` for all of its API; gives the `data` of its answer.
///
/// # Errors
/// Why the shop was not described.
pub async fn introspect(api_url: &str, token: &Secret, egress: Arc<EgressPolicy>) -> Result<Value, IntrospectError> {
    describe(api_url, token, egress, &INTROSPECTION, LIMIT).await
}

/// Asks the shop at `api_url` which arguments its mutations take.
///
/// # Errors
/// Why the shop did not say; [`ApiError::Invalid`] from a shop whose introspection is switched off.
pub async fn introspect_arguments(
    api_url: &str,
    token: &Secret,
    egress: Arc<EgressPolicy>,
) -> Result<OrderArguments, IntrospectError> {
    let description = describe(api_url, token, egress, &MUTATION_ARGUMENTS, ARGUMENTS_LIMIT).await?;
    Ok(order_arguments(&description))
}

async fn describe(
    api_url: &str,
    token: &Secret,
    egress: Arc<EgressPolicy>,
    operation: &Operation,
    limit: Duration,
) -> Result<Value, IntrospectError> {
    let api = Api::new(limit, CONNECT_LIMIT, egress, Clock::system()).map_err(IntrospectError::Roots)?;
    let target = Target { url: api_url.to_owned(), token: token.clone() };
    let data = api.ask(&target, operation, &json!({})).await?;
    let description: Value = serde_json::from_str(data.get()).map_err(|_| IntrospectError::NoDescription)?;
    if description["__schema"].is_object() { Ok(description) } else { Err(IntrospectError::NoDescription) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_addresses_are_not_asked() {
        let asked = introspect("http://127.0.0.1:9/graphql", &Secret::new("abc"), Arc::default()).await;
        assert!(asked.unwrap_err().to_string().contains("not public"));
    }

    #[test]
    fn what_is_asked_is_an_introspection() {
        let schema = apollo_compiler::Schema::parse_and_validate("type Query { a: Int }", "schema").unwrap();
        for operation in [INTROSPECTION, MUTATION_ARGUMENTS] {
            apollo_compiler::ExecutableDocument::parse_and_validate(&schema, operation.text, operation.name).unwrap();
        }
    }
}
