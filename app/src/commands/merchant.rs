//! `touchstone merchant`.

use clap::Subcommand;
use serde_json::json;
use touchstone_platform::random;
use touchstone_platform::store::accounts::MerchantRow;
use touchstone_schema::ids::MerchantId;

use crate::compose::Operator;
use crate::output::{Output, fields, table};

/// Merchants.
#[derive(Debug, Subcommand)]
pub(crate) enum MerchantCommand {
    /// Add a merchant.
    Create {
        /// What people call it.
        #[arg(long)]
        name: String,
    },
    /// List merchants, newest first.
    List,
}

pub(crate) async fn run(command: MerchantCommand, output: Output) -> anyhow::Result<()> {
    match command {
        MerchantCommand::Create { name } => {
            let id = create(&Operator::open_or_create().await?, &name).await?;
            output.show(&json!({ "merchant_id": id }), || {
                let told = fields(&[("merchant_id", Some(id.to_string())), ("name", Some(name))]);
                format!("Merchant created.\n{told}Next: touchstone store create --merchant {id} --name NAME")
            })
        }
        MerchantCommand::List => {
            let merchants = Operator::open().await?.system().merchants().await?;
            output.show(&json!({ "merchants": merchants.iter().map(document).collect::<Vec<_>>() }), || {
                let row = |merchant: &MerchantRow| {
                    vec![merchant.id.to_string(), merchant.name.clone(), merchant.created_at.to_rfc3339()]
                };
                let rows = merchants.iter().map(row).collect();
                let empty = "No merchants.\nNext: touchstone merchant create --name NAME";
                table(&["merchant", "name", "created"], rows, empty)
            })
        }
    }
}

fn document(merchant: &MerchantRow) -> serde_json::Value {
    json!({ "merchant_id": merchant.id, "name": merchant.name, "created_at": merchant.created_at.to_rfc3339() })
}

async fn create(operator: &Operator, name: &str) -> anyhow::Result<MerchantId> {
    let now = operator.clock.now();
    let id = MerchantId::mint(now, random::bytes());
    operator.system().add_merchant(&id, name, now).await?;
    Ok(id)
}
