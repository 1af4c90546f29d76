//! Centra: what a connection is agreed to do, and the notice on its way from the door to the notifier
//! (contract: Centra connector).

mod told;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use told::{Addressee, DeviceDetails, country_of, text_member};

use crate::ids::{ConnectionId, RequestId};
use crate::tenant::{Tenant, wire_enum};
use crate::time::Timestamp;
use crate::verdict::{Action, RiskLevel};

/// The part of Centra's schema that we use, as far as it is known; its comments say what each part is known from.
pub const SDL: &str = include_str!("centra.graphql");

wire_enum! {
    /// What is done to an order that Centra holds for us.
    Effect {
        /// It is released.
        Resume = "resume",
        /// It is cancelled.
        Cancel = "cancel",
        /// It stays on hold.
        Keep = "keep",
    }
}

wire_enum! {
    /// Who wants an order resumed or cancelled.
    WantedBy {
        /// The verdict, by the connection's settings.
        Verdict = "verdict",
        /// A person, by a decision.
        Decision = "decision",
        /// The merchant, by reporting how the order ended.
        Outcome = "outcome",
        /// The review deadline that passed.
        Deadline = "review_deadline",
        /// The store is in shadow mode, where nothing may stay on hold for us.
        Shadow = "shadow",
        /// The operator, by the emergency release.
        Release = "release",
    }
}

wire_enum! {
    /// What becomes of the articles of an order that is cancelled.
    StockAction {
        /// They go back to the warehouse that they were taken from.
        Release = "release",
        /// They are taken out of stock.
        Remove = "remove",
    }
}

wire_enum! {
    /// How far an order is that a shop holds for us.
    HoldState {
        /// It is to be read from the shop and handed to the scorer.
        Reading = "reading",
        /// The scorer has it.
        Screening = "screening",
        /// It waits for a decision, or for the review deadline.
        Waiting = "waiting",
        /// It is to be resumed or cancelled.
        Acting = "acting",
        /// Nothing is left to do.
        Closed = "closed",
    }
}

wire_enum! {
    /// How a hold ended.
    HoldOutcome {
        /// The order goes on, as was wanted.
        Resumed = "resumed",
        /// The order is cancelled, as was wanted.
        Cancelled = "cancelled",
        /// Somebody else did otherwise than was wanted, or before anything was.
        Overtaken = "overtaken",
        /// The shop does not hold it for us, or not any more.
        NotHeld = "not_held",
        /// The shop does not know it.
        Unknown = "unknown",
        /// Another open hold is of the same order.
        Duplicate = "duplicate",
    }
}

wire_enum! {
    /// The argument by which a mutation of a shop takes the order that it is about.
    OrderArgument {
        /// `order: {id: …}`, as the connector's document has it.
        Order = "order",
        /// `id: …`, as older releases have it.
        Id = "id",
    }
}

/// The argument that each mutation of a shop takes, as far as the shop's introspection shows one of the two that are
/// known. The default is a shop that shows neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OrderArguments {
    /// Of `resumeDirectToConsumerOrder`.
    pub resume: Option<OrderArgument>,
    /// Of `cancelDirectToConsumerOrder`.
    pub cancel: Option<OrderArgument>,
}

impl OrderArguments {
    /// The argument to send for an effect: the one that is shown, else that of the connector's document.
    pub fn of(self, effect: Effect) -> OrderArgument {
        let shown = match effect {
            Effect::Cancel => self.cancel,
            Effect::Resume | Effect::Keep => self.resume,
        };
        shown.unwrap_or(OrderArgument::Order)
    }
}

impl std::fmt::Display for OrderArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [resume, cancel] = [self.resume, self.cancel].map(|shown| shown.map_or("not shown", OrderArgument::as_str));
        write!(f, "resume {resume}, cancel {cancel}")
    }
}

/// What a connection does with verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionSettings {
    /// Of an order that the verdict approves, whatever its level.
    pub on_approve: Effect,
    /// Of any other of level low.
    pub on_low: Effect,
    /// Of any other of level medium.
    pub on_medium: Effect,
    /// Of any other of level high.
    pub on_high: Effect,
    /// Of any other of level critical.
    pub on_critical: Effect,
    /// How long an order may wait for a decision, from its notice on.
    pub review_deadline_minutes: u32,
    /// What is done with it then.
    pub on_deadline: Effect,
    /// Whether the shopper gets Centra's e-mail about a cancellation.
    pub send_email: bool,
    /// What becomes of its articles.
    pub stock: StockAction,
    /// The warehouse that they go to instead of the one they were taken from, by its number in Centra.
    pub warehouse: Option<i64>,
    /// Whether a cancellation also cancels the authorization of the payment.
    pub cancel_authorization: bool,
    /// Time between two looks for held orders that no notice announced.
    pub sweep_minutes: u32,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            on_approve: Effect::Resume,
            on_low: Effect::Keep,
            on_medium: Effect::Keep,
            on_high: Effect::Keep,
            on_critical: Effect::Cancel,
            review_deadline_minutes: 24 * 60,
            on_deadline: Effect::Keep,
            send_email: false,
            stock: StockAction::Release,
            warehouse: None,
            cancel_authorization: true,
            sweep_minutes: 10,
        }
    }
}

impl ConnectionSettings {
    /// What is done with an order of this verdict: the first that fits (contract: Centra connector).
    pub const fn effect(&self, action: Action, level: RiskLevel) -> Effect {
        match (action, level) {
            (Action::Approve, _) => self.on_approve,
            (_, RiskLevel::Low) => self.on_low,
            (_, RiskLevel::Medium) => self.on_medium,
            (_, RiskLevel::High) => self.on_high,
            (_, RiskLevel::Critical) => self.on_critical,
        }
    }
}

/// The notice that says that an order waits.
pub const WAITING_NOTICE: &str = "orderWaitingForFraudCheck";
/// The notice that says that a payment failed.
pub const FAILED_NOTICE: &str = "failedPaymentAttempt";

/// A notice of a shop, as the door took it. It is a hint: what it says of the order is read again from the shop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// Format of the message; consumers dead-letter what they do not know.
    pub version: u8,
    /// Where it came in.
    pub connection_id: ConnectionId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its `notificationType`, whatever it says.
    pub kind: String,
    /// Its `order.order`: an id, a number, or a number behind `#`, without blanks around it.
    pub reference: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The request that brought it.
    pub request_id: RequestId,
    /// The whole of it, card numbers masked.
    pub document: Box<RawValue>,
}

impl Notice {
    /// Format written by this build.
    pub const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approved_order_is_resumed_a_critical_one_cancelled_and_the_others_kept() {
        let settings = ConnectionSettings::default();
        let effect = |action, level| settings.effect(action, level);
        assert_eq!(effect(Action::Approve, RiskLevel::Critical), Effect::Resume);
        assert_eq!(effect(Action::Review, RiskLevel::Critical), Effect::Cancel);
        assert_eq!(effect(Action::Hold, RiskLevel::Critical), Effect::Cancel);
        for level in [RiskLevel::Low, RiskLevel::Medium, RiskLevel::High] {
            assert_eq!(effect(Action::Review, level), Effect::Keep);
            assert_eq!(effect(Action::Hold, level), Effect::Keep);
        }
    }

    #[test]
    fn an_argument_that_no_shop_shows_is_that_of_the_document() {
        let shown = OrderArguments { resume: Some(OrderArgument::Id), cancel: None };
        assert_eq!((shown.of(Effect::Resume), shown.of(Effect::Cancel)), (OrderArgument::Id, OrderArgument::Order));
        assert_eq!(shown.to_string(), "resume id, cancel not shown");
    }

    #[test]
    fn a_setting_that_an_older_release_did_not_write_has_its_default() {
        let stored: ConnectionSettings = serde_json::from_str(r#"{"on_high": "cancel"}"#).unwrap();
        assert_eq!(stored, ConnectionSettings { on_high: Effect::Cancel, ..ConnectionSettings::default() });
    }
}
