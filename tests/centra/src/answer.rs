//! Decides how a request ends: token, operation, fault, budget, execution, in this order.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Fault, RetryAfter,
    execute::{Operation, Served, Unreadable},
    faults::TOO_MANY_WAIT,
    server::lock,
    shop::{Forced, Shop},
};

/// What a proxy shows to people while the shop behind it is away.
const PAGE: &str = "<!doctype html><title>Maintenance</title><p>We will be back soon.";

/// Where requests are answered.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) served: Served,
    pub(crate) shop: Arc<Mutex<Shop>>,
    pub(crate) retry_after: RetryAfter,
}

/// An answer before it is sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// How a request ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// With an answer.
    Answer(Reply),
    /// With an answer so much later.
    Late(Duration, Reply),
    /// With the head and half of the body.
    Half(Reply),
    /// Not at all.
    Silence,
    /// With the connection.
    Close,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, retry_after: None, content_type: "application/json", body: body.to_string().into_bytes() }
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "errors": [{ "message": message }] }))
    }

    fn too_many(form: RetryAfter, wait: Duration) -> Self {
        Self { retry_after: Some(form.write(wait)), ..Self::error(429, "Too many requests") }
    }
}

impl Counter {
    /// Serves one request, whose `Authorization` and body these are.
    pub(crate) fn serve(&self, authorization: Option<&str>, body: &[u8]) -> Ending {
        let mut shop = lock(&self.shop);
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        if shop.token_expired || token != Some(shop.token.as_str()) {
            shop.requests.refused_for_token += 1;
            return Ending::Answer(Reply::error(403, "The access token is invalid or has expired"));
        }
        let operation = match self.served.read(body) {
            Ok(operation) => operation,
            Err(unreadable) => {
                shop.requests.invalid += 1;
                return Ending::Answer(match unreadable {
                    Unreadable::Request(message) => Reply::error(400, message),
                    Unreadable::Operation(errors) => Reply::json(200, &errors),
                });
            }
        };
        let is_mutation = operation.is_mutation();
        shop.requests.mutations += usize::from(is_mutation);
        shop.requests.queries += usize::from(!is_mutation);
        match shop.faults.take(is_mutation) {
            Some(fault) => {
                shop.requests.faulted += 1;
                self.fail(fault, &operation, &mut shop)
            }
            None => Ending::Answer(self.run(&operation, &mut shop, Forced::Nothing)),
        }
    }

    fn run(&self, operation: &Operation<'_>, shop: &mut Shop, forced: Forced) -> Reply {
        if let Err(wait) = shop.ledger.charge(operation.mutations(), Instant::now()) {
            shop.requests.refused_for_budget += 1;
            return Reply::too_many(self.retry_after, wait);
        }
        Reply::json(200, &operation.run(shop, forced))
    }

    fn fail(&self, fault: Fault, operation: &Operation<'_>, shop: &mut Shop) -> Ending {
        let mut run = |forced| self.run(operation, shop, forced);
        match fault {
            Fault::Status(status) => Ending::Answer(Reply::error(status, "Something went wrong")),
            Fault::StatusAfterApplying(status) => {
                run(Forced::Nothing);
                Ending::Answer(Reply::error(status, "Something went wrong"))
            }
            Fault::NeverAnswer => Ending::Silence,
            Fault::NeverAnswerAfterApplying => {
                run(Forced::Nothing);
                Ending::Silence
            }
            Fault::TooMany(form) => Ending::Answer(Reply::too_many(form, TOO_MANY_WAIT)),
            Fault::Forbidden => Ending::Answer(Reply::error(403, "Access denied")),
            Fault::GraphqlErrors => {
                let body = json!({ "errors": [{ "message": "Internal server error" }], "data": null });
                Ending::Answer(Reply::json(200, &body))
            }
            Fault::UserErrors => Ending::Answer(run(Forced::UserErrors)),
            Fault::UserWarnings => Ending::Answer(run(Forced::UserWarnings)),
            Fault::CloseWithoutAnswer => Ending::Close,
            Fault::CloseAfterApplying => {
                run(Forced::Nothing);
                Ending::Close
            }
            Fault::HalfAnswer => Ending::Half(run(Forced::Nothing)),
            Fault::NotJson => {
                let page = PAGE.as_bytes().to_vec();
                Ending::Answer(Reply { status: 200, retry_after: None, content_type: "text/html", body: page })
            }
            Fault::Slow(delay) => Ending::Late(delay, run(Forced::Nothing)),
        }
    }
}
