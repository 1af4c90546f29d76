//! An order of the shop, and how a test makes one.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{Address, Customer, Device, Money, Payment, PaymentMethod, sample};

/// What a shopper ordered, as the shop knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its hash, of 32 hexadecimal digits.
    pub id: String,
    /// The number that people see.
    pub number: i32,
    /// An ERP's name of it.
    pub external_id: Option<String>,
    /// An `OrderStatus`, such as `PENDING`.
    pub status: String,
    /// Values of `OrderHoldReason`.
    pub hold_reasons: Vec<String>,
    /// Sets `isOnHold` apart from the reasons. The vendor's own example has a deleted order that is not on hold and still
    /// tells a reason.
    pub on_hold: Option<bool>,
    /// What the filter `isLocked` asks for.
    pub locked: bool,
    /// The store that it was placed in.
    pub store_id: i32,
    /// What the shopper pays, tax included.
    pub grand_total: Money,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Where the shopper was.
    pub user_ip: Option<String>,
    /// Who pays.
    pub billing: Option<Address>,
    /// Who receives.
    pub shipping: Option<Address>,
    /// The shopper's account.
    pub customer: Option<Customer>,
    /// What was bought.
    pub lines: Vec<Line>,
    /// What happened to the money, oldest first.
    pub payments: Vec<Payment>,
    /// How it is paid.
    pub payment_method: Option<PaymentMethod>,
    /// What notices tell of the payment provider's answer: an array or object of anything.
    pub psp_response: Value,
    /// What notices tell of the browser; shops whose front end does not collect it send none.
    pub device: Option<Device>,
}

/// One position of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The goods' number.
    pub sku: String,
    /// The goods' bar code.
    pub ean: String,
    /// Who makes them.
    pub brand: String,
    /// What they are called.
    pub name: String,
    /// How many.
    pub quantity: i32,
    /// The price of one, tax included.
    pub unit_price: Money,
}

impl Order {
    /// A plausible order that waits for its fraud check and for nothing else.
    #[must_use]
    pub fn held(number: i32) -> Self {
        sample::held(number)
    }

    /// One that should look harmless: bill, goods and shopper in one place, paid at the first attempt.
    #[must_use]
    pub fn ordinary(number: i32) -> Self {
        sample::ordinary(number)
    }

    /// One that should look bad: three countries, a throw-away mail address, a high amount, several refused cards.
    #[must_use]
    pub fn suspicious(number: i32) -> Self {
        sample::suspicious(number)
    }

    /// With this total, on a single line and in every payment.
    #[must_use]
    pub fn with_total(mut self, amount: &str, currency: &str) -> Self {
        let total = Money::new(amount, currency);
        self.lines.truncate(1);
        for line in &mut self.lines {
            line.quantity = 1;
            line.unit_price = total.clone();
        }
        for payment in &mut self.payments {
            payment.value = total.clone();
        }
        self.grand_total = total;
        self
    }

    /// On hold for these reasons; not on hold for none.
    #[must_use]
    pub fn with_hold(mut self, reasons: &[&str]) -> Self {
        self.set_hold(reasons);
        self
    }

    /// With `isOnHold` so, whatever the reasons say.
    #[must_use]
    pub fn with_on_hold(mut self, on_hold: bool) -> Self {
        self.on_hold = Some(on_hold);
        self
    }

    /// With this status.
    #[must_use]
    pub fn with_status(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// With this ERP name.
    #[must_use]
    pub fn with_external_id(mut self, external_id: &str) -> Self {
        self.external_id = Some(external_id.to_owned());
        self
    }

    /// With this hash in place of the one made from its number.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Placed in this store.
    #[must_use]
    pub fn with_store(mut self, store_id: i32) -> Self {
        self.store_id = store_id;
        self
    }

    /// Billed there.
    #[must_use]
    pub fn with_billing(mut self, billing: Address) -> Self {
        self.billing = Some(billing);
        self
    }

    /// Sent there.
    #[must_use]
    pub fn with_shipping(mut self, shipping: Address) -> Self {
        self.shipping = Some(shipping);
        self
    }

    /// With this mail address, in both postal addresses and the account.
    #[must_use]
    pub fn with_email(mut self, email: &str) -> Self {
        for address in self.billing.iter_mut().chain(&mut self.shipping) {
            email.clone_into(&mut address.email);
        }
        if let Some(customer) = &mut self.customer {
            email.clone_into(&mut customer.email);
        }
        self
    }

    /// With this account, or none.
    #[must_use]
    pub fn with_customer(mut self, customer: impl Into<Option<Customer>>) -> Self {
        self.customer = customer.into();
        self
    }

    /// Ordered from this address.
    #[must_use]
    pub fn with_user_ip(mut self, user_ip: &str) -> Self {
        self.user_ip = Some(user_ip.to_owned());
        if let Some(device) = &mut self.device {
            user_ip.clone_into(&mut device.ip_address);
        }
        self
    }

    /// With this browser, or none.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<Option<Device>>) -> Self {
        self.device = device.into();
        self
    }

    /// With these goods; the total stays.
    #[must_use]
    pub fn with_lines(mut self, lines: Vec<Line>) -> Self {
        self.lines = lines;
        self
    }

    /// With this payment history.
    #[must_use]
    pub fn with_payments(mut self, payments: Vec<Payment>) -> Self {
        self.payments = payments;
        self
    }

    /// Paid so.
    #[must_use]
    pub fn with_payment_method(mut self, payment_method: PaymentMethod) -> Self {
        self.payment_method = Some(payment_method);
        self
    }

    /// With this answer of the payment provider in its notices.
    #[must_use]
    pub fn with_psp_response(mut self, psp_response: Value) -> Self {
        self.psp_response = psp_response;
        self
    }

    /// Placed then.
    #[must_use]
    pub fn with_created_at(mut self, created_at: DateTime<Utc>) -> Self {
        self.created_at = created_at;
        self.updated_at = created_at;
        self
    }

    /// What `isOnHold` says.
    #[must_use]
    pub fn is_on_hold(&self) -> bool {
        self.on_hold.unwrap_or(!self.hold_reasons.is_empty())
    }

    /// What notices call it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("#{}", self.number)
    }

    pub(crate) fn set_hold(&mut self, reasons: &[&str]) {
        self.hold_reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
        self.on_hold = None;
    }
}
