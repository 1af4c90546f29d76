//! Sealing everything anew under the first master key.
//!
//! Guarantee: a value that changed meanwhile is left as it is: each update names the value that it replaces. May be
//! interrupted and run again.

use touchstone_schema::ids::StoreId;

use super::touch_directory;
use crate::crypto::SealContext;
use crate::store::database::{column, execute, parsed, rows};
use crate::store::{StoreError, SystemStore};

/// Purpose of a store's sealed data key; its record is the store.
pub const DATA_KEY: &str = SealContext::DATA_KEY;
/// Purpose of a key's sealed HMAC secrets; their record is the key.
pub const HMAC_SECRET: &str = SealContext::HMAC_SECRET;
/// Purpose of an endpoint's sealed signing secrets; their record is the endpoint.
pub const WEBHOOK_SECRET: &str = SealContext::WEBHOOK_SECRET;
/// Purpose of an endpoint's sealed headers; their record is the endpoint.
pub const WEBHOOK_HEADERS: &str = SealContext::WEBHOOK_HEADERS;
/// Purpose of a connection's sealed access token; its record is the connection.
pub const CENTRA_TOKEN: &str = SealContext::CENTRA_TOKEN;

/// A column of sealed values.
struct Sealed {
    table: &'static str,
    store: &'static str,
    column: &'static str,
    purpose: &'static str,
}

const SEALED: [Sealed; 7] = [
    Sealed { table: "stores", store: "id", column: "sealed_data_key", purpose: DATA_KEY },
    Sealed { table: "api_keys", store: "store_id", column: "sealed_hmac_secret", purpose: HMAC_SECRET },
    Sealed { table: "api_keys", store: "store_id", column: "previous_hmac_secret", purpose: HMAC_SECRET },
    Sealed { table: "endpoints", store: "store_id", column: "sealed_secret", purpose: WEBHOOK_SECRET },
    Sealed { table: "endpoints", store: "store_id", column: "previous_secret", purpose: WEBHOOK_SECRET },
    Sealed { table: "endpoints", store: "store_id", column: "sealed_headers", purpose: WEBHOOK_HEADERS },
    Sealed { table: "centra_connections", store: "store_id", column: "sealed_token", purpose: CENTRA_TOKEN },
];

/// Gives a sealed value a fresh form: called with the store, the record, the purpose and the sealed value; none when the
/// value is sealed under the newest key already.
pub type Reseal<'a> = dyn Fn(&StoreId, &str, &'static str, &[u8]) -> Option<Vec<u8>> + Sync + 'a;

impl SystemStore<'_> {
    /// Replaces every sealed value that `reseal` gives a fresh form of (master key rotation). Returns how many.
    pub async fn reseal(&self, reseal: &Reseal<'_>) -> Result<u64, StoreError> {
        let mut resealed = 0;
        for Sealed { table, store, column: name, purpose } in SEALED {
            let sql = format!("SELECT id, {store} AS store_id, {name} AS sealed FROM {table} WHERE {name} IS NOT NULL");
            for row in rows(&self.store.database, &sql, vec![]).await? {
                let (id, sealed): (String, Vec<u8>) = (column(&row, "id")?, column(&row, "sealed")?);
                if let Some(fresh) = reseal(&parsed(&row, "store_id")?, &id, purpose, &sealed) {
                    let change = self.store.begin().await?;
                    let sql = format!("UPDATE {table} SET {name} = $1 WHERE id = $2 AND {name} = $3");
                    resealed +=
                        execute(change.transaction(), &sql, vec![fresh.into(), id.into(), sealed.into()]).await?;
                    change.commit().await?;
                }
            }
        }
        let change = self.store.begin().await?;
        touch_directory(&change).await?;
        change.commit().await?;
        Ok(resealed)
    }
}
