//! What is asked of a shop's Integration API: every operation that is ever sent, as GraphQL.
//!
//! Names and arguments are those of the public reference, where the vendor's connector document is not valid GraphQL; the
//! mutations are aliased so that their answers have the document's shape (contract: Centra connector). Shops name the order
//! of a mutation in one of two ways, so each mutation exists for both.

use touchstone_schema::centra::{Effect, OrderArgument, OrderArguments};

/// An operation and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
    /// What is not done without it.
    pub purpose: &'static str,
}

/// Reads whole orders, by id and by number.
pub(crate) const READ_ORDERS: Operation = Operation {
    name: "readOrders",
    purpose: "held orders are read to be screened",
    text: r"query readOrders($ids: [String!], $numbers: [Int!], $byId: Boolean!, $byNumber: Boolean!, $limit: Int) {
  byId: orders(where: {id: $ids}, limit: $limit) @include(if: $byId) { ...wholeOrder }
  byNumber: orders(where: {number: $numbers}, limit: $limit) @include(if: $byNumber) { ...wholeOrder }
}
fragment wholeOrder on Order {
  id number status isOnHold createdAt userIP
  grandTotal { value currency { code } }
  billingAddress { ...wholeAddress }
  shippingAddress { ...wholeAddress }
  lines {
    quantity
    unitPrice { value currency { code } }
    product { name }
    productSize { SKU }
  }
  paymentMethod { name plugin }
  paymentHistory { entryType status externalReference paymentMethod paramsJSON }
  ... on DirectToConsumerOrder {
    orderHoldReason
    customer { id email firstName lastName }
  }
}
fragment wholeAddress on Address {
  firstName lastName companyName address1 address2 city zipCode stateOrProvince
  phoneNumber cellPhoneNumber email
  country { code }
  state { code }
}",
};

/// Reads where orders stand.
pub(crate) const READ_STATES: Operation = Operation {
    name: "readStates",
    purpose: "an order is read once more before it is resumed or cancelled",
    text: r"query readStates($ids: [String!], $limit: Int) {
  orders(where: {id: $ids}, limit: $limit) {
    id number status isOnHold
    ... on DirectToConsumerOrder { orderHoldReason }
  }
}",
};

/// Lists what is held for us.
pub(crate) const LIST_HELD: Operation = Operation {
    name: "listHeld",
    purpose: "held orders are found that no notice announced",
    text: r"query listHeld($limit: Int, $page: Int) {
  orders(where: {orderHoldReason: [WAITING_FOR_FRAUD_CHECK]}, limit: $limit, page: $page) {
    id number status isOnHold
    ... on DirectToConsumerOrder { orderHoldReason }
  }
}",
};

/// Asks what is left of the budgets.
pub(crate) const RATE_LIMITS: Operation = Operation {
    name: "rateLimits",
    purpose: "the shop's other integrations are left their half of its budgets; without it cautious ones are assumed",
    text: "query rateLimits { rateLimits { type intervalSeconds quota remainingQuota } }",
};

/// The text of a mutation of one order.
macro_rules! mutation_text {
    ($name:literal, $variables:literal, $field:literal, $arguments:literal) => {
        concat!(
            "mutation ",
            $name,
            "(",
            $variables,
            ") {\n  ",
            $name,
            ": ",
            $field,
            "(",
            $arguments,
            ") {\n    order { id status }\n    userErrors { message path }\n    userWarnings { message path }\n  }\n}"
        )
    };
}

/// Releases an order that is named by `order`.
const RESUME_BY_ORDER: Operation = Operation {
    name: "resumeOrder",
    purpose: "orders are released",
    text: mutation_text!("resumeOrder", "$order: OrderInput!", "resumeDirectToConsumerOrder", "order: $order"),
};

/// Releases an order that is named by `id`.
const RESUME_BY_ID: Operation = Operation {
    text: mutation_text!("resumeOrder", "$id: String!", "resumeDirectToConsumerOrder", "id: $id"),
    ..RESUME_BY_ORDER
};

/// Cancels an order that is named by `order`.
const CANCEL_BY_ORDER: Operation = Operation {
    name: "cancelOrder",
    purpose: "orders are cancelled",
    text: mutation_text!(
        "cancelOrder",
        "$order: OrderInput!, $input: DirectToConsumerOrderCancelInput!",
        "cancelDirectToConsumerOrder",
        "order: $order, input: $input"
    ),
};

/// Cancels an order that is named by `id`.
const CANCEL_BY_ID: Operation = Operation {
    text: mutation_text!(
        "cancelOrder",
        "$id: String!, $input: DirectToConsumerOrderCancelInput!",
        "cancelDirectToConsumerOrder",
        "id: $id, input: $input"
    ),
    ..CANCEL_BY_ORDER
};

/// The mutation that releases an order, with this argument.
pub(crate) const fn resume(by: OrderArgument) -> &'static Operation {
    match by {
        OrderArgument::Order => &RESUME_BY_ORDER,
        OrderArgument::Id => &RESUME_BY_ID,
    }
}

/// The mutation that cancels an order, with this argument.
pub(crate) const fn cancel(by: OrderArgument) -> &'static Operation {
    match by {
        OrderArgument::Order => &CANCEL_BY_ORDER,
        OrderArgument::Id => &CANCEL_BY_ID,
    }
}

/// Every operation that a shop with these arguments is sent, to be compared with what the shop serves.
pub fn operations(arguments: OrderArguments) -> Vec<Operation> {
    let mutations = [resume(arguments.of(Effect::Resume)), cancel(arguments.of(Effect::Cancel))];
    [&READ_ORDERS, &READ_STATES, &LIST_HELD, &RATE_LIMITS].into_iter().chain(mutations).copied().collect()
}
