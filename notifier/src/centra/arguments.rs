//! The argument by which a shop's mutations take their order: `order` or `id`, whichever the shop itself shows.
//!
//! Guarantee: pure; a description that shows neither, or that cannot be read, gives no argument and never an error. The
//! sender then goes by the connector's document.

use serde_json::Value;
use touchstone_schema::centra::{OrderArgument, OrderArguments};

use super::operations::Operation;

/// Asks for the arguments of all mutations and nothing else: a description of the whole API is large and slow to make.
pub(crate) const MUTATION_ARGUMENTS: Operation = Operation {
    name: "mutationArguments",
    purpose: "mutations are sent with the argument that the shop takes",
    text: "query mutationArguments { __schema { mutationType { fields { name args { name } } } } }",
};

const RESUME_FIELD: &str = "resumeDirectToConsumerOrder";
const CANCEL_FIELD: &str = "cancelDirectToConsumerOrder";

/// The arguments in an answer to `MUTATION_ARGUMENTS` or to a whole introspection. Where a mutation takes both, `order`
/// is used: it is the newer.
pub fn order_arguments(description: &Value) -> OrderArguments {
    let schema = &description["__schema"];
    let mutations = &schema["mutationType"];
    let fields = mutations["fields"].as_array().or_else(|| {
        let mut types = schema["types"].as_array()?.iter();
        types.find(|one| one["name"].is_string() && one["name"] == mutations["name"])?["fields"].as_array()
    });
    let shown = |mutation: &str| {
        let field = fields?.iter().find(|field| field["name"] == mutation)?;
        let takes = |argument: &OrderArgument| {
            field["args"].as_array().is_some_and(|args| args.iter().any(|arg| arg["name"] == argument.as_str()))
        };
        OrderArgument::ALL.iter().copied().find(takes)
    };
    OrderArguments { resume: shown(RESUME_FIELD), cancel: shown(CANCEL_FIELD) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str, args: &[&str]) -> Value {
        json!({"name": name, "args": args.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
    }

    #[test]
    fn the_argument_of_each_mutation_is_the_one_that_the_shop_shows() {
        let fields = [field(RESUME_FIELD, &["id"]), field(CANCEL_FIELD, &["input", "id", "order"])];
        let expected = OrderArguments { resume: Some(OrderArgument::Id), cancel: Some(OrderArgument::Order) };
        let short = json!({"__schema": {"mutationType": {"fields": fields}}});
        assert_eq!(order_arguments(&short), expected);
        let types = json!([{"name": "Query", "fields": []}, {"name": "M", "fields": fields}]);
        assert_eq!(order_arguments(&json!({"__schema": {"mutationType": {"name": "M"}, "types": types}})), expected);
    }

    #[test]
    fn what_shows_no_known_argument_gives_none() {
        let other = json!({"__schema": {"mutationType": {"fields": [field(RESUME_FIELD, &["orderId"])]}}});
        let nameless = json!({"__schema": {"mutationType": null, "types": [{"name": null, "fields": []}]}});
        for description in [other, nameless, json!({}), json!(null), json!([1])] {
            assert_eq!(order_arguments(&description), OrderArguments::default(), "{description}");
        }
    }
}
