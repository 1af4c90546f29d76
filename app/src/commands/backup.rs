//! `touchstone backup`: a copy of the embedded database.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use crate::compose::Operator;
use crate::output::Output;

/// Arguments of `touchstone backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// A file that does not exist yet; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(crate) async fn run(arguments: BackupArguments, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let BackupArguments { to } = arguments;
    if !operator.store().is_embedded() {
        bail!("the data is in PostgreSQL: copy it with pg_dump, as docs/operate.md says under \"Back up and restore\"");
    }
    let name = to.display();
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to);
    let bytes = match made.with_context(|| format!("--to: {name} cannot be made; expected a file that does not exist"))
    {
        Ok(_) => operator.store().copy_into(&to).await,
        Err(error) => return Err(error),
    };
    let bytes = match bytes {
        Ok(()) => std::fs::metadata(&to).with_context(|| format!("{name} cannot be read"))?.len(),
        Err(error) => {
            std::fs::remove_file(&to).with_context(|| format!("{name} is incomplete and cannot be removed"))?;
            return Err(anyhow::Error::new(error).context(format!("{name} cannot be written")));
        }
    };
    let key = operator.master_key_file();
    let document = json!({ "file": to, "bytes": bytes, "master_key_file": key });
    output.show(&document, || {
        let key = match &key {
            Some(key) => {
                format!("Keep {} too, in another place: without it no secret in the copy can be opened.", key.display())
            }
            None => "Keep TOUCHSTONE_MASTER_KEY too, in another place: without it no secret in the copy can be opened."
                .to_owned(),
        };
        format!("{bytes} bytes copied to {name}.\n{key}")
    })
}
