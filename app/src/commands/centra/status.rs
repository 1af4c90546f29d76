//! How the connections of a store do: what they hold, and what became of it.

use std::time::Duration;

use serde::Serialize;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_platform::store::holds::{Hold, HoldCount, NEVER};
use touchstone_schema::centra::{ConnectionSettings, HoldState, OrderArguments};
use touchstone_schema::ids::{ConnectionId, StoreId};
use touchstone_schema::time::Timestamp;

use super::settings;
use crate::commands::store;
use crate::compose::Operator;
use crate::output::{Cell, Output, fields, table};

/// How long tokens of the Integration API last unless the shop chose otherwise, and when to look for the next one.
pub(crate) const TOKEN_DAYS: u64 = 30;
pub(crate) const TOKEN_WARN_DAYS: u64 = 25;
/// The state of holds that wait for a person.
const WAITING: &str = HoldState::Waiting.as_str();
/// Holds that ended and are shown to people; programs get a page of them.
const ENDED_SHOWN: usize = 10;

/// A connection as programs are told of it.
#[derive(Serialize)]
struct Document {
    connection_id: ConnectionId,
    state: State,
    api_url: String,
    settings: ConnectionSettings,
    order_arguments: Option<OrderArguments>,
    created_at: String,
    disconnected_at: Option<String>,
    stopped_reason: Option<String>,
    paused_until: Option<String>,
    token: Token,
    previous_path_valid_until: Option<String>,
    swept_at: Option<String>,
    open_holds: OpenHolds,
    ended_holds: Vec<HoldDocument>,
    unknown_notices: Vec<Unknown>,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Paused,
    Stopped,
    Disconnected,
}

#[derive(Serialize)]
struct Token {
    set_at: String,
    age_days: u64,
    warning: Option<String>,
}

#[derive(Serialize)]
struct OpenHolds {
    by_state: Vec<Count>,
    holds: Vec<HoldDocument>,
}

#[derive(Serialize)]
struct Count {
    state: String,
    holds: i64,
    oldest_opened_at: String,
}

#[derive(Serialize)]
struct Unknown {
    kind: String,
    notices: i64,
}

#[derive(Serialize)]
struct HoldDocument {
    hold_id: String,
    reference: String,
    order_id: Option<String>,
    order_number: Option<i64>,
    transaction_id: Option<String>,
    state: String,
    wanted: Option<&'static str>,
    wanted_by: Option<&'static str>,
    would_have: Option<&'static str>,
    sent: Option<&'static str>,
    attempts: u32,
    outcome: Option<&'static str>,
    last_error: Option<String>,
    opened_at: String,
    deadline_at: String,
    due_at: Option<String>,
    closed_at: Option<String>,
}

impl From<&Hold> for HoldDocument {
    fn from(hold: &Hold) -> Self {
        Self {
            hold_id: hold.id.to_string(),
            reference: hold.reference.clone(),
            order_id: hold.centra_id.clone(),
            order_number: hold.number,
            transaction_id: hold.transaction_id.as_ref().map(ToString::to_string),
            state: hold.state.to_string(),
            wanted: hold.wanted.map(|(effect, _)| effect.as_str()),
            wanted_by: hold.wanted.map(|(_, by)| by.as_str()),
            would_have: hold.would_have.map(|effect| effect.as_str()),
            sent: hold.sent.map(|(effect, _)| effect.as_str()),
            attempts: hold.attempts,
            outcome: hold.outcome.map(|outcome| outcome.as_str()),
            last_error: hold.last_error.clone(),
            opened_at: hold.opened_at.to_rfc3339(),
            deadline_at: hold.deadline_at.to_rfc3339(),
            // What waits for a person alone is due never.
            due_at: (hold.closed_at.is_none() && hold.due_at < NEVER).then(|| hold.due_at.to_rfc3339()),
            closed_at: hold.closed_at.map(Timestamp::to_rfc3339),
        }
    }
}

pub(super) async fn show(
    store: &StoreId,
    only: Option<ConnectionId>,
    operator: &Operator,
    output: Output,
) -> anyhow::Result<()> {
    store::existing(operator, store).await?;
    let mut connections = operator.system().connections(Some(store)).await?;
    if let Some(only) = only {
        connections.retain(|row| row.id == only);
        anyhow::ensure!(!connections.is_empty(), "{store} has no connection {only}");
    }
    let now = operator.clock.now();
    let mut documents = Vec::with_capacity(connections.len());
    for row in connections {
        documents.push(document(row, now, operator).await?);
    }
    output.show(&serde_json::json!({ "connections": documents }), || {
        let mut told: Vec<_> = documents.iter().map(|document| described(document, now)).collect();
        let waits = |document: &Document| document.open_holds.holds.iter().any(|hold| hold.state == WAITING);
        if documents.iter().any(waits) {
            told.push(format!(
                "Next: touchstone order decide --store {store} --id ORDER --decision approve|reject --reviewer YOU"
            ));
        }
        if told.is_empty() {
            told.push(format!(
                "No connections yet.\nNext: touchstone centra connect --store {store} --api-url https://…"
            ));
        }
        told.join("\n")
    })
}

async fn document(row: ConnectionRow, now: Timestamp, operator: &Operator) -> anyhow::Result<Document> {
    let system = operator.system();
    let counts = system.hold_counts(&row.id).await?;
    let count = |count: &HoldCount| Count {
        state: count.state.to_string(),
        holds: count.holds,
        oldest_opened_at: count.oldest.to_rfc3339(),
    };
    let flagged = system.flagged_notices(&row.id).await?;
    let previous = row.previous_path.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    Ok(Document {
        state: state_of(&row, now),
        token: token_of(&row, now),
        created_at: row.created_at.to_rfc3339(),
        disconnected_at: row.disconnected_at.map(Timestamp::to_rfc3339),
        paused_until: (row.paused_until > now).then(|| row.paused_until.to_rfc3339()),
        previous_path_valid_until: previous.map(Timestamp::to_rfc3339),
        swept_at: row.swept_at.map(Timestamp::to_rfc3339),
        open_holds: OpenHolds {
            by_state: counts.iter().map(count).collect(),
            holds: system.open_holds(&row.id).await?.iter().map(Into::into).collect(),
        },
        ended_holds: system.ended_holds(&row.id).await?.iter().map(Into::into).collect(),
        unknown_notices: flagged.into_iter().map(|(kind, notices)| Unknown { kind, notices }).collect(),
        connection_id: row.id,
        api_url: row.api_url,
        settings: row.settings,
        order_arguments: row.arguments,
        stopped_reason: row.stopped_reason,
    })
}

fn state_of(row: &ConnectionRow, now: Timestamp) -> State {
    if row.disconnected_at.is_some() {
        State::Disconnected
    } else if row.stopped_reason.is_some() {
        State::Stopped
    } else if row.paused_until > now {
        State::Paused
    } else {
        State::Running
    }
}

/// Whole days since the token was given to us; it may be older.
pub(crate) fn token_age_days(row: &ConnectionRow, now: Timestamp) -> u64 {
    now.since(row.token_set_at).as_secs() / Duration::from_secs(86_400).as_secs()
}

fn token_of(row: &ConnectionRow, now: Timestamp) -> Token {
    let age_days = token_age_days(row, now);
    let warning = (age_days >= TOKEN_WARN_DAYS && row.disconnected_at.is_none()).then(|| {
        format!("tokens last {TOKEN_DAYS} days by default: make another and `touchstone centra set-token` it")
    });
    Token { set_at: row.token_set_at.to_rfc3339(), age_days, warning }
}

fn described(document: &Document, now: Timestamp) -> String {
    let state = match (document.state, &document.stopped_reason, &document.paused_until) {
        (State::Stopped, Some(reason), _) => format!("STOPPED: {reason}; nothing is done before `centra set-token`"),
        (State::Paused, _, Some(until)) => format!("paused until {until}, as the shop asked"),
        (State::Disconnected, ..) => {
            format!("disconnected {}", document.disconnected_at.as_deref().unwrap_or_default())
        }
        _ => "running".to_owned(),
    };
    let warning = document.token.warning.as_deref().map(|warning| format!("; {warning}")).unwrap_or_default();
    let unknown: Vec<_> = document.unknown_notices.iter().map(|of| format!("{} × {}", of.notices, of.kind)).collect();
    let mut text = fields(&[
        ("connection", Some(document.connection_id.to_string())),
        ("shop", Some(document.api_url.clone())),
        ("state", Some(state)),
        ("token", Some(format!("{} days old{warning}", document.token.age_days))),
        ("order argument", Some(super::arguments_told(document.order_arguments, None))),
        ("old path", document.previous_path_valid_until.as_ref().map(|until| format!("taken until {until}"))),
        ("last sweep", Some(document.swept_at.clone().unwrap_or_else(|| "not yet".to_owned()))),
        ("unknown notices", (!unknown.is_empty()).then(|| unknown.join(", "))),
    ]);
    text.push_str(&settings::described(&document.settings));
    let held: Vec<_> = document.open_holds.by_state.iter().map(|count| counted(count, now)).collect();
    text.push_str(&fields(&[("on hold        ", (!held.is_empty()).then(|| held.join(", ")))]));
    let open = document.open_holds.holds.iter().map(open_row).collect();
    text.push_str(&table(
        &["order", "state", "wanted", "deadline", "last error"],
        open,
        "  Nothing is on hold for us.",
    ));
    let ended: Vec<_> = document.ended_holds.iter().take(ENDED_SHOWN).map(ended_row).collect();
    if !ended.is_empty() {
        text.push_str("\n\nEnded last:\n");
        text.push_str(&table(&["order", "outcome", "wanted", "ended", "detail"], ended, ""));
    }
    text + "\n"
}

fn counted(count: &Count, now: Timestamp) -> String {
    let oldest = Timestamp::parse_rfc3339(&count.oldest_opened_at).map_or(Duration::ZERO, |at| now.since(at));
    let minutes = u32::try_from(oldest.as_secs() / 60).unwrap_or(u32::MAX);
    format!("{} {} (oldest {})", count.holds, count.state, age(minutes))
}

/// Minutes as people say them.
fn age(minutes: u32) -> String {
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2_880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

/// The number that the shop's people know it by, and the id that commands take.
fn names(hold: &HoldDocument) -> Cell {
    match (hold.order_number, &hold.order_id) {
        (Some(number), Some(id)) => Cell::Lines(vec![format!("#{number}"), id.clone()]),
        _ => Cell::Line(hold.reference.clone()),
    }
}

fn wanted(hold: &HoldDocument) -> Cell {
    let wanted = hold.wanted.zip(hold.wanted_by).map(|(effect, by)| format!("{effect}, by {by}"));
    let would_have = hold.would_have.map(|effect| format!("verdict: {effect}"));
    Cell::Lines(std::iter::once(wanted.unwrap_or_default()).chain(would_have).collect())
}

fn open_row(hold: &HoldDocument) -> Vec<Cell> {
    let state =
        if hold.attempts > 0 { format!("{}, {} failed", hold.state, hold.attempts) } else { hold.state.clone() };
    let error = hold.last_error.clone().unwrap_or_default();
    vec![names(hold), state.into(), wanted(hold), hold.deadline_at.clone().into(), error.into()]
}

fn ended_row(hold: &HoldDocument) -> Vec<Cell> {
    let outcome = hold.outcome.unwrap_or_default().to_owned();
    let (ended, error) = (hold.closed_at.clone(), hold.last_error.clone());
    vec![names(hold), outcome.into(), wanted(hold), ended.unwrap_or_default().into(), error.unwrap_or_default().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_as_people_say_them() {
        assert_eq!([age(5), age(119), age(120), age(2_880)], ["5 min", "119 min", "2 h", "2 days"]);
    }
}
