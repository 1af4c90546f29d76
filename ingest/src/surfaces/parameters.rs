//! Which query parameters the routes have, as their description says: one that is misspelt would be ignored, and everything
//! be answered instead of what was asked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use http::{Method, Uri};
use serde_json::Value;
use touchstone_schema::fault::Fault;

use super::signed::page_query::parameters;
use crate::problem::Problem;

/// Names of the query parameters of an operation, by method and route.
static KNOWN: LazyLock<HashMap<(String, String), BTreeSet<String>>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&crate::openapi()).unwrap_or_default();
    let mut known = HashMap::new();
    for (route, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter(|parameter| parameter["in"] == "query");
            let names = names.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect();
            known.insert((method.to_ascii_uppercase(), route.clone()), names);
        }
    }
    known
});

/// Refuses a request with a query parameter that its operation does not have.
///
/// # Errors
/// 422 that names each of them and the parameters that there are.
pub(super) fn require_known(method: &Method, route: &str, uri: &Uri) -> Result<(), Problem> {
    if uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    let none = BTreeSet::new();
    let known = KNOWN.get(&(method.as_str().to_owned(), route.to_owned())).unwrap_or(&none);
    let mut unknown: Vec<_> = parameters(uri)?.into_keys().filter(|name| !known.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.sort_unstable();
    let expected = match known.is_empty() {
        true => "expected no query parameter".to_owned(),
        false => format!("expected only the parameters {}", known.iter().cloned().collect::<Vec<_>>().join(", ")),
    };
    let fault =
        |name: &String| Fault::new(format!("/{}", name.replace('~', "~0").replace('/', "~1")), expected.clone());
    Err(Problem::invalid_fields(unknown.iter().map(fault).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(method: &Method, route: &str, uri: &str) -> Vec<String> {
        let uri = uri.parse().expect("a target");
        let refused = require_known(method, route, &uri).err();
        refused.iter().flat_map(|problem| problem.faults()).map(|(field, _)| field.to_owned()).collect()
    }

    #[test]
    fn parameters_that_are_described_are_known_and_others_are_named() {
        let list = "/v1/transactions";
        assert!(faults(&Method::GET, list, "/v1/transactions?status=held&limit=5&cursor=").is_empty());
        assert_eq!(faults(&Method::GET, list, "/v1/transactions?satus=held&limit=5"), ["/satus"]);
        let decide = "/v1/transactions/{id}/decision";
        assert!(faults(&Method::POST, decide, "/v1/transactions/tx_1/decision?").is_empty());
        assert_eq!(faults(&Method::POST, decide, "/v1/transactions/tx_1/decision?b/c=1&a=2"), ["/a", "/b~1c"]);
    }

    #[test]
    fn every_route_of_the_description_is_known() {
        assert!(KNOWN.len() > 20, "{}", KNOWN.len());
        assert!(KNOWN.keys().all(|(method, _)| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str())));
    }
}
