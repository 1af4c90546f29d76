//! The keys of existing history, computed again.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use touchstone_platform::store::scoring::{NewFailedAttempt, NewRevision, verdict_event_data};
use touchstone_schema::event::{Event, EventKind};
use touchstone_schema::history::{Happening, HistoryEntry, HistoryKey, HistoryKeyKind, HistoryKeys};
use touchstone_schema::ids::EventId;
use touchstone_schema::money::{Currency, Money};
use touchstone_schema::submission::Submission;
use touchstone_schema::verdict::{Action, RiskLevel};
use touchstone_scorer::rekey::Rekey;

use super::fixture::{Pipeline, START};
use crate::ingest::fixture::order;

on_both_ways_to_run![
    history_of_an_older_build_gets_the_keys_of_this_one,
    entries_without_a_stored_order_lose_the_key_of_their_address_once,
    pass_that_was_stopped_goes_on_and_a_dry_one_changes_nothing,
    history_of_one_store_is_computed_again_alone,
];

fn key(pipeline: &Pipeline, of: &Submission, kind: &str, value: &str) -> Result<HistoryKey> {
    let snapshot = pipeline.door.directory.snapshot();
    let profile = snapshot.store(&of.tenant.store_id).context("the directory knows the store")?;
    Ok(HistoryKey::of(&profile.data_key, of.tenant.mode, kind, value))
}

/// An entry as an older build wrote it: every address is a key, and the e-mail address has another hash.
fn old_entry(pipeline: &Pipeline, of: &Submission, address: &str) -> Result<HistoryEntry> {
    Ok(HistoryEntry {
        what: Happening::Order,
        transaction_id: of.transaction_id.clone(),
        received_at: of.received_at,
        ordered_at: of.received_at,
        amount: Money::parse("1.00", Currency::from_code("EUR").context("a currency")?)?,
        keys: HistoryKeys {
            ip: Some(key(pipeline, of, "ip", address)?),
            email: Some(key(pipeline, of, "email", "in another spelling")?),
            ..HistoryKeys::default()
        },
        name: None,
        declines: 0,
    })
}

fn event(of: &Submission, kind: EventKind, data: &str) -> Result<Event> {
    Ok(Event {
        id: EventId::of_change(&of.transaction_id, 1),
        tenant: of.tenant.clone(),
        transaction_id: (kind != EventKind::PaymentFailed).then(|| of.transaction_id.clone()),
        surface: Some(of.surface),
        kind,
        sequence: 1,
        occurred_at: of.received_at,
        request_id: of.request_id.clone(),
        trace: None,
        data: serde_json::value::RawValue::from_string(data.to_owned())?,
    })
}

/// Records an order from this address as an older build did.
async fn record(pipeline: &Pipeline, id: &str, address: &str) -> Result<Submission> {
    record_of(pipeline, &pipeline.door.keys.mine.clone(), id, address).await
}

async fn record_of(
    pipeline: &Pipeline,
    owner: &crate::ingest::fixture::Key,
    id: &str,
    address: &str,
) -> Result<Submission> {
    let mut document = order(id);
    document["customer"] = json!({"email": format!("{id}@example.org")});
    document["ip_address"] = json!(address);
    let submission = pipeline.submission_of(owner, &document)?;
    let verdict = r#"{"risk_score":0}"#.to_owned();
    let new = NewRevision {
        submission: &submission,
        revision: 1,
        body_hash: submission.body_hash.clone(),
        document: submission.document.get().into(),
        score: 0,
        level: RiskLevel::Low,
        action: Action::Approve,
        policy_version: 0,
        enrichment_version: None,
        amount_minor: 100,
        currency: "EUR".to_owned(),
        quantity: 0,
        reopens: false,
        scored_at: submission.received_at,
        event: event(&submission, EventKind::OrderScored, &verdict_event_data(1, 1, &verdict))?,
        verdict,
        history: old_entry(pipeline, &submission, address)?,
        declared_keys: Vec::new(),
        warnings: Vec::new(),
    };
    assert_eq!(pipeline.system().record(&[new], &[]).await?, [true]);
    pipeline.door.clock.advance(Duration::from_secs(1));
    Ok(submission)
}

async fn found(pipeline: &Pipeline, of: &Submission, kind: HistoryKeyKind, value: &str) -> Result<usize> {
    let key = key(pipeline, of, kind.as_str(), value)?;
    let history = pipeline.system().load_history(&[(Some(kind), key)], START - Duration::from_secs(1)).await?;
    Ok(history.get(&key).map_or(0, Vec::len))
}

async fn begin(pipeline: &Pipeline, is_dry: bool) -> Result<Rekey<'_>> {
    let (store, now) = (&pipeline.door.store, pipeline.door.clock.now());
    Ok(Rekey::begin(store, pipeline.door.directory.snapshot(), None, is_dry, now).await?)
}

async fn to_the_end(pipeline: &Pipeline, rekey: &mut Rekey<'_>) -> Result<()> {
    while rekey.step(pipeline.door.clock.now()).await? {}
    Ok(())
}

async fn history_of_an_older_build_gets_the_keys_of_this_one(pipeline: &mut Pipeline) -> Result<()> {
    let private = record(pipeline, "R-1", "10.1.2.3").await?;
    let public = record(pipeline, "R-2", "81.2.69.142").await?;
    assert_eq!(found(pipeline, &private, HistoryKeyKind::Ip, "10.1.2.3").await?, 1);
    let mut rekey = begin(pipeline, false).await?;
    to_the_end(pipeline, &mut rekey).await?;
    let counts = rekey.counts();
    assert_eq!((counts.looked_at, counts.changed, counts.without_document, counts.unreadable), (2, 2, 0, 0));
    assert_eq!(found(pipeline, &private, HistoryKeyKind::Ip, "10.1.2.3").await?, 0);
    assert_eq!(found(pipeline, &public, HistoryKeyKind::Ip, "81.2.69.142").await?, 1);
    assert_eq!(found(pipeline, &private, HistoryKeyKind::Email, "in another spelling").await?, 0);
    assert_eq!(found(pipeline, &private, HistoryKeyKind::Email, "r-1@example.org").await?, 1);

    let mut again = begin(pipeline, false).await?;
    to_the_end(pipeline, &mut again).await?;
    assert_eq!((again.counts().looked_at, again.counts().changed), (2, 0), "what is right is left alone");
    Ok(())
}

async fn entries_without_a_stored_order_lose_the_key_of_their_address_once(pipeline: &mut Pipeline) -> Result<()> {
    let attempt = async |id: &str| -> Result<Submission> {
        let submission = pipeline.submission(&order(id))?;
        let history = HistoryEntry {
            what: Happening::FailedAttempt,
            declines: 1,
            ..old_entry(pipeline, &submission, "81.2.69.142")?
        };
        let event = event(&submission, EventKind::PaymentFailed, "{}")?;
        let new = NewFailedAttempt { event, history, declared_keys: Vec::new() };
        assert_eq!(pipeline.system().record_failed_attempts(&[new]).await?, [true]);
        pipeline.door.clock.advance(Duration::from_secs(1));
        Ok(submission)
    };
    let old = attempt("R-10").await?;
    let mut rekey = begin(pipeline, false).await?;
    to_the_end(pipeline, &mut rekey).await?;
    assert_eq!((rekey.counts().changed, rekey.counts().without_document), (1, 1));
    assert_eq!(found(pipeline, &old, HistoryKeyKind::Ip, "81.2.69.142").await?, 0);
    assert_eq!(found(pipeline, &old, HistoryKeyKind::Email, "in another spelling").await?, 1, "other keys stay");

    let new = attempt("R-11").await?;
    let mut again = begin(pipeline, false).await?;
    to_the_end(pipeline, &mut again).await?;
    assert_eq!((again.counts().changed, again.counts().without_document), (0, 2));
    assert_eq!(found(pipeline, &new, HistoryKeyKind::Ip, "81.2.69.142").await?, 1, "written by this build");
    Ok(())
}

async fn pass_that_was_stopped_goes_on_and_a_dry_one_changes_nothing(pipeline: &mut Pipeline) -> Result<()> {
    let mut orders = Vec::new();
    for number in 0..5 {
        orders.push(record(pipeline, &format!("R-2{number}"), "10.1.2.3").await?);
    }
    let mut dry = begin(pipeline, true).await?;
    to_the_end(pipeline, &mut dry).await?;
    assert_eq!((dry.counts().looked_at, dry.counts().changed), (5, 5));
    assert_eq!(found(pipeline, &orders[0], HistoryKeyKind::Ip, "10.1.2.3").await?, 5);

    let mut first = begin(pipeline, false).await?.by(2);
    assert!(first.step(pipeline.door.clock.now()).await? && !begin(pipeline, true).await?.is_resumed());
    drop(first);
    assert_eq!(found(pipeline, &orders[0], HistoryKeyKind::Ip, "10.1.2.3").await?, 3);
    let mut second = begin(pipeline, false).await?.by(2);
    assert!(second.is_resumed());
    to_the_end(pipeline, &mut second).await?;
    assert_eq!((second.counts().looked_at, second.counts().changed), (5, 5));
    assert_eq!(found(pipeline, &orders[0], HistoryKeyKind::Ip, "10.1.2.3").await?, 0);
    Ok(())
}

async fn history_of_one_store_is_computed_again_alone(pipeline: &mut Pipeline) -> Result<()> {
    let mine = record(pipeline, "R-30", "10.1.2.3").await?;
    let theirs = record_of(pipeline, &pipeline.door.keys.theirs.clone(), "R-31", "10.1.2.3").await?;
    let (store, now) = (&pipeline.door.store, pipeline.door.clock.now());
    let only = Some(theirs.tenant.store_id.clone());
    let mut rekey = Rekey::begin(store, pipeline.door.directory.snapshot(), only, false, now).await?;
    to_the_end(pipeline, &mut rekey).await?;
    assert_eq!((rekey.counts().looked_at, rekey.counts().changed), (1, 1));
    assert_eq!(found(pipeline, &theirs, HistoryKeyKind::Ip, "10.1.2.3").await?, 0);
    assert_eq!(found(pipeline, &mine, HistoryKeyKind::Ip, "10.1.2.3").await?, 1);
    Ok(())
}
