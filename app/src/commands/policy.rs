//! `touchstone policy`: the versions of a store's verdict policy.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use touchstone_platform::store::policies::{NewPolicy, PolicyVersion};
use touchstone_schema::ids::StoreId;
use touchstone_schema::json::Json;
use touchstone_schema::limits::PAGE_ITEMS;
use touchstone_schema::policy::StoredPolicy;
use touchstone_schema::tenant::{KeyMode, Tenant};
use touchstone_scorer::score::policy::Policy;

use super::store;
use crate::compose::Operator;
use crate::output::{Output, fields, table};

mod difference;

use difference::{between, listed};

/// Longest name of an author, in characters.
const AUTHOR_CHARS: usize = 128;
/// Longest note on a version, in characters.
const NOTE_CHARS: usize = 1_000;
/// The document of a store that has no policy of its own.
const BUILT_IN: &str = "{}";

/// Verdict policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show the policy that a store's verdicts are given under, or an earlier version of it.
    #[command(disable_version_flag = true)]
    Show {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// This version; the newest when not given.
        #[arg(long)]
        version: Option<u32>,
    },
    /// List the versions of a store's policy, newest first, a page at a time.
    List {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// Continue below this version.
        #[arg(long)]
        before: Option<u32>,
        /// Most lines.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=PAGE_ITEMS))]
        limit: u64,
    },
    /// Show what differs between two versions.
    Diff {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// The version to begin with; 0 is the built-in default.
        #[arg(long)]
        from: u32,
        /// The version to compare with it.
        #[arg(long)]
        to: u32,
    },
    /// Go back to an earlier version: it becomes the next one.
    Rollback {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// The version to go back to; 0 is the built-in default.
        #[arg(long)]
        to: u32,
        #[command(flatten)]
        signature: Signature,
    },
}

/// Who changes a policy, and why.
#[derive(Debug, Args)]
pub(crate) struct Signature {
    /// Why, for those who read the list of versions later.
    #[arg(long, value_parser = |text: &str| bounded(text, NOTE_CHARS))]
    pub(crate) note: Option<String>,
    /// Who makes it.
    #[arg(long, default_value = "operator", value_parser = |text: &str| bounded(text, AUTHOR_CHARS))]
    pub(crate) author: String,
}

fn bounded(text: &str, most: usize) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected some text".to_owned()),
        text if text.chars().count() > most => Err(format!("expected at most {most} characters")),
        text if text.chars().any(char::is_control) => Err("expected one line without control characters".to_owned()),
        text => Ok(text.to_owned()),
    }
}

pub(crate) async fn run(command: PolicyCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Show { store, version } => {
            let known = Known::find(operator, &store, version).await?;
            output.show(&known.document_with("policy", &known.own()?)?, || known.described())
        }
        PolicyCommand::List { store, before, limit } => list(operator, &store, before, limit, output).await,
        PolicyCommand::Diff { store, from, to } => {
            let before = Known::find(operator, &store, Some(from)).await?;
            let after = Known::find(operator, &store, Some(to)).await?;
            let differences = between(&before.json()?, &after.json()?);
            let document = json!({ "store_id": store, "from": from, "to": to, "differences": differences });
            output.show(&document, || match differences.as_slice() {
                [] => format!("Versions {from} and {to} say the same."),
                some => format!("From version {from} to version {to} of the policy of {store}\n{}", listed(some)),
            })
        }
        PolicyCommand::Rollback { store, to, signature } => {
            let current = Known::find(operator, &store, None).await?;
            let earlier = Known::find(operator, &store, Some(to)).await?;
            check(&earlier.document).with_context(|| format!("version {to} cannot be used any more"))?;
            current.replace(operator, &earlier.document, &signature, Some(to), output).await
        }
    }
}

async fn list(
    operator: &Operator,
    store: &StoreId,
    before: Option<u32>,
    limit: u64,
    output: Output,
) -> anyhow::Result<()> {
    store::existing(operator, store).await?;
    let tenant = tenant(store);
    let versions = operator.store().tenant(&tenant).policies(before, limit).await?;
    let next = versions.last().filter(|last| versions.len() as u64 == limit && last.version > 1);
    let next = next.map(|last| last.version);
    let documents: Vec<_> = versions.iter().map(summary).collect();
    output.show(&json!({ "store_id": store, "versions": documents, "next": next }), || {
        let rows = versions.iter().map(|version| {
            let note = version.note.clone().unwrap_or_default();
            vec![version.version.to_string(), version.created_at.to_rfc3339(), version.author.clone(), note]
        });
        let empty = "No versions: the built-in default applies (version 0).";
        let mut text = table(&["version", "made", "by", "note"], rows.collect(), empty);
        if let Some(next) = next {
            text.push_str(&format!("\nMore: --before {next}"));
        }
        text
    })
}

fn summary(version: &PolicyVersion) -> Value {
    json!({
        "version": version.version,
        "created_at": version.created_at.to_rfc3339(),
        "author": version.author,
        "note": version.note,
    })
}

/// Policies hold for the live and the test world; they are reached through either.
fn tenant(store: &StoreId) -> Tenant {
    Tenant { store_id: store.clone(), mode: KeyMode::Live }
}

/// A version of a store's policy.
pub(crate) struct Known {
    pub(crate) store: StoreId,
    pub(crate) version: u32,
    /// When, by whom and why it was made; none for the built-in default.
    made: Option<PolicyVersion>,
    /// The policy as JSON text.
    pub(crate) document: String,
}

impl Known {
    /// This version, else the newest. Version 0 is the built-in default.
    pub(crate) async fn find(operator: &Operator, store: &StoreId, version: Option<u32>) -> anyhow::Result<Self> {
        store::existing(operator, store).await?;
        let tenant = tenant(store);
        let policies = operator.store().tenant(&tenant);
        let version = match version {
            Some(version) => version,
            None => policies.newest_policy_version().await?,
        };
        let (made, document) = match version {
            0 => (None, BUILT_IN.to_owned()),
            _ => match policies.policy(version).await? {
                Some((made, document)) => (Some(made), document),
                None => bail!(
                    "the policy of {store} has no version {version}; see `touchstone policy list --store {store}`"
                ),
            },
        };
        Ok(Self { store: store.clone(), version, made, document })
    }

    /// The document.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.document).with_context(|| format!("version {} is not JSON", self.version))
    }

    /// The document, when the store has one of its own.
    fn own(&self) -> anyhow::Result<Value> {
        if self.made.is_some() { self.json() } else { Ok(Value::Null) }
    }

    /// What programs are told of it, with one member more.
    pub(crate) fn document_with(&self, name: &str, value: &Value) -> anyhow::Result<Value> {
        let mut document = self.made.as_ref().map_or_else(|| json!({ "version": 0 }), summary);
        let members = document.as_object_mut().context("a version is told as an object")?;
        members.insert("store_id".to_owned(), json!(self.store));
        members.insert(name.to_owned(), value.clone());
        Ok(document)
    }

    /// Which version it is and how it came to be.
    pub(crate) fn title(&self) -> String {
        let Some(made) = &self.made else {
            return format!("Version 0 of the policy of {} is the built-in default.", self.store);
        };
        let told = fields(&[
            ("made", Some(made.created_at.to_rfc3339())),
            ("by", Some(made.author.clone())),
            ("note", made.note.clone()),
        ]);
        format!("Policy of {}, version {}\n{told}", self.store, self.version)
    }

    fn described(&self) -> String {
        let pretty = self.json().and_then(|document| Ok(serde_json::to_string_pretty(&document)?));
        match (&self.made, pretty) {
            (Some(_), Ok(pretty)) => format!("{}{pretty}", self.title()),
            _ => self.title(),
        }
    }

    /// Makes a checked document the version after this one, which must be the newest, unless it says the same.
    pub(crate) async fn replace(
        &self,
        operator: &Operator,
        document: &str,
        signature: &Signature,
        rolls_back_to: Option<u32>,
        output: Output,
    ) -> anyhow::Result<()> {
        if meaning(document)? == meaning(&self.document)? {
            let same = json!({ "store_id": self.store, "version": self.version, "changed": false });
            return output.show(&same, || {
                format!("Nothing changes: version {} of the policy of {} says the same.", self.version, self.store)
            });
        }
        let new = NewPolicy {
            after: self.version,
            document,
            author: &signature.author,
            note: signature.note.as_deref(),
            rolls_back_to,
            now: operator.clock.now(),
        };
        let Some(version) = operator.store().tenant(&tenant(&self.store)).add_policy(&new).await? else {
            bail!("somebody changed the policy of {} just now; look at it and try again", self.store);
        };
        let differences = between(&self.json()?, &serde_json::from_str(document)?);
        let told = json!({ "store_id": self.store, "version": version, "changed": true, "differences": differences });
        output.show(&told, || {
            let (store, before) = (&self.store, self.version);
            format!(
                "Version {version} of the policy of {store} applies within two seconds.\n{}\nUndo: touchstone policy \
                 rollback --store {store} --to {before}",
                listed(&differences)
            )
        })
    }
}

/// What a document says, whatever its spaces and the order of its members.
fn meaning(document: &str) -> anyhow::Result<String> {
    Ok(Json::parse_text(document).context("the policy is not JSON")?.canonical_hash())
}

/// Refuses a document that verdicts cannot be given under, with everything that is wrong with it.
pub(crate) fn check(document: &str) -> anyhow::Result<()> {
    let Err(faults) = Policy::parse(document) else { return Ok(()) };
    let lines: Vec<_> = faults.iter().map(|fault| format!("  {fault}")).collect();
    bail!("the policy is refused:\n{}", lines.join("\n"))
}

/// The policy of a document, under a version number.
pub(crate) fn compiled(store: &StoreId, version: u32, document: &str) -> anyhow::Result<Policy> {
    let stored = StoredPolicy { store_id: store.clone(), version, document: document.to_owned() };
    Ok(Policy::from_stored(&stored)?)
}
