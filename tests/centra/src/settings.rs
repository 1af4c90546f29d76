//! How a shop is set up.

use touchstone_schema::centra::OrderArgument;

use crate::{Budgets, Chaos, RetryAfter};

/// What a test chooses of the shop before it opens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The integration's access token.
    pub token: String,
    /// The schema to serve in place of [`SDL`](crate::SDL).
    pub sdl: Option<String>,
    /// Whether the schema has `Query.rateLimits`; without it a client must assume its budgets.
    pub tells_rate_limits: bool,
    /// The one argument by which mutations take their order; none: those of the schema.
    pub order_argument: Option<OrderArgument>,
    /// Whether operations on the schema itself are refused, as in a shop that has switched introspection off.
    pub hides_schema: bool,
    /// What the shop allows.
    pub budgets: Budgets,
    /// How a refusal over a budget writes `Retry-After`.
    pub retry_after: RetryAfter,
    /// Faults at random.
    pub chaos: Option<Chaos>,
    /// What `Query.centraIPs` tells.
    pub centra_ips: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: "double-integration-token".to_owned(),
            sdl: None,
            tells_rate_limits: true,
            order_argument: None,
            hides_schema: false,
            budgets: Budgets::default(),
            retry_after: RetryAfter::default(),
            chaos: None,
            centra_ips: vec!["127.0.0.1".to_owned()],
        }
    }
}
