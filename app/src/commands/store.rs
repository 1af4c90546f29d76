//! `touchstone store`.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::{MasterKeys, SealContext};
use touchstone_platform::random;
use touchstone_platform::store::SystemStore;
use touchstone_platform::store::accounts::{DATA_KEY, StoreChange, StoreRow};
use touchstone_schema::ids::{MerchantId, StoreId};
use touchstone_schema::limits::{DEFAULT_RATE_PER_MINUTE, DEFAULT_RISK_LOW, DEFAULT_RISK_MEDIUM};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{InputSettings, KeyMode, Product, RiskGroups, StoreMode, Tenant};

use crate::compose::Operator;
use crate::output::{Output, fields, table};

/// Stores.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Add a store to a merchant.
    Create {
        /// The merchant that owns it.
        #[arg(long)]
        merchant: MerchantId,
        /// What people call it.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        settings: NewStore,
    },
    /// Change settings of a store; every process follows within two seconds.
    Set {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        #[command(flatten)]
        settings: StoreSettings,
    },
    /// List stores, newest first.
    List {
        /// Only those of this merchant.
        #[arg(long)]
        merchant: Option<MerchantId>,
    },
    /// Show a store.
    Show {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
    },
}

/// Settings of a new store.
#[derive(Debug, Args)]
pub(crate) struct NewStore {
    /// Requests a minute that its keys may send.
    #[arg(long, value_name = "PER_MINUTE", default_value_t = DEFAULT_RATE_PER_MINUTE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate_limit: u32,
    /// live: verdicts act; shadow: they are only recorded.
    #[arg(long, default_value = "live")]
    pub(crate) mode: StoreMode,
    /// What the statuses of its orders API mean.
    #[arg(long, default_value = "guaranteed")]
    pub(crate) product: Product,
    /// ISO 4217 code of the currency of its orders API.
    #[arg(long, default_value = "USD", value_parser = parse_currency)]
    pub(crate) currency: String,
    /// Highest score that its checks API calls low.
    #[arg(long, value_name = "SCORE", default_value_t = DEFAULT_RISK_LOW, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) risk_low: u8,
    /// Highest score that its checks API calls medium; above is high.
    #[arg(long, value_name = "SCORE", default_value_t = DEFAULT_RISK_MEDIUM, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) risk_medium: u8,
    /// Refuse optional fields that are not in their documented form (true), or read them leniently with warnings (false).
    #[arg(long, value_name = "BOOLEAN", action = clap::ArgAction::Set, default_value_t = false)]
    pub(crate) strict_input: bool,
    /// Mail domains of the shop itself, with commas between them: noreply@ and guest@ there are no customer's mailbox.
    #[arg(long, value_name = "DOMAINS", value_delimiter = ',', value_parser = parse_domain)]
    pub(crate) own_domains: Vec<String>,
}

/// Settings to change.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct StoreSettings {
    /// What people call it.
    #[arg(long = "name")]
    name: Option<String>,
    /// Requests a minute that its keys may send.
    #[arg(long, value_name = "PER_MINUTE", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate_limit: Option<u32>,
    /// live: verdicts act; shadow: they are only recorded.
    #[arg(long)]
    mode: Option<StoreMode>,
    /// What the statuses of its orders API mean.
    #[arg(long)]
    product: Option<Product>,
    /// ISO 4217 code of the currency of its orders API.
    #[arg(long, value_parser = parse_currency)]
    currency: Option<String>,
    /// Highest score that its checks API calls low.
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u8).range(0..=100))]
    risk_low: Option<u8>,
    /// Highest score that its checks API calls medium; above is high.
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u8).range(0..=100))]
    risk_medium: Option<u8>,
    /// Refuse optional fields that are not in their documented form (true), or read them leniently with warnings (false).
    #[arg(long, value_name = "BOOLEAN", action = clap::ArgAction::Set)]
    strict_input: Option<bool>,
    /// Mail domains of the shop itself, with commas between them: noreply@ and guest@ there are no customer's mailbox. Without
    /// a value there are none any more.
    #[arg(long, value_name = "DOMAINS", value_delimiter = ',', num_args = 0.., value_parser = parse_domain)]
    own_domains: Option<Vec<String>>,
}

/// A domain, in lower case.
fn parse_domain(text: &str) -> Result<String, String> {
    touchstone_schema::lists::domain(text).map_err(|expected| format!("`{text}`: {expected}"))
}

/// A currency that amounts can be read in.
fn parse_currency(text: &str) -> Result<String, String> {
    touchstone_schema::money::Currency::from_code(text)
        .map(|currency| currency.code().to_owned())
        .ok_or_else(|| format!("`{text}` is not a currency: expected an ISO 4217 code such as USD"))
}

pub(crate) async fn run(command: StoreCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        StoreCommand::Create { merchant, name, settings } => {
            if !operator.system().merchant_exists(&merchant).await? {
                bail!("there is no merchant {merchant}; make one with `touchstone merchant create --name NAME`");
            }
            let keys = operator.master_keys().await?;
            let row = create(operator.system(), &keys, &operator.clock, merchant, name, settings).await?;
            output.show(&json!({ "store_id": row.id }), || {
                let told = described(&row);
                format!("Store created.\n{told}Next: touchstone key create --store {}", row.id)
            })
        }
        StoreCommand::Set { store, settings } => {
            let change = StoreChange {
                name: settings.name,
                mode: settings.mode,
                product: settings.product,
                currency: settings.currency,
                rate_limit_per_minute: settings.rate_limit,
                risk_low: settings.risk_low,
                risk_medium: settings.risk_medium,
                strict_input: settings.strict_input,
                own_domains: settings.own_domains,
            };
            if !operator.system().change_store(&store, &change, operator.clock.now()).await? {
                return Err(unknown(&store));
            }
            show(&store, "Store changed.", operator, output).await
        }
        StoreCommand::List { merchant } => {
            let stores = operator.system().store_rows().await?.into_iter();
            let stores: Vec<_> =
                stores.filter(|row| merchant.as_ref().is_none_or(|merchant| row.merchant_id == *merchant)).collect();
            output.show(&json!({ "stores": stores.iter().map(document).collect::<Vec<_>>() }), || listed(&stores))
        }
        StoreCommand::Show { store } => show(&store, "Store", operator, output).await,
    }
}

fn listed(stores: &[StoreRow]) -> String {
    let rows = stores.iter().map(|row| {
        vec![
            row.id.to_string(),
            row.name.clone(),
            row.merchant_id.to_string(),
            row.mode.to_string(),
            row.created_at.to_rfc3339(),
        ]
    });
    let empty = "No stores.\nNext: touchstone store create --merchant MERCHANT --name NAME";
    table(&["store", "name", "merchant", "mode", "created"], rows.collect(), empty)
}

async fn show(store: &StoreId, title: &str, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let row = existing(operator, store).await?;
    output.show(&document(&row), || format!("{title}\n{}", described(&row)))
}

/// Adds a store with a data key of its own.
pub(crate) async fn create(
    system: SystemStore<'_>,
    master_keys: &MasterKeys,
    clock: &Clock,
    merchant_id: MerchantId,
    name: String,
    settings: NewStore,
) -> anyhow::Result<StoreRow> {
    let now = clock.now();
    let id = StoreId::mint(now, random::bytes());
    let context = SealContext { store: id.as_str(), record: id.as_str(), purpose: DATA_KEY };
    let sealed_data_key = master_keys.seal(&random::bytes::<32>(), &context)?;
    let row = StoreRow {
        id,
        merchant_id,
        name,
        mode: settings.mode,
        product: settings.product,
        currency: settings.currency,
        rate_limit_per_minute: settings.rate_limit,
        risk_groups: RiskGroups { low: settings.risk_low, medium: settings.risk_medium },
        input: InputSettings { is_strict: settings.strict_input, own_domains: settings.own_domains },
        sealed_data_key,
        created_at: now,
    };
    system.add_store(&row).await.context("the store cannot be added")?;
    Ok(row)
}

/// The store, or an error that says how stores are made.
pub(crate) async fn existing(operator: &Operator, store: &StoreId) -> anyhow::Result<StoreRow> {
    operator.system().store_row(store).await?.ok_or_else(|| unknown(store))
}

fn unknown(store: &StoreId) -> anyhow::Error {
    anyhow::anyhow!("there is no store {store}; make one with `touchstone store create`")
}

fn document(row: &StoreRow) -> serde_json::Value {
    json!({
        "store_id": row.id,
        "merchant_id": row.merchant_id,
        "name": row.name,
        "mode": row.mode,
        "product": row.product,
        "currency": row.currency,
        "rate_limit": row.rate_limit_per_minute,
        "risk_low": row.risk_groups.low,
        "risk_medium": row.risk_groups.medium,
        "strict_input": row.input.is_strict,
        "own_domains": row.input.own_domains,
        "created_at": row.created_at.to_rfc3339(),
    })
}

fn described(row: &StoreRow) -> String {
    fields(&[
        ("store_id", Some(row.id.to_string())),
        ("merchant_id", Some(row.merchant_id.to_string())),
        ("name", Some(row.name.clone())),
        ("mode", Some(row.mode.to_string())),
        ("product", Some(row.product.to_string())),
        ("currency", Some(row.currency.clone())),
        ("rate_limit", Some(format!("{} requests a minute", row.rate_limit_per_minute))),
        ("risk groups", Some(format!("low to {}, medium to {}", row.risk_groups.low, row.risk_groups.medium))),
        ("strict input", Some(if row.input.is_strict { "yes" } else { "no" }.to_owned())),
        ("own mail domains", Some(row.input.own_domains.join(", ")).filter(|domains| !domains.is_empty())),
        ("created_at", Some(row.created_at.to_rfc3339())),
    ])
}

/// The world of a store that is asked about; the store must exist.
pub(crate) async fn tenant_of(operator: &Operator, store_id: StoreId, test: bool) -> anyhow::Result<Tenant> {
    existing(operator, &store_id).await?;
    Ok(Tenant { store_id, mode: if test { KeyMode::Test } else { KeyMode::Live } })
}

/// The key that a store's identifiers and history are hashed under.
pub(crate) async fn data_key(operator: &Operator, store: &StoreId) -> anyhow::Result<Secret> {
    let row = existing(operator, store).await?;
    let context = SealContext { store: row.id.as_str(), record: row.id.as_str(), purpose: DATA_KEY };
    Ok(operator.master_keys().await?.open(&row.sealed_data_key, &context)?)
}
