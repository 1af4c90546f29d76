//! How many units of a currency have roughly the purchasing weight of one US dollar, to the power of ten or half of it.
//!
//! Not exchange rates: they only keep "a high amount" from meaning two dollars in yen. A store that knows better states
//! its own amounts in its policy. Currencies that are not listed have no default high amounts.

/// Units of `currency` (ISO 4217) per US dollar, rounded to 1, 5 or 10 times a power of ten.
pub(super) fn units_per_dollar(currency: &str) -> Option<i64> {
    Some(match currency {
        "USD" | "EUR" | "GBP" | "CHF" | "CAD" | "AUD" | "NZD" | "SGD" | "BND" | "KWD" | "BHD" | "OMR" | "JOD" => 1,
        "PLN" | "BRL" | "AED" | "SAR" | "QAR" | "MYR" | "ILS" | "RON" | "BGN" | "PEN" => 5,
        "SEK" | "NOK" | "DKK" | "CNY" | "HKD" | "ZAR" | "MXN" | "MAD" => 10,
        "CZK" | "TRY" | "TWD" | "THB" | "UAH" | "PHP" | "UYU" => 50,
        "INR" | "JPY" | "ISK" | "RUB" | "RSD" | "KES" => 100,
        "HUF" | "KZT" => 500,
        "KRW" | "CLP" | "ARS" | "NGN" => 1_000,
        "COP" => 5_000,
        "IDR" | "VND" => 10_000,
        _ => return None,
    })
}
