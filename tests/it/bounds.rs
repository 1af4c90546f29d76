//! Nothing unbounded: every channel and every map or queue that a part of a process holds has its limit named here.
//!
//! The sources of the roles and of the platform are read for them, so that a new one is not added without its limit. What a
//! function holds while it runs is not looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where long-lived parts are.
const FOLDERS: [&str; 4] = ["platform/src", "ingest/src", "scorer/src", "notifier/src"];
const COLLECTIONS: [&str; 7] = ["HashMap<", "HashSet<", "BTreeMap<", "BTreeSet<", "VecDeque<", "DashMap<", "IndexMap<"];

/// Channels without a capacity: the file, and what bounds it.
const CHANNELS: &[(&str, &str)] = &[(
    "platform/src/queue/embedded/ledger.rs",
    "each sender waits for its answer: callers are bounded by connections and prefetch",
)];

/// Members that hold a collection: the file, the member, and what bounds it.
const MEMBERS: &[(&str, &str, &str)] = &[
    ("platform/src/telemetry/endpoints.rs", "counted", "COUNTED endpoints; the others are counted together"),
    ("platform/src/cache/embedded/admissions.rs", "revoked", "REVOKED keys"),
    ("platform/src/cache/embedded/admissions.rs", "backlogs", "BACKLOGS, when those that drained are forgotten"),
    ("platform/src/cache/embedded/admissions.rs", "nonces", "NONCES: more are refused"),
    ("platform/src/cache/embedded/admissions.rs", "expiries", "one for each nonce that came within NONCE_TTL"),
    ("platform/src/cache/embedded/memory.rs", "by_order", "VERDICTS: the oldest go"),
    ("platform/src/cache/embedded/memory.rs", "arrivals", "VERDICTS: the oldest go"),
    ("platform/src/queue/embedded/ledger/writer.rs", "inbox", "what one look claims, at most the prefetch"),
    ("platform/src/queue/embedded/ledger/writer.rs", "rows", "the deliveries of one batch"),
    ("platform/src/queue/embedded/interactive.rs", "waiting", "REQUESTS_WAITING: more are refused"),
    ("platform/src/queue/embedded/interactive.rs", "out", "the prefetch of its consumer"),
    ("platform/src/queue/rabbitmq/consumer.rs", "unsettled", "the prefetch"),
    ("platform/src/queue/rabbitmq/consumer.rs", "unpacked", "the messages of one delivery within the prefetch"),
    ("platform/src/crypto/bcrypt_verifier.rs", "proven", "REMEMBERED credentials"),
    ("platform/src/directory/snapshot.rs", "stores", "rows of the database, read as a whole"),
    ("platform/src/directory/snapshot.rs", "keys_by_prefix", "rows of the database, read as a whole"),
    ("platform/src/directory/snapshot.rs", "keys_by_id", "rows of the database, read as a whole"),
    ("platform/src/directory/snapshot.rs", "policies", "one for each store, of POLICY_BYTES at most"),
    ("platform/src/directory/snapshot.rs", "connections", "rows of the database, read as a whole"),
    ("platform/src/directory/snapshot.rs", "connections_by_path", "two for each connection"),
    ("platform/src/store/backfill/commit.rs", "known", "the rows of one batch"),
    ("platform/src/store/scoring/record.rs", "before", "the orders of one batch, SCORING_BATCH"),
    ("platform/src/store/scoring.rs", "latest", "the orders of one batch, SCORING_BATCH"),
    ("platform/src/store/scoring.rs", "scored", "the orders of one batch, SCORING_BATCH"),
    ("scorer/src/backtest/comparison.rs", "levels", "pairs of levels"),
    ("scorer/src/backtest/comparison.rs", "actions", "pairs of actions"),
    ("scorer/src/backtest/comparison.rs", "money", "currencies times actions"),
    ("scorer/src/score/policy/document.rs", "actions", "levels"),
    ("scorer/src/score/policy/document.rs", "points", "signals; a policy has POLICY_BYTES at most"),
    ("scorer/src/score/policy/document.rs", "caps", "groups of signals"),
    ("scorer/src/score/policy/document.rs", "high_amounts", "currencies"),
    ("scorer/src/score/policy/document.rs", "history_keys", "POLICY_HISTORY_KEYS"),
    ("scorer/src/score/rules/compile.rs", "declared", "POLICY_HISTORY_KEYS"),
    ("scorer/src/score/rules/parse.rs", "codes", "POLICY_RULES"),
    ("scorer/src/score/signals/time_zones.rs", "by_country", "countries"),
    ("scorer/src/score/signals/time_zones.rs", "by_zone", "time zones"),
    ("scorer/src/replay.rs", "sizes", "NORMS_ORDERS; only evaluate replays"),
    ("ingest/src/surfaces/backfill/slots.rs", "of_stores", "AT_ONCE: one for each upload that is under way"),
    ("platform/src/directory/look.rs", "refused", "the looks of REFUSED_FOR, which a token bucket limits"),
    ("platform/src/listen/peers.rs", "open", "the connections of the listener, one for each address at most"),
    ("notifier/src/deliver.rs", "endpoints", "the lines of the dispatcher, LINES"),
    ("notifier/src/deliver.rs", "waiting", "WAITING_PER_SLOT times the slots"),
    ("notifier/src/deliver.rs", "lines", "LINES"),
    ("notifier/src/deliver.rs", "turns", "LINES"),
    ("notifier/src/deliver.rs", "failing_turns", "LINES"),
    ("notifier/src/changes.rs", "changes", "TAKEN_TOGETHER a second, for the life of a lease"),
    ("notifier/src/flights.rs", "flying", "the slots of the notifier"),
    ("notifier/src/flights.rs", "by_age", "the slots of the notifier"),
    ("notifier/src/centra/work.rs", "budgets", "one for each Centra connection"),
    ("notifier/src/pace.rs", "windows", "WINDOWS, when those that ended are forgotten"),
    ("notifier/src/pace.rs", "breakers", "WINDOWS, when those whose pause is over are forgotten"),
    ("notifier/src/pace.rs", "begun", "ENDPOINT_RATE_MOST: what began within a second"),
    ("notifier/src/compare.rs", "found", "the operations of the connector"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test {
            found.push(path);
        }
    }
    Ok(())
}

/// The lines of each source that are no test: file and text.
fn lines() -> anyhow::Result<Vec<(String, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut files = Vec::new();
    for folder in FOLDERS {
        sources(&root.join(folder), &mut files)?;
    }
    let mut lines = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root)?.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file)?;
        let own = text.lines().take_while(|line| *line != "#[cfg(test)]");
        lines.extend(own.map(|line| (name.clone(), line.to_owned())));
    }
    Ok(lines)
}

/// The name of a member that holds a collection, if a line declares one: `name: Mutex<HashMap<…`, not a variable or parameter.
fn member(line: &str) -> Option<&str> {
    let declared = line.trim_start().strip_suffix(',')?;
    let declared =
        declared.strip_prefix("pub").map_or(declared, |rest| rest.split_once(' ').map_or(rest, |(_, rest)| rest));
    let (name, kind) = declared.split_once(": ")?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let is_kind = kind.starts_with(|sign: char| sign.is_ascii_uppercase() || sign == '&') && !kind.contains('=');
    (is_name && is_kind && COLLECTIONS.iter().any(|collection| kind.contains(collection))).then_some(name)
}

#[test]
fn every_channel_without_a_capacity_is_bounded_by_something_named() -> anyhow::Result<()> {
    let lines = lines()?;
    let unbounded = lines.iter().filter(|(_, line)| !line.trim_start().starts_with("//") && line.contains("unbounded"));
    let found: BTreeSet<&str> = unbounded.map(|(file, _)| file.as_str()).collect();
    assert_eq!(found, CHANNELS.iter().map(|(file, _)| *file).collect());
    Ok(())
}

#[test]
fn every_collection_that_a_part_of_a_process_holds_is_bounded_by_something_named() -> anyhow::Result<()> {
    let lines = lines()?;
    let found: BTreeSet<_> = lines.iter().filter_map(|(file, line)| Some((file.as_str(), member(line)?))).collect();
    assert_eq!(found, MEMBERS.iter().map(|(file, member, _)| (*file, *member)).collect());
    assert!(MEMBERS.iter().all(|(.., bound)| !bound.is_empty()));
    Ok(())
}
