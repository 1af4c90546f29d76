//! `touchstone list`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use touchstone_platform::random;
use touchstone_platform::store::lists::Listed;
use touchstone_schema::ids::{ListEntryId, StoreId, TransactionId};
use touchstone_schema::limits::{LIST_ENTRIES, PAGE_ITEMS};
use touchstone_schema::lists::{ListEntry, ListKind, ListMatcher, ListSubject, hint};
use touchstone_schema::tenant::Tenant;
use touchstone_schema::time::Timestamp;
use touchstone_schema::visible::visible;

use super::store::{data_key, tenant_of};
use super::{Since, parse_since, parse_span};
use crate::compose::Operator;
use crate::output::{Output, table};

/// What a store always allows and always blocks.
#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Put something on a list; running scorers follow within two seconds.
    Add(NewEntry),
    /// Take an entry off its list.
    Remove {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// The entry.
        #[arg(long)]
        id: ListEntryId,
        /// Of the test world.
        #[arg(long)]
        test: bool,
    },
    /// Show what is listed.
    Show {
        /// The store.
        #[arg(long, env = "TOUCHSTONE_STORE")]
        store: StoreId,
        /// block or allow; both when not given.
        #[arg(long)]
        list: Option<ListKind>,
        /// Show what comes after this entry.
        #[arg(long)]
        after: Option<ListEntryId>,
        /// Of the test world.
        #[arg(long)]
        test: bool,
    },
}

/// An entry to add.
#[derive(Debug, Args)]
pub(crate) struct NewEntry {
    /// The store.
    #[arg(long, env = "TOUCHSTONE_STORE")]
    store: StoreId,
    /// block: the score is 100; allow: it is 0 unless something is blocked.
    #[arg(long)]
    list: ListKind,
    /// email, email_domain, ip, card, device, phone, address or customer.
    #[arg(long)]
    subject: ListSubject,
    /// One value, such as ann@example.com, example.com, 203.0.113.0/24 or "10 High St; SW1A 1AA; GB"; call once for each.
    #[arg(long, required_unless_present = "of_order", conflicts_with = "of_order")]
    value: Option<String>,
    /// Take the value from this order instead.
    #[arg(long, value_name = "TRANSACTION")]
    of_order: Option<TransactionId>,
    /// Why it is listed.
    #[arg(long)]
    note: Option<String>,
    /// How long it counts, such as 30d; for good when not given.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    expires_in: Option<Duration>,
    /// Until when it counts, such as 2026-12-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_since, conflicts_with = "expires_in")]
    until: Option<Since>,
    /// In the test world.
    #[arg(long)]
    test: bool,
}

impl NewEntry {
    fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires_in.map(|span| now + span).or_else(|| self.until.map(|until| until.at(now)))
    }
}

pub(crate) async fn run(command: ListCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    match command {
        ListCommand::Add(new) => add(new, operator, output).await,
        ListCommand::Remove { store, id, test } => {
            let tenant = tenant_of(operator, store, test).await?;
            let now = operator.clock.now();
            if !operator.store().tenant(&tenant).remove_list_entry(&id, "operator", now).await? {
                bail!("{} has no entry {id}; see `touchstone list show --store {}`", tenant.store_id, tenant.store_id);
            }
            output.show(&json!({ "id": id, "removed": true }), || format!("Entry {id} is off its list."))
        }
        ListCommand::Show { store, list, after, test } => {
            let tenant = tenant_of(operator, store, test).await?;
            let page = operator.store().tenant(&tenant).list_entries(list, after.as_ref(), PAGE_ITEMS).await?;
            show(&page, operator.clock.now(), output)
        }
    }
}

async fn add(new: NewEntry, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let tenant = tenant_of(operator, new.store.clone(), new.test).await?;
    let now = operator.clock.now();
    let expires_at = new.expires_at(now);
    if expires_at.is_some_and(|end| end <= now) {
        bail!("the entry would have expired already: give a time that is to come");
    }
    let (matcher, hint) = value(&new, &tenant, operator).await?;
    let entry = ListEntry {
        id: ListEntryId::mint(now, random::bytes()),
        list: new.list,
        subject: new.subject,
        matcher,
        hint,
        note: new.note,
        created_at: now,
        expires_at,
    };
    let (id, is_new) = match operator.store().tenant(&tenant).add_list_entry(&entry, "operator").await? {
        Listed::Added(id) => (id, true),
        Listed::Updated(id) => (id, false),
        Listed::Full => bail!("the store's lists hold {LIST_ENTRIES} entries, the most there may be"),
    };
    let document = json!({
        "id": id, "added": is_new, "list": entry.list, "subject": entry.subject, "value": entry.hint,
        "expires_at": expires_at.map(Timestamp::to_rfc3339),
    });
    output.show(&document, || {
        let what = if is_new { "Added" } else { "Already listed, its note and end renewed:" };
        format!("{what} {id}: {} {} {}", entry.list, entry.subject, visible(&entry.hint))
    })
}

/// What to compare by and what to recognise it by.
async fn value(new: &NewEntry, tenant: &Tenant, operator: &Operator) -> anyhow::Result<(ListMatcher, String)> {
    if let Some(order) = &new.of_order {
        let found = operator.store().tenant(tenant).list_matcher_of(order, new.subject).await?;
        let matcher = found
            .with_context(|| format!("{order} tells no {} that could be listed: give it with --value", new.subject))?;
        return Ok((matcher, format!("of {order}")));
    }
    let text = new.value.as_deref().unwrap_or_default();
    let matcher = ListMatcher::read(new.subject, text, &data_key(operator, &tenant.store_id).await?, tenant.mode)
        .map_err(|expected| anyhow::anyhow!("--value: {expected}"))?;
    Ok((matcher, hint(new.subject, text)))
}

fn show(page: &[ListEntry], now: Timestamp, output: Output) -> anyhow::Result<()> {
    let documents: Vec<_> = page
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id,
                "list": entry.list,
                "subject": entry.subject,
                "value": entry.hint,
                "note": entry.note,
                "created_at": entry.created_at.to_rfc3339(),
                "expires_at": entry.expires_at.map(Timestamp::to_rfc3339),
            })
        })
        .collect();
    let next = page.last().filter(|_| page.len() as u64 == PAGE_ITEMS).map(|entry| &entry.id);
    output.show(&json!({ "entries": documents, "next": next }), || {
        let line = |entry: &ListEntry| {
            let end = match entry.expires_at {
                Some(end) if end <= now => "expired".to_owned(),
                Some(end) => end.to_rfc3339(),
                None => "never".to_owned(),
            };
            let note = entry.note.clone().unwrap_or_default();
            vec![entry.list.to_string(), entry.subject.to_string(), entry.hint.clone(), end, note, entry.id.to_string()]
        };
        let empty =
            "Nothing is listed.\nNext: touchstone list add --store STORE --list block --subject email --value …";
        let headings = ["list", "subject", "value", "expires", "note", "id"];
        let told = table(&headings, page.iter().map(line).collect(), empty);
        next.map_or_else(|| told.clone(), |next| format!("{told}\nMore: --after {next}"))
    })
}
