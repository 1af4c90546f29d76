//! Reads, validates and executes operations against the served schema.

use apollo_compiler::{
    ExecutableDocument, Name, Schema,
    collections::HashMap,
    executable,
    introspection::check_max_depth,
    request::RequestError,
    resolvers::Execution,
    response::{GraphQLError, JsonMap, JsonValue},
    schema::{ExtendedType, Implementers},
    validation::{DiagnosticList, Valid},
};
use serde_json::{Value, json};
use touchstone_schema::centra::OrderArgument;

use crate::{
    Settings,
    resolve::Root,
    shop::{Forced, Shop},
};

/// A schema, ready for operations.
#[derive(Debug)]
pub(crate) struct Served {
    schema: Valid<Schema>,
    implementers: HashMap<Name, Implementers>,
    hides_schema: bool,
}

/// An operation that is valid in the schema. Its variables are checked when it runs.
pub(crate) struct Operation<'a> {
    served: &'a Served,
    document: Valid<ExecutableDocument>,
    name: Option<String>,
    variables: JsonMap,
}

/// Why a request holds no operation.
pub(crate) enum Unreadable {
    /// It is not GraphQL over HTTP at all.
    Request(&'static str),
    /// The answer to invalid GraphQL.
    Operation(Value),
}

impl Served {
    /// Reads a schema and leaves out of it what the settings leave out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn compile(sdl: &str, settings: &Settings) -> Result<Self, String> {
        let mut schema = Schema::parse(sdl, "schema.graphql").map_err(|wrong| wrong.to_string())?;
        if let Some(argument) = settings.order_argument {
            take_orders_by(&mut schema, argument);
        }
        if !settings.tells_rate_limits
            && let Some(ExtendedType::Object(query)) = schema.types.get_mut("Query")
        {
            query.make_mut().fields.shift_remove("rateLimits");
        }
        let schema = schema.validate().map_err(|wrong| wrong.to_string())?;
        let implementers = schema.implementers_map();
        Ok(Self { schema, implementers, hides_schema: settings.hides_schema })
    }

    /// Reads the body of a request.
    pub(crate) fn read(&self, body: &[u8]) -> Result<Operation<'_>, Unreadable> {
        let body: Value =
            serde_json::from_slice(body).map_err(|_| Unreadable::Request("The request body is not JSON"))?;
        let query = body["query"].as_str().ok_or(Unreadable::Request("The request has no query"))?;
        let variables = match JsonValue::from(body["variables"].clone()) {
            JsonValue::Null => JsonMap::new(),
            JsonValue::Object(variables) => variables,
            _ => return Err(Unreadable::Request("The variables are not an object")),
        };
        let document = ExecutableDocument::parse_and_validate(&self.schema, query, "operation.graphql")
            .map_err(|wrong| Unreadable::Operation(invalid(&wrong.errors)))?;
        if self.hides_schema && query.contains("__schema") {
            let refused = json!({ "errors": [{ "message": "GraphQL introspection is not allowed" }] });
            return Err(Unreadable::Operation(refused));
        }
        let name = body["operationName"].as_str().map(str::to_owned);
        let operation = Operation { served: self, document, name, variables };
        match operation.executable() {
            Ok(_) => Ok(operation),
            Err(wrong) => Err(Unreadable::Operation(operation.refused(&wrong))),
        }
    }
}

impl Operation<'_> {
    pub(crate) fn is_mutation(&self) -> bool {
        self.executable().is_ok_and(executable::Operation::is_mutation)
    }

    /// How many mutations it holds.
    pub(crate) fn mutations(&self) -> u32 {
        let Ok(operation) = self.executable() else { return 0 };
        let fields = if operation.is_mutation() { operation.root_fields(&self.document).count() } else { 0 };
        u32::try_from(fields).unwrap_or(u32::MAX)
    }

    /// Executes it, and gives the answer's body.
    pub(crate) fn run(&self, shop: &mut Shop, forced: Forced) -> Value {
        self.execute(shop, forced).unwrap_or_else(|wrong| self.refused(&wrong))
    }

    fn execute(&self, shop: &mut Shop, forced: Forced) -> Result<Value, RequestError> {
        let operation = self.executable()?;
        check_max_depth(&self.document, operation)?;
        let root = Root::new(operation.object_type(), shop, forced);
        let response = Execution::new(&self.served.schema, &self.document)
            .operation(operation)
            .implementers_map(&self.served.implementers)
            .raw_variable_values(&self.variables)
            .enable_schema_introspection(true)
            .execute_sync(&root)?;
        Ok(json!(response))
    }

    fn executable(&self) -> Result<&executable::Operation, RequestError> {
        self.document.operations.get(self.name.as_deref()).map(|operation| &**operation)
    }

    fn refused(&self, wrong: &RequestError) -> Value {
        errors([wrong.to_graphql_error(&self.document.sources)])
    }
}

/// Leaves mutations only one of the two arguments that name an order, which they then require.
fn take_orders_by(schema: &mut Schema, argument: OrderArgument) {
    let Some(ExtendedType::Object(mutations)) = schema.types.get_mut("Mutation") else { return };
    for field in mutations.make_mut().fields.values_mut() {
        let field = field.make_mut();
        let names_an_order = |name: &str| OrderArgument::parse(name).is_some();
        field.arguments.retain(|known| !names_an_order(&known.name) || known.name == argument.as_str());
        for known in field.arguments.iter_mut().filter(|known| known.name == argument.as_str()) {
            let known = known.make_mut();
            known.ty = known.ty.as_ref().clone().non_null().into();
        }
    }
}

fn invalid(wrong: &DiagnosticList) -> Value {
    errors(wrong.iter().map(|diagnostic| diagnostic.to_json()))
}

/// The answer to an operation that was not executed, which has no `data` at all.
fn errors(errors: impl IntoIterator<Item = GraphQLError>) -> Value {
    json!({ "errors": errors.into_iter().collect::<Vec<_>>() })
}
