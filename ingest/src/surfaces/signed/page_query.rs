//! The query of a page: each parameter once, known and well-formed, or the refusal names it.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::Query;
use http::Uri;
use touchstone_schema::fault::Fault;
use touchstone_schema::limits::PAGE_ITEMS;

use crate::problem::Problem;

/// Items of a page when no `limit` is given.
const DEFAULT_ITEMS: u64 = 50;

/// A query being read; the empty value counts as absent, but for `limit`, which is a number.
#[derive(Debug)]
pub(crate) struct PageQuery(HashMap<String, String>);

impl PageQuery {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        parameters(uri).map(Self)
    }

    /// A parameter as it was sent.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter of a closed set or form.
    pub(crate) fn take<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        self.take_with(name, expected, |text| text.parse().ok())
    }

    /// A parameter that `read` understands.
    pub(crate) fn take_with<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let given = self.0.remove(name).filter(|text| !text.is_empty());
        given.map(|text| read(&text).ok_or_else(|| invalid(name, expected))).transpose()
    }

    /// How many items the page may have.
    pub(crate) fn limit(&mut self) -> Result<u64, Problem> {
        let expected = "expected a whole number from 1 to 100";
        if self.given("limit") == Some("") {
            return Err(invalid("limit", expected));
        }
        let read = |text: &str| text.parse().ok().filter(|items| (1..=PAGE_ITEMS).contains(items));
        Ok(self.take_with("limit", expected, read)?.unwrap_or(DEFAULT_ITEMS))
    }
}

/// The parameters of a query, each once: which of several was meant would be a guess.
pub(crate) fn parameters(uri: &Uri) -> Result<HashMap<String, String>, Problem> {
    let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(invalid("query", "expected a query of name=value pairs"));
    };
    let count = given.len();
    let parameters: HashMap<_, _> = given.into_iter().collect();
    if parameters.len() < count {
        return Err(invalid("query", "expected each parameter once"));
    }
    Ok(parameters)
}

/// A parameter at fault.
pub(crate) fn invalid(name: &str, expected: &str) -> Problem {
    Problem::invalid_fields(vec![Fault::new(format!("/{name}"), expected)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_query_panics_and_a_repeated_parameter_is_refused(query in "[ -~]{0,80}", name in "[a-z]{1,9}") {
            for (query, repeats) in [(query, false), (format!("{name}=1&{name}="), true)] {
                let Ok(uri) = format!("/v1/deliveries?{query}").parse::<Uri>() else { continue };
                let read = PageQuery::of(&uri).and_then(|mut read| read.limit());
                prop_assert!(!repeats || read.is_err());
                if let Ok(items) = read {
                    prop_assert!((1..=PAGE_ITEMS).contains(&items));
                }
            }
        }
    }
}
