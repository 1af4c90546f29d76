//! Files of past orders, and what the database holds of them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use touchstone_platform::clock::Clock;
use touchstone_schema::time::Timestamp;
use touchstone_tests::process::TemporaryFolder;
use touchstone_tests::{
    Backend, Credentials, SignedClient, Tables, Touchstone, eventually, touchstone, touchstone_json,
};

use crate::cli::new_store;

/// Longest that anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Columns of the CSV files.
const COLUMNS: [&str; 12] = [
    "transaction.order_id",
    "transaction.ordered_on",
    "transaction.order_total",
    "transaction.status",
    "transaction.updated_on",
    "billing.email",
    "billing.last_name",
    "payment.bin",
    "payment.last_4",
    "products.0.product_id",
    "products.0.title",
    "products.0.price",
];

/// A store, a folder for files, and the database behind.
pub(super) struct Shop<'a> {
    pub(super) backend: &'a Backend,
    pub(super) store: String,
    pub(super) folder: TemporaryFolder,
    tables: Tables,
}

impl<'a> Shop<'a> {
    pub(super) async fn open(backend: &'a Backend) -> Result<Self> {
        let store = new_store(backend).await?;
        // Tests ask again and again.
        touchstone_json(backend, &["store", "set", "--store", &store, "--rate-limit", "100000"]).await?;
        let tables = backend.open_database().await?;
        Ok(Self { backend, store, folder: TemporaryFolder::new("backfill")?, tables })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path = self.path(name);
        std::fs::write(&path, content)?;
        Ok(path.to_str().context("the path is text")?.to_owned())
    }

    /// Reads files by the command; what it answers.
    pub(super) async fn backfill(&self, arguments: &[&str]) -> Result<Value> {
        touchstone_json(self.backend, &self.call(arguments)).await
    }

    /// The same where the command may fail: its exit code, and what it printed.
    pub(super) async fn attempt(&self, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let call = [self.call(arguments), vec!["--json"]].concat();
        let printed = touchstone(self.backend, &call).await?;
        let document = serde_json::from_str(&printed.stdout).with_context(|| format!("{printed:?}"))?;
        Ok((printed.code, document))
    }

    pub(super) fn call<'b>(&'b self, arguments: &[&'b str]) -> Vec<&'b str> {
        let folder = self.folder.path().to_str().unwrap_or(".");
        [&["backfill", "--store", &self.store, "--refused-dir", folder], arguments].concat()
    }

    pub(super) async fn count(&self, of: &str) -> Result<u64> {
        self.tables.count(of).await
    }

    pub(super) async fn refuse(&self, table: &str) -> Result<()> {
        self.tables.refuse(table).await
    }

    pub(super) async fn accept(&self, table: &str) -> Result<()> {
        self.tables.accept(table).await
    }

    /// A client of a serving process, which knows the key.
    pub(super) async fn client(&self, server: &Touchstone) -> Result<SignedClient> {
        client(self.backend, server, &self.store).await
    }
}

pub(super) async fn client(backend: &Backend, server: &Touchstone, store: &str) -> Result<SignedClient> {
    let key = touchstone_json(backend, &["key", "create", "--store", store]).await?;
    let client = SignedClient::new(&server.url(), Credentials::from_json(&key)?);
    eventually(PATIENCE, "the key to be known", async || {
        let answer = client.get("/v1/transactions").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await?;
    Ok(client)
}

/// That long ago.
pub(super) fn ago(span: Duration) -> Timestamp {
    Clock::system().now() - span
}

/// A past order as JSON has it, with values that CSV has too.
pub(super) fn order(number: usize, ordered_on: Timestamp) -> Value {
    json!({
        "transaction": {"order_id": format!("P-{number}"), "ordered_on": ordered_on.to_rfc3339(), "order_total": "20.50",
            "status": "fulfilled", "updated_on": (ordered_on + Duration::from_secs(60)).to_rfc3339()},
        "billing": {"email": format!("customer-{number}@example.com"), "last_name": format!("Ann, \"{number}\"\nKeller")},
        "payment": {"bin": "411111", "last_4": format!("{:04}", number % 10_000)},
        "products": [{"product_id": "b-1", "title": "Boots", "price": "20.50", "quantity": 1}],
    })
}

/// Orders as a CSV file: a mark, CRLF, and quotes where they are needed.
pub(super) fn csv(orders: &[Value]) -> String {
    let mut columns = COLUMNS.to_vec();
    columns.push("products.0.quantity");
    let mut file = format!("\u{feff}{}\r\n", columns.join(","));
    for order in orders {
        let cells = columns.iter().map(|column| {
            let pointer = format!("/{}", column.replace('.', "/"));
            let text = match order.pointer(&pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        });
        file.push_str(&cells.collect::<Vec<_>>().join(","));
        file.push_str("\r\n");
    }
    file
}

/// Orders as a spreadsheet of a country with decimal commas writes them: semicolons, commas in numbers, and empty columns
/// and rows at the end.
pub(super) fn sheet(orders: &[Value]) -> String {
    let mut is_quoted = false;
    let signs = csv(orders).trim_start_matches('\u{feff}').to_owned();
    let sheet: String = signs
        .chars()
        .map(|sign| {
            is_quoted ^= sign == '"';
            if sign == ',' && !is_quoted { ';' } else { sign }
        })
        .collect();
    format!("{};;\r\n;;;;\r\n", sheet.replace(";20.50;", ";20,50;").trim_end())
}

/// Orders as JSON lines.
pub(super) fn lines(orders: &[Value]) -> String {
    orders.iter().map(|order| format!("{order}\n")).collect()
}

/// The three counts of an answer.
pub(super) fn counts(answer: &Value) -> [u64; 3] {
    ["accepted", "unchanged", "refused"].map(|name| answer[name].as_u64().unwrap_or(u64::MAX))
}
