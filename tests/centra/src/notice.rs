//! What the shop's fraud-prevention plugin posts to its connector, field by field as in the vendor's document.

use serde_json::{Value, json};

use crate::{Address, Order};

impl Order {
    /// The notice that this order waits for its fraud check.
    #[must_use]
    pub fn notice(&self) -> Value {
        self.told("orderWaitingForFraudCheck", &self.psp_response)
    }

    /// The notice that a payment of this order has failed.
    #[must_use]
    pub fn failed_attempt_notice(&self) -> Value {
        let refused = json!([{ "resultCode": "Refused", "refusalReason": "Not enough balance" }]);
        self.told("failedPaymentAttempt", &refused)
    }

    fn told(&self, notification_type: &str, psp_response: &Value) -> Value {
        let lines: Vec<Value> = self.lines.iter().map(line).collect();
        let psp_identifier = self.payment_method.as_ref().map_or("adyen_drop_in", |method| method.uri.as_str());
        let psp_reference = self.payments.last().map_or("", |payment| payment.external_reference.as_str());
        let mut notice = json!({
            "billingAddress": self.billing.as_ref().map(billing_address),
            "shippingAddress": self.shipping.as_ref().map(address),
            "order": { "order": self.reference() },
            "orderLines": lines,
            "notificationType": notification_type,
            "paymentDetails": {
                "pspReference": psp_reference,
                "pspIdentifier": psp_identifier,
                "pspResponse": psp_response,
            },
        });
        if let Some(device) = &self.device {
            notice["device_details"] = json!({
                "browser_language": device.browser_language,
                "ip_address": device.ip_address,
                "user_agent": device.user_agent,
            });
        }
        notice
    }
}

fn line(line: &crate::Line) -> Value {
    json!({
        "sku": line.sku,
        "brand": line.brand,
        "name": line.name,
        "quantity": line.quantity,
        "totalPrice": line.unit_price.times(line.quantity).minor_units(),
    })
}

fn address(address: &Address) -> Value {
    json!({
        "email": address.email,
        "firstName": address.first_name,
        "lastName": address.last_name,
        "company": address.company,
        "address1": address.address1,
        "address2": address.address2,
        "zipCode": address.zip_code,
        "city": address.city,
        "state": address.state,
        "country": address.country_locale(),
        "countryName": address.country_name(),
        "phoneNumber": address.phone_number,
    })
}

/// Only the billing address has a VAT number.
fn billing_address(billing: &Address) -> Value {
    let mut told = address(billing);
    told["vatNumber"] = json!(billing.vat_number);
    told
}
