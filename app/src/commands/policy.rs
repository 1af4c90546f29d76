//! `touchstone policy`.

use clap::Subcommand;
use serde_json::json;
use touchstone_schema::ids::StoreId;

use super::store;
use crate::compose::Operator;
use crate::output::Output;

/// Verdict policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show the policy that a store's verdicts are given under.
    Show {
        /// The store.
        #[arg(long)]
        store: StoreId,
    },
}

pub(crate) async fn run(command: PolicyCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let PolicyCommand::Show { store } = command;
    store::existing(operator, &store).await?;
    let stored = operator.system().policy(&store).await?;
    let version = stored.as_ref().map_or(0, |policy| policy.version);
    let document: serde_json::Value = match &stored {
        Some(policy) => serde_json::from_str(&policy.document)?,
        None => serde_json::Value::Null,
    };
    let pretty = serde_json::to_string_pretty(&document)?;
    output.show(&json!({ "store_id": store, "version": version, "policy": document }), || match stored {
        Some(_) => format!("Policy of {store}, version {version}\n{pretty}"),
        None => format!("Store {store} has no policy of its own: the built-in default applies (version 0)."),
    })
}
