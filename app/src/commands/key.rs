//! `touchstone key`: API keys, shown once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{
    ApiKey, BcryptVerifier, CryptoError, MasterKeys, SealContext, generate_basic_secret, generate_hmac_secret,
};
use touchstone_platform::random;
use touchstone_platform::store::SystemStore;
use touchstone_platform::store::accounts::{HMAC_SECRET, KeyRow, StoreRow};
use touchstone_schema::ids::{KeyId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{KeyMode, KeyScope, Product};

use super::{DEFAULT_GRACE, parse_grace, store};
use crate::compose::Operator;
use crate::output::{Output, fields, table};

/// API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and its secrets, which are shown this once.
    Create {
        /// The store that it opens.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Opens the test world instead of the live one.
        #[arg(long)]
        test: bool,
        /// What it may be used for.
        #[arg(long, value_delimiter = ',', default_value = "signed")]
        scopes: Vec<KeyScope>,
        /// With the scope orders: the product that the store's statuses have, as a confirmation.
        #[arg(long)]
        product: Option<Product>,
        /// With the scope orders: the currency of all amounts, as a confirmation.
        #[arg(long)]
        currency: Option<String>,
    },
    /// Give a key a fresh signing secret, shown this once; the old one stays valid for a while.
    Rotate {
        /// The key.
        #[arg(long)]
        key: KeyId,
        /// How long the old secret stays valid; 0 ends it now.
        #[arg(long, default_value = DEFAULT_GRACE, value_parser = parse_grace)]
        grace: Duration,
    },
    /// Refuse a key from now on.
    Revoke {
        /// The key.
        #[arg(long)]
        key: KeyId,
    },
    /// List the keys of a store.
    List {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
    },
    /// Encrypt every stored secret anew under the first key of TOUCHSTONE_MASTER_KEY.
    Reseal,
}

pub(crate) async fn run(command: KeyCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create { store, test, scopes, product, currency } => {
            let row = store::existing(operator, &store).await?;
            if scopes.contains(&KeyScope::Orders) {
                confirm_meaning(&row, product, currency.as_deref())?;
            }
            let mode = if test { KeyMode::Test } else { KeyMode::Live };
            let keys = operator.master_keys().await?;
            let made = create(operator.system(), &keys, &operator.clock, store, mode, scopes).await?;
            output.show(&made, || {
                let told = fields(&[
                    ("key_id", Some(made.key_id.to_string())),
                    ("api_key", Some(made.api_key.clone())),
                    ("hmac_secret", Some(made.hmac_secret.clone())),
                    ("secret", Some(made.secret.clone())),
                ]);
                format!(
                    "Key created. Keep these safe: they are not shown again.\n{told}\
                     `hmac_secret` signs requests; `secret` is the Basic-auth password of the checks API.\n\
                     Next: `touchstone serve`, then send an order as GET /docs shows."
                )
            })
        }
        KeyCommand::Rotate { key, grace } => rotate(&key, grace, operator, output).await,
        KeyCommand::Revoke { key } => revoke(&key, operator, output).await,
        KeyCommand::List { store } => list(&store, operator, output).await,
        KeyCommand::Reseal => reseal(operator, output).await,
    }
}

/// Orders of the orders surface name no currency, and their statuses depend on the store's product. Both have to be confirmed:
/// with a default that was not noticed, amounts would be read in the wrong currency.
fn confirm_meaning(store: &StoreRow, product: Option<Product>, currency: Option<&str>) -> anyhow::Result<()> {
    let is_currency = currency.is_some_and(|currency| currency.eq_ignore_ascii_case(&store.currency));
    if product == Some(store.product) && is_currency {
        return Ok(());
    }
    bail!(
        "orders of this store are answered as product `{0}`, and all their amounts are in {1}: if that is right, say \
         --product {0} --currency {1}; else change it before with `touchstone store set --store {2} --product PRODUCT \
         --currency CODE`",
        store.product,
        store.currency,
        store.id
    )
}

/// A new key with everything that its owner needs, told once.
#[derive(Serialize)]
pub(crate) struct NewKey {
    pub(crate) key_id: KeyId,
    pub(crate) api_key: String,
    pub(crate) hmac_secret: String,
    pub(crate) secret: String,
}

/// Makes a key.
pub(crate) async fn create(
    system: SystemStore<'_>,
    master_keys: &MasterKeys,
    clock: &Clock,
    store_id: StoreId,
    mode: KeyMode,
    scopes: Vec<KeyScope>,
) -> anyhow::Result<NewKey> {
    let now = clock.now();
    let id = KeyId::mint(now, random::bytes());
    let api_key = ApiKey::generate(mode);
    let (hmac_secret, password) = (generate_hmac_secret(), generate_basic_secret());
    let bcrypt = BcryptVerifier::default();
    let (pepper_id, key_mac) = master_keys.pepper_mac(&api_key);
    let row = KeyRow {
        mode,
        prefix: api_key.prefix8().to_owned(),
        key_hash: bcrypt.hash(api_key.expose()).await?,
        pepper_id,
        key_mac: key_mac.to_vec(),
        password_mac: Some(master_keys.password_mac(&shown(&password)).to_vec()),
        sealed_hmac_secret: seal(master_keys, &hmac_secret, &store_id, &id)?,
        previous_hmac_secret: None,
        password_hash: bcrypt.hash(&shown(&password)).await?,
        scopes,
        created_at: now,
        revoked_at: None,
        id,
        store_id,
    };
    system.add_key(&row).await.context("the key cannot be added")?;
    Ok(NewKey {
        key_id: row.id,
        api_key: api_key.expose().to_owned(),
        hmac_secret: shown(&hmac_secret),
        secret: shown(&password),
    })
}

fn seal(keys: &MasterKeys, secret: &Secret, store: &StoreId, key: &KeyId) -> anyhow::Result<Vec<u8>> {
    let context = SealContext { store: store.as_str(), record: key.as_str(), purpose: HMAC_SECRET };
    Ok(keys.seal(secret.expose(), &context)?)
}

/// A secret as its owner is shown it, once.
pub(crate) fn shown(secret: &Secret) -> String {
    secret.expose_text().unwrap_or_default().to_owned()
}

async fn rotate(id: &KeyId, grace: Duration, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let key = existing(id, operator).await?;
    if key.revoked_at.is_some() {
        bail!("key {id} is revoked; make a new one with `touchstone key create --store {}`", key.store_id);
    }
    let secret = generate_hmac_secret();
    let sealed = seal(&*operator.master_keys().await?, &secret, &key.store_id, id)?;
    let now = operator.clock.now();
    let until = (!grace.is_zero()).then(|| now + grace);
    if !operator.system().rotate_key(id, &sealed, until, now).await? {
        bail!("key {id} was revoked meanwhile");
    }
    let until = until.map(|until| until.to_rfc3339());
    let document = json!({ "key_id": id, "hmac_secret": shown(&secret), "previous_valid_until": until });
    output.show(&document, || {
        let told = fields(&[
            ("key_id", Some(id.to_string())),
            ("hmac_secret", Some(shown(&secret))),
            ("old secret", Some(until.map_or("invalid now".to_owned(), |until| format!("valid until {until}")))),
        ]);
        format!(
            "Signing secret rotated; the new one is not shown again.\n{told}Next: give it to whoever signs requests."
        )
    })
}

async fn revoke(id: &KeyId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    if !operator.system().revoke_key(id, operator.clock.now()).await? {
        bail!("there is no key {id}");
    }
    // The database has it, so every process follows within two seconds; the shared cache makes it at once.
    let at_once = match operator.shared_cache().await? {
        Some(cache) => cache.revoke(id).await.is_ok(),
        None => false,
    };
    let document = json!({ "key_id": id, "revoked": true, "at_once": at_once });
    output.show(&document, || {
        let when = if at_once { "refused everywhere now" } else { "refused everywhere within two seconds" };
        format!("Key {id} revoked: {when}.")
    })
}

async fn existing(id: &KeyId, operator: &Operator) -> anyhow::Result<KeyRow> {
    let key = operator.system().key(id).await?;
    key.with_context(|| format!("there is no key {id}; see `touchstone key list --store STORE`"))
}

async fn list(store: &StoreId, operator: &Operator, output: Output) -> anyhow::Result<()> {
    store::existing(operator, store).await?;
    let keys = operator.system().keys(store).await?;
    let now = operator.clock.now();
    let previous_until =
        |key: &KeyRow| key.previous_hmac_secret.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    let documents: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "key_id": key.id,
                "api_key_start": start_of(key),
                "mode": key.mode,
                "scopes": key.scopes,
                "master_key": key.pepper_id,
                "created_at": key.created_at.to_rfc3339(),
                "previous_secret_valid_until": previous_until(key).map(|until| until.to_rfc3339()),
                "revoked_at": key.revoked_at.map(|at| at.to_rfc3339()),
            })
        })
        .collect();
    output.show(&json!({ "keys": documents }), || {
        let rows = keys.iter().map(|key| {
            let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
            let state = match (key.revoked_at, previous_until(key)) {
                (Some(at), _) => format!("revoked {}", at.to_rfc3339()),
                (None, Some(until)) => format!("active; old secret until {}", until.to_rfc3339()),
                (None, None) => "active".to_owned(),
            };
            vec![
                key.id.to_string(),
                start_of(key),
                scopes.join(", "),
                key.pepper_id.clone(),
                key.created_at.to_rfc3339(),
                state,
            ]
        });
        let empty = format!("No keys yet.\nNext: touchstone key create --store {store}");
        table(&["key", "begins with", "scopes", "master key", "created", "state"], rows.collect(), &empty)
    })
}

/// What may be shown of a key after it was made.
fn start_of(key: &KeyRow) -> String {
    format!("fcc_{}_{}…", key.mode, key.prefix)
}

/// Seals everything under the first master key. API keys keep the pepper of the master key that they were made with.
async fn reseal(operator: &Operator, output: Output) -> anyhow::Result<()> {
    let keys = operator.master_keys().await?;
    let failed: Mutex<Vec<(String, CryptoError)>> = Mutex::default();
    let resealed = operator
        .system()
        .reseal(&|store, record, purpose, sealed| {
            let context = SealContext { store: store.as_str(), record, purpose };
            keys.reseal(sealed, &context).unwrap_or_else(|error| {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push((record.to_owned(), error));
                None
            })
        })
        .await?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((record, error)) = failed.first() {
        anyhow::bail!(
            "{} secrets do not open, first that of {record}: {error}; {resealed} were resealed",
            failed.len()
        );
    }
    output.show(&json!({ "resealed": resealed, "master_key": keys.current_id() }), || {
        format!(
            "{resealed} secrets are now sealed under master key `{}`. API keys made under older master keys are still \
             compared with those: keep them at the end of TOUCHSTONE_MASTER_KEY until such keys are replaced.",
            keys.current_id()
        )
    })
}
