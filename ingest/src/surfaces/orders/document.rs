//! What is answered of an order, as it is on the wire and in the OpenAPI description.

use serde::Serialize;
use serde_json::value::RawValue;
use touchstone_platform::store::placed::PlacedOrder;
use touchstone_schema::time::Timestamp;
use utoipa::ToSchema;

use super::standing::Standing;

/// An order and where it stands. Every member is always there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlacedOrder)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacedOrderDocument {
    site_name: String,
    order_number: String,
    customer_id: Option<String>,
    /// pending, scoreonly, allowed, rejected, fraud, cancelled, safe or review.
    status: &'static str,
    /// How long it waited, or has waited so far, as hours, minutes and seconds.
    #[schema(pattern = r"^\d{2,}:\d{2}:\d{2}$")]
    time_in_queue: String,
    #[schema(value_type = f64)]
    grand_total: Box<RawValue>,
    /// Whether all its addresses are in the United States.
    usa_address: bool,
    /// probable or missed, of fraud.
    efraud_class: Option<&'static str>,
    avs_code: Option<String>,
    shipping_method: Option<String>,
    /// When it came to its status; null while it is pending or to be reviewed.
    #[schema(format = DateTime)]
    resolved_date: Option<String>,
    /// Whether it goes to the billing address.
    is_shipped_equals_billed: bool,
    /// When something about it changed last.
    #[schema(format = DateTime)]
    last_modified: String,
    /// Why it is rejected or fraud.
    decline_reason: Option<String>,
    /// 0 to 100, where the store's product is the score.
    #[schema(minimum = 0, maximum = 100)]
    scoreonly: Option<u8>,
}

impl PlacedOrderDocument {
    pub(super) fn new(order: PlacedOrder, standing: Standing, now: Timestamp) -> Result<Self, serde_json::Error> {
        let until = standing.resolved_at.unwrap_or(now);
        Ok(Self {
            status: standing.status.as_str(),
            time_in_queue: clock_text(until.since(order.placed_at).as_secs()),
            grand_total: RawValue::from_string(order.amount.to_decimal_text())?,
            usa_address: order.is_usa,
            efraud_class: standing.class.map(|class| class.as_str()),
            resolved_date: standing.resolved_at.map(Timestamp::to_rfc3339),
            is_shipped_equals_billed: order.ships_to_billing,
            last_modified: standing.changed_at.to_rfc3339(),
            decline_reason: standing.decline_reason,
            scoreonly: standing.score,
            site_name: order.site_name,
            order_number: order.order_number,
            customer_id: order.customer_id,
            avs_code: order.avs_code,
            shipping_method: order.shipping_method,
        })
    }
}

fn clock_text(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_queue_goes_on_beyond_a_day() {
        let texts = [0, 59, 3_661, 360_000].map(clock_text);
        assert_eq!(texts, ["00:00:00", "00:00:59", "01:01:01", "100:00:00"]);
    }
}
