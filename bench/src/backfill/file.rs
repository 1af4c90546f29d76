//! A file of past orders as shops have them: many customers, some of whom come back, over the last half a year.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

use touchstone_platform::clock::Clock;

/// How far back the orders lie.
const SPAN: Duration = Duration::from_secs(180 * 86_400);
/// Orders of a customer, on average.
const ORDERS_PER_CUSTOMER: usize = 3;
/// Every how many orders somebody says that one was fraud.
const FRAUD_EVERY: usize = 100;

const HEADER: &str = "transaction.order_id,transaction.ordered_on,transaction.order_total,transaction.order_currency,\
transaction.user_id,transaction.status,transaction.updated_on,transaction.is_fraud,billing.first_name,\
billing.last_name,billing.address1,billing.city,billing.postal_code,billing.country,billing.email,billing.phone,\
payment.method,payment.bin,payment.last_4,payment.exp_date,device.ip_address,device.fingerprint_id,\
products.0.product_id,products.0.title,products.0.price,products.0.quantity";

/// Writes a file of `rows` orders whose ids begin with `series`.
pub(super) fn write(path: &Path, series: &str, rows: usize) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{HEADER}")?;
    let begin = Clock::system().now() - SPAN;
    let step = SPAN / u32::try_from(rows.max(1))?;
    for row in 0..rows {
        let ordered_on = begin + step * u32::try_from(row)?;
        let updated_on = ordered_on + Duration::from_secs(3_600);
        // Spread over the customers without a table of who came before.
        let customer = row.wrapping_mul(2_654_435_761) % (rows / ORDERS_PER_CUSTOMER).max(1);
        let fraud = if row % FRAUD_EVERY == 0 { "true" } else { "" };
        let (a, b, c) = (customer % 223 + 1, customer / 223 % 256, customer / 57_088 % 256);
        writeln!(
            file,
            "{series}-{row},{},{}.{:02},EUR,u{customer},fulfilled,{},{fraud},Ann,Keller{},\"Main Street {}, 2nd floor\",\
             Utrecht,{:04} AB,NL,customer{customer}@example.com,+3161{customer:07},card,41{:04},{:04},12{},{a}.{b}.{c}.7,\
             device-{customer},sku-{},Boots,{}.{:02},1",
            ordered_on.to_rfc3339(),
            row % 300 + 5,
            row % 100,
            updated_on.to_rfc3339(),
            customer % 9_973,
            customer % 211,
            1_000 + customer % 8_999,
            customer % 10_000,
            customer / 7 % 10_000,
            27 + customer % 6,
            row % 997,
            row % 300 + 5,
            row % 100,
        )?;
    }
    file.flush()?;
    // Else the kernel writes it out while something else is measured.
    Ok(file.get_ref().sync_all()?)
}
