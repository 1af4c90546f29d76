//! The shop itself: its orders, and what resuming and cancelling do to them.
//!
//! Guarantee: a mutation is recorded as applied only if it changed its order, so a test can count effects.
//!
//! Where the vendor says nothing we chose: resuming clears every reason for the hold; a cancelled order keeps its reasons
//! and is not on hold, as the vendor's example shows for a deleted one.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    Order, Settings,
    budget::Ledger,
    faults::Faults,
    filter::{names_order, selects_order},
    render,
    sample::now,
};

/// The most orders that one page may hold.
const PAGE_LIMIT: i64 = 200;

/// Orders with these statuses are at their end.
const ENDED: &[&str] = &["CANCELLED", "DELETED", "ARCHIVED", "COMPLETED"];

/// What a mutation wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `resumeDirectToConsumerOrder`.
    Resume,
    /// `cancelDirectToConsumerOrder`.
    Cancel,
}

/// One mutation that the shop has executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The hash of its order; what the client called it when the shop has no such order.
    pub order_id: String,
    /// What it wanted.
    pub kind: Kind,
    /// Whether it changed the order.
    pub applied: bool,
    /// When.
    pub at: Instant,
    /// The name that its payload has in the answer: the alias, if there is one.
    pub response_key: String,
    /// Its arguments, after coercion.
    pub arguments: Value,
    /// The messages of its `userErrors`.
    pub errors: Vec<String>,
}

/// How many requests have arrived, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Valid queries with a valid token, also those that met a fault or an empty budget.
    pub queries: usize,
    /// The same of mutations.
    pub mutations: usize,
    /// Refused for a missing, wrong or expired token.
    pub refused_for_token: usize,
    /// Refused because a budget was used up.
    pub refused_for_budget: usize,
    /// Neither JSON nor valid GraphQL of the schema.
    pub invalid: usize,
    /// Those that met a fault.
    pub faulted: usize,
}

/// What a fault makes of mutations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forced {
    Nothing,
    UserErrors,
    UserWarnings,
}

struct Refusal {
    message: String,
    path: &'static [&'static str],
}

impl Refusal {
    fn new(message: impl Into<String>, path: &'static [&'static str]) -> Self {
        Self { message: message.into(), path }
    }
}

#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) token: String,
    pub(crate) token_expired: bool,
    pub(crate) orders: Vec<Order>,
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) requests: Requests,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    centra_ips: Vec<String>,
}

impl Shop {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut faults = Faults::default();
        faults.set_chaos(settings.chaos);
        Self {
            token: settings.token,
            token_expired: false,
            orders: Vec::new(),
            mutations: Vec::new(),
            requests: Requests::default(),
            ledger: Ledger::new(&settings.budgets, Instant::now()),
            faults,
            centra_ips: settings.centra_ips,
        }
    }

    pub(crate) fn put(&mut self, order: Order) {
        match self.order_mut(&order.id) {
            Some(old) => *old = order,
            None => self.orders.push(order),
        }
    }

    pub(crate) fn order(&self, id: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    pub(crate) fn order_mut(&mut self, id: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    /// The field `orders` of the query.
    pub(crate) fn list(&self, arguments: &Value) -> Result<Value, String> {
        let whole = |name: &str, default| arguments[name].as_i64().unwrap_or(default);
        let (limit, page) = (whole("limit", 20), whole("page", 1));
        if !(1..=PAGE_LIMIT).contains(&limit) {
            return Err(format!("limit must be between 1 and {PAGE_LIMIT}, not {limit}"));
        }
        if page < 1 {
            return Err(format!("page must be at least 1, not {page}"));
        }
        let skipped = usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or_default();
        let selected = self.orders.iter().filter(|order| selects_order(&arguments["where"], order));
        Ok(selected.skip(skipped).take(limit).map(render::order).collect())
    }

    /// The field `order` of the query.
    pub(crate) fn one(&self, arguments: &Value) -> Value {
        arguments["id"].as_str().and_then(|id| self.order(id)).map_or(Value::Null, render::order)
    }

    /// The field `centraIPs` of the query.
    pub(crate) fn centra_ips(&self) -> Value {
        json!(self.centra_ips)
    }

    /// Executes and records one mutation, and gives its payload.
    pub(crate) fn mutate(&mut self, kind: Kind, response_key: &str, arguments: Value, forced: Forced) -> Value {
        let place = self.named_order(&arguments);
        let outcome = if forced == Forced::UserErrors {
            Err(Refusal::new("The order cannot be updated right now", &["order"]))
        } else {
            self.apply(kind, place, &arguments)
        };
        let order_id = place.map_or_else(|| client_name(&arguments), |place| self.orders[place].id.clone());
        let errors = outcome.as_ref().err().map(|refusal| refusal.message.clone());
        self.mutations.push(Mutation {
            order_id,
            kind,
            applied: outcome.is_ok(),
            at: Instant::now(),
            response_key: response_key.to_owned(),
            arguments,
            errors: errors.into_iter().collect(),
        });
        let warnings = match forced {
            Forced::UserWarnings => json!([{ "message": "The warehouse was not told", "path": ["order"] }]),
            Forced::Nothing | Forced::UserErrors => json!([]),
        };
        match outcome {
            Ok(order) => json!({ "order": order, "userErrors": [], "userWarnings": warnings }),
            Err(Refusal { message, path }) => json!({
                "order": null, "userErrors": [{ "message": message, "path": path }], "userWarnings": warnings,
            }),
        }
    }

    fn named_order(&self, arguments: &Value) -> Option<usize> {
        let named = |order: &Order| match arguments["id"].as_str() {
            Some(id) => id == order.id && (arguments["order"].is_null() || names_order(&arguments["order"], order)),
            None => names_order(&arguments["order"], order),
        };
        self.orders.iter().position(named)
    }

    fn apply(&mut self, kind: Kind, place: Option<usize>, arguments: &Value) -> Result<Value, Refusal> {
        if kind == Kind::Cancel {
            check_stock_action(&arguments["input"]["stockAction"])?;
        }
        let order = place.and_then(|place| self.orders.get_mut(place));
        let order = order.ok_or_else(|| Refusal::new("Order not found", &["order"]))?;
        match kind {
            Kind::Resume => resume(order),
            Kind::Cancel => cancel(order),
        }
        .map(|()| render::order(order))
        .map_err(|message| Refusal::new(message, &["order"]))
    }
}

/// Lets an order go on, as the mutation and as a person in the shop's own panel.
pub(crate) fn resume(order: &mut Order) -> Result<(), String> {
    if ENDED.contains(&order.status.as_str()) {
        return Err(format!("Order is {}", order.status));
    }
    if !order.is_on_hold() {
        return Err("Order is not on hold".to_owned());
    }
    order.set_hold(&[]);
    order.updated_at = now();
    Ok(())
}

/// Ends an order, as the mutation and as a person in the shop's own panel.
pub(crate) fn cancel(order: &mut Order) -> Result<(), String> {
    if ENDED.contains(&order.status.as_str()) {
        return Err(format!("Order is {} and cannot be cancelled", order.status));
    }
    "CANCELLED".clone_into(&mut order.status);
    order.on_hold = Some(false);
    order.updated_at = now();
    Ok(())
}

/// The schema cannot say that an input takes exactly one of its fields, so the shop does.
fn check_stock_action(stock_action: &Value) -> Result<(), Refusal> {
    let given = stock_action.as_object().map_or(0, |fields| fields.values().filter(|value| !value.is_null()).count());
    if given == 1 {
        return Ok(());
    }
    Err(Refusal::new(format!("Exactly one field must be given, not {given}"), &["input", "stockAction"]))
}

/// What the client called an order that the shop does not have.
fn client_name(arguments: &Value) -> String {
    let names = [&arguments["id"], &arguments["order"]["id"], &arguments["order"]["number"]];
    let name = names.into_iter().chain([&arguments["order"]["externalId"]]).find(|name| !name.is_null());
    name.map_or_else(String::new, |name| name.as_str().map_or_else(|| name.to_string(), str::to_owned))
}
