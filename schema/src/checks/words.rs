//! The words that checks and updates choose from.

use super::Subject;
use crate::tenant::wire_enum;

wire_enum! {
    /// Where a transaction or a cart stands with the merchant. See [`CheckStatus::of`] for which knows which.
    CheckStatus {
        /// As it was checked.
        New = "new",
        /// A transaction is held back.
        Hold = "hold",
        /// A transaction is in a queue for review.
        Queued = "queued",
        /// The customer of a cart was verified.
        Verified = "verified",
        /// Let through.
        Approved = "approved",
        /// A cart became a transaction.
        Converted = "converted",
        /// Called off.
        Cancelled = "cancelled",
        /// The goods of a transaction were sent.
        Fulfilled = "fulfilled",
        /// They were sent back.
        Returned = "returned",
    }
}

impl CheckStatus {
    /// The statuses that a subject knows.
    pub const fn of(subject: Subject) -> &'static [Self] {
        use CheckStatus::{Approved, Cancelled, Converted, Fulfilled, Hold, New, Queued, Returned, Verified};
        match subject {
            Subject::Transaction => &[New, Hold, Queued, Approved, Cancelled, Fulfilled, Returned],
            Subject::Cart => &[New, Verified, Approved, Converted, Cancelled],
        }
    }

    /// The subject's status of this name.
    ///
    /// # Errors
    /// The names that the subject knows.
    pub fn parse_of(subject: Subject, text: &str) -> Result<Self, String> {
        let known = Self::of(subject);
        Self::parse(text).filter(|status| known.contains(status)).ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|status| status.as_str()).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

wire_enum! {
    /// Where the payment stands.
    PaymentStatus {
        /// Authorized.
        Auth = "auth",
        /// Paid.
        Paid = "paid",
        /// Paid in part.
        PartiallyPaid = "partially paid",
        /// An invoice was sent.
        Invoiced = "invoiced",
        /// Paid back.
        Refunded = "refunded",
        /// Paid back in part.
        PartiallyRefunded = "partially refunded",
        /// Owed and not paid.
        Default = "default",
        /// Owed in part and not paid.
        PartiallyDefault = "partially default",
        /// Refused.
        Declined = "declined",
        /// Disputed.
        Chargeback = "chargeback",
        /// Annulled before it was captured.
        Void = "void",
    }
}

wire_enum! {
    /// Where a dispute stands.
    ChargebackStatus {
        /// The customer asked for the money back.
        Opened = "opened",
        /// The customer's claim was upheld: the merchant lost the money.
        Won = "won",
        /// The customer's claim was refused: the merchant kept the money.
        Lost = "lost",
    }
}

wire_enum! {
    /// Why a transaction was cancelled.
    CancelledReason {
        /// The payment seemed risky.
        PaymentRisk = "payment risk",
        /// It was against the merchant's rules.
        PolicyAbuse = "policy abuse",
        /// Something else.
        Other = "other",
        /// Its time ran out.
        Expired = "expired",
        /// The customer asked for it.
        Customer = "customer",
    }
}

wire_enum! {
    /// Why goods were sent back.
    ReturnReason {
        /// The wrong article was sent.
        WrongProductShipped = "wrong product shipped",
        /// The customer does not need it any more.
        NoLongerNeeded = "no longer needed",
        /// It is not what was described.
        DoesNotMatchDescription = "does not match description",
        /// It is not what was hoped for.
        DidNotMeetExpectations = "did not meet expectations",
        /// Another mistake of the customer's.
        OtherCustomerError = "other customer error",
        /// Another mistake of the merchant's.
        OtherMerchantError = "other merchant error",
        /// It was worn and sent back.
        Wardrobing = "wardrobing",
    }
}

wire_enum! {
    /// What sort of fraud it was.
    FraudType {
        /// A payment that could not be trusted.
        PaymentRisk = "payment risk",
        /// Against the merchant's rules.
        PolicyAbuse = "policy abuse",
        /// A customer who denies a purchase of their own.
        FriendlyFraud = "friendly fraud",
        /// Somebody else's identity.
        IdentityTheft = "identity theft",
        /// An identity that was made up.
        SyntheticIdentity = "synthetic identity",
        /// Somebody else's account.
        AccountTakeover = "account takeover",
        /// Abuse of returns.
        Return = "return",
        /// Abuse of refunds.
        Refund = "refund",
        /// Fraud among the parties of a marketplace.
        Marketplace = "marketplace",
        /// Goods that were never paid for.
        NonPayment = "non-payment",
        /// A parcel that was stolen.
        PackageTheft = "package theft",
        /// Something else.
        Other = "other",
    }
}
