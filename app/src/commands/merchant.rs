//! `touchstone merchant`.

use clap::Subcommand;
use touchstone_platform::random;
use touchstone_schema::ids::MerchantId;

use crate::compose::Operator;
use crate::output::{Output, fields};

/// Merchants.
#[derive(Debug, Subcommand)]
pub(crate) enum MerchantCommand {
    /// Add a merchant.
    Create {
        /// What people call it.
        #[arg(long)]
        name: String,
    },
}

pub(crate) async fn run(command: MerchantCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let MerchantCommand::Create { name } = command;
    let id = create(operator, &name).await?;
    output.show(&serde_json::json!({ "merchant_id": id }), || {
        let told = fields(&[("merchant_id", Some(id.to_string())), ("name", Some(name))]);
        format!("Merchant created.\n{told}Next: touchstone store create --merchant {id} --name NAME")
    })
}

async fn create(operator: &Operator, name: &str) -> anyhow::Result<MerchantId> {
    let now = operator.clock.now();
    let id = MerchantId::mint(now, random::bytes());
    operator.system().add_merchant(&id, name, now).await?;
    Ok(id)
}
