//! The notice and its answer as the OpenAPI document shows them.

use serde_json::Value;
use utoipa::ToSchema;

/// A notice. Only the order's reference and the type are needed; whatever else is there may be of any shape.
#[derive(Debug, ToSchema)]
#[schema(as = CentraNotice, example = json!({
    "order": {"order": "1015bd448795c9df7f7bf369ddef09d3"},
    "notificationType": "orderWaitingForFraudCheck",
    "device_details": {"ip_address": "81.230.44.17", "browser_language": "sv-se", "user_agent": "Mozilla/5.0"},
}))]
#[expect(dead_code, reason = "describes the document; read.rs reads it")]
pub(crate) struct NoticeRequest {
    /// The order.
    order: NoticeOrder,
    /// `orderWaitingForFraudCheck` or `failedPaymentAttempt`; any other is kept and flagged. 1 to 64 characters.
    #[schema(rename = "notificationType")]
    notification_type: String,
    /// Who pays.
    #[schema(rename = "billingAddress")]
    billing_address: Option<Value>,
    /// Where it goes.
    #[schema(rename = "shippingAddress")]
    shipping_address: Option<Value>,
    /// What was ordered.
    #[schema(rename = "orderLines")]
    order_lines: Option<Value>,
    /// How it is paid. Card numbers are masked.
    #[schema(rename = "paymentDetails")]
    payment_details: Option<Value>,
    /// The shopper's device, when the front end told it.
    device_details: Option<Value>,
}

/// The order of a notice.
#[derive(Debug, ToSchema)]
#[schema(as = CentraNoticeOrder)]
#[expect(dead_code, reason = "describes the document; read.rs reads it")]
pub(crate) struct NoticeOrder {
    /// Its id, its number, or `#` and its number. 1 to 128 characters.
    #[schema(min_length = 1)]
    order: String,
}

/// The notice is taken.
#[derive(Debug, ToSchema)]
#[schema(as = CentraNoticeTaken, example = json!({"status": "accepted"}))]
#[expect(dead_code, reason = "describes the document; the handler writes it")]
pub(crate) struct TakenDocument {
    /// Always `accepted`.
    status: String,
}
