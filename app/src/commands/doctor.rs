//! `touchstone doctor`: checks every setting and dependency and says how to mend what is wrong.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use touchstone_platform::cache;
use touchstone_platform::clock::Clock;
use touchstone_platform::crypto::MasterKeys;
use touchstone_platform::directory::Directory;
use touchstone_platform::inspect;
use touchstone_platform::queue::{self, Lane, QueueError, QueueSettings};
use touchstone_platform::settings::{Services, Settings};
use touchstone_platform::store::Store;
use touchstone_platform::transport::Trust;
use touchstone_schema::secret::Secret;
use touchstone_schema::visible::visible;

use crate::compose;
use crate::output::Output;

mod centra;
mod disk;
mod endpoints;
mod enrichment;
mod processes;
mod transport;

/// Oldest versions that the design allows.
const POSTGRES_VERSION: i64 = 150_000;
const RABBITMQ_VERSION: [u32; 2] = [3, 10];
const REDIS_VERSION: [u32; 2] = [7, 0];
/// Clocks further apart than this make timestamps of signed requests and the database disagree.
const CLOCK_SKEW_MS: i64 = 2_000;
/// Time that the broker's connection is given to come up.
const BROKER_LIMIT: Duration = Duration::from_secs(6);

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    /// Optional, and not there.
    Off,
    Warn,
    Fail,
}

impl Grade {
    const fn mark(self) -> &'static str {
        match self {
            Self::Ok => "ok  ",
            Self::Off => "off ",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    grade: Grade,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

/// The list of findings as it grows.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, found: impl Into<String>) {
        self.0.push(Finding { what, grade: Grade::Ok, found: found.into(), mend: None });
    }

    fn off(&mut self, what: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { what, grade: Grade::Off, found: found.into(), mend: Some(mend.into()) });
    }

    fn warn(&mut self, what: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { what, grade: Grade::Warn, found: found.into(), mend: Some(mend.into()) });
    }

    fn fail(&mut self, what: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding { what, grade: Grade::Fail, found: found.into(), mend: Some(mend.into()) });
    }

    fn count(&self, grade: Grade) -> usize {
        self.0.iter().filter(|finding| finding.grade == grade).count()
    }
}

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Leave out whether the roles run: for a check before they are started.
    #[arg(long)]
    before_start: bool,
    /// Show what was found in order too.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(arguments: DoctorArguments, output: Output) -> anyhow::Result<ExitCode> {
    let mut findings = Findings::default();
    match compose::load_for_command() {
        Ok(settings) => examine(&settings, arguments.before_start, &mut findings).await,
        Err(error) => findings.fail("settings", format!("{error:#}"), "correct that setting and run doctor again"),
    }
    let healthy = findings.count(Grade::Fail) == 0;
    let document = serde_json::json!({ "healthy": healthy, "checks": findings.0 });
    output.show(&document, || describe(&findings, arguments.all))?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line of verdict, then what is wrong, the failures first; what is in order is only counted, unless all is asked for.
fn describe(findings: &Findings, all: bool) -> String {
    let (failed, warned) = (findings.count(Grade::Fail), findings.count(Grade::Warn));
    let mut text = match (failed, warned) {
        (0, 0) => "Everything is in order.\n".to_owned(),
        (0, _) => format!("Nothing failed; {warned} warning(s):\n"),
        _ => format!(
            "{failed} check(s) failed, {warned} warning(s): correct them as the arrows say, then run doctor again.\n"
        ),
    };
    let width = findings.0.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    for grade in [Grade::Fail, Grade::Warn, Grade::Off, Grade::Ok] {
        let is_shown = all || matches!(grade, Grade::Fail | Grade::Warn);
        let found: Vec<_> = findings.0.iter().filter(|finding| finding.grade == grade).collect();
        if !is_shown && !found.is_empty() {
            let names: Vec<_> = found.iter().map(|finding| finding.what).collect();
            text.push_str(&format!("{}  {} (--all shows what was found)\n", grade.mark(), names.join(", ")));
            continue;
        }
        for finding in found {
            text.push_str(&format!("{}  {:<width$}  {}\n", grade.mark(), finding.what, visible(&finding.found)));
            if let Some(mend) = &finding.mend {
                text.push_str(&format!("      {:<width$}  → {}\n", "", visible(mend)));
            }
        }
    }
    text
}

async fn examine(settings: &Settings, is_before_start: bool, findings: &mut Findings) {
    let place = if settings.is_embedded() { "embedded: no services needed" } else { "RabbitMQ, PostgreSQL and Redis" };
    findings.ok("settings", place);
    match examine_folder(settings, findings) {
        Folder::Unusable => return,
        Folder::Missing => {
            if settings.master_key.is_some() {
                examine_master_key(settings, findings);
            }
            return;
        }
        Folder::Ready => {}
    }
    disk::examine(settings, findings);
    if settings.is_embedded() && !is_before_start {
        processes::examine_owner(settings, findings);
    }
    let keys = examine_master_key(settings, findings);
    let store = match &settings.services {
        Services::Embedded => examine_sqlite(settings, findings).await,
        Services::Production { database_url, amqp_url, redis_url } => {
            transport::examine(database_url, amqp_url, redis_url, findings);
            let store = examine_postgres(settings, database_url, findings).await;
            examine_rabbitmq(amqp_url, &settings.trust, is_before_start, findings).await;
            examine_redis(redis_url, &settings.trust, findings).await;
            store
        }
    };
    if let (Some(store), Some(keys)) = (store, keys) {
        match Directory::open(store.clone(), Some(Arc::clone(&keys)), Clock::system()).await {
            Ok(directory) => {
                findings.ok("stored secrets", "open with the master key");
                match compose::keys_without_master_key(&directory, &keys) {
                    None => findings.ok("API keys", "can all be used"),
                    Some(refused) => findings.fail("API keys", refused, compose::KEEP_OLD_MASTER_KEYS),
                }
            }
            Err(error) => findings.fail(
                "stored secrets",
                format!("{:#}", anyhow::Error::new(error)),
                "give the master key that the stores were made with, beside the new one if it was rotated",
            ),
        }
        centra::examine(settings, &store, &keys, findings).await;
        endpoints::examine(&store, findings).await;
    }
    enrichment::examine(&settings.enrichment_dir(), Clock::system().now(), findings);
    if settings.public_url.is_none() && !settings.is_embedded() {
        findings.warn(
            "public address",
            "TOUCHSTONE_PUBLIC_URL is not set",
            "set it to the address that callers use, such as https://fraud.example.com",
        );
    }
    if !settings.egress_allow.is_empty() {
        findings.warn(
            "webhook targets",
            "TOUCHSTONE_EGRESS_ALLOW lets webhooks reach private networks",
            "keep that to development",
        );
    }
}

/// The master keys, where they can be read. Nothing is made.
fn examine_master_key(settings: &Settings, findings: &mut Findings) -> Option<Arc<MasterKeys>> {
    match compose::existing_master_keys(settings) {
        Ok(keys) => {
            findings.ok("master key", format!("`{}` seals", keys.current_id()));
            Some(keys)
        }
        Err(error) => {
            let mend = "set TOUCHSTONE_MASTER_KEY, or restore the key file from its backup";
            findings.fail("master key", format!("{error:#}"), mend);
            None
        }
    }
}

/// The folder of embedded data as it was found.
enum Folder {
    Ready,
    Missing,
    Unusable,
}

/// Whether the folder of embedded data is there and can be used. Nothing is written.
fn examine_folder(settings: &Settings, findings: &mut Findings) -> Folder {
    const WHAT: &str = "data folder";
    if !settings.is_embedded() {
        return Folder::Ready;
    }
    let folder = settings.data_dir().display().to_string();
    if let Err(error) = compose::require_volume(settings) {
        findings.fail(WHAT, format!("{error:#}"), "mount a volume, or set TOUCHSTONE_DATA_DIR");
        return Folder::Unusable;
    }
    if !settings.database_path().exists() {
        findings.off(
            WHAT,
            format!("no data in {folder}"),
            "touchstone serve makes it, or set TOUCHSTONE_DATA_DIR to where it is",
        );
        return Folder::Missing;
    }
    if !inspect::is_writable(settings.data_dir()) {
        findings.fail(
            WHAT,
            format!("{folder} cannot be written by this user"),
            "run as the user that owns it, or point TOUCHSTONE_DATA_DIR at a folder that this user may write",
        );
        return Folder::Unusable;
    }
    match compose::mode_of(settings.data_dir()) {
        Ok(mode) if mode & 0o007 != 0 => {
            findings.warn(
                WHAT,
                format!("{folder} may be read by every user (mode {mode:o})"),
                format!("chmod 700 {folder}"),
            );
        }
        _ => findings.ok(WHAT, format!("{folder} is writable")),
    }
    Folder::Ready
}

async fn examine_sqlite(settings: &Settings, findings: &mut Findings) -> Option<Store> {
    const WHAT: &str = "SQLite";
    let path = settings.database_path().display().to_string();
    let store = match compose::connect(settings, 1).await {
        Ok(store) => store,
        Err(error) => {
            findings.fail(WHAT, format!("{error:#}"), format!("check the rights on {path} and the room on its disk"));
            return None;
        }
    };
    if let Err(error) = store.require_current().await {
        findings.warn(WHAT, format!("{path}: {error}"), "the next start of `touchstone serve` brings it up to date");
        return None;
    }
    findings.ok(WHAT, format!("{path} is current"));
    examine_embedded_queue(&store, findings).await;
    Some(store)
}

async fn examine_embedded_queue(store: &Store, findings: &mut Findings) {
    match queue::open(&QueueSettings::BesideEmbedded { store: store.clone() }, Clock::system()).await {
        Ok(queue) => examine_lanes("queue", queue.as_ref(), String::new(), findings).await,
        Err(error) => findings.fail("queue", error.to_string(), "check the SQLite file"),
    }
}

async fn examine_postgres(settings: &Settings, url: &Secret, findings: &mut Findings) -> Option<Store> {
    const WHAT: &str = "PostgreSQL";
    let place = place_of(url);
    let start = format!("start PostgreSQL at {place}, or correct DATABASE_URL (docker compose up -d postgres)");
    let store = match compose::connect(settings, 1).await {
        Ok(store) => store,
        Err(error) => {
            findings.fail(WHAT, format!("{error:#}"), start);
            return None;
        }
    };
    let facts = match inspect::postgres(&store).await {
        Ok(facts) => facts,
        Err(error) => {
            findings.fail(WHAT, error.to_string(), start);
            return None;
        }
    };
    let version = format!("{}.{}", facts.version_number / 10_000, facts.version_number % 10_000);
    if facts.version_number < POSTGRES_VERSION {
        findings.fail(WHAT, format!("version {version} at {place}"), "upgrade PostgreSQL to 15 or later");
    } else {
        findings.ok(WHAT, format!("version {version} at {place}"));
    }
    let skew = facts.time_ms - Clock::system().now().as_millis();
    if skew.abs() > CLOCK_SKEW_MS {
        findings.warn("clock", format!("differs from the database's by {} ms", skew.abs()), "run NTP on both machines");
    } else {
        findings.ok("clock", "agrees with the database's");
    }
    match store.require_current().await {
        Ok(()) => {
            findings.ok("schema", "current");
            Some(store)
        }
        Err(error) => {
            findings.fail("schema", error.to_string(), "touchstone migrate");
            None
        }
    }
}

async fn examine_rabbitmq(url: &Secret, trust: &Trust, is_before_start: bool, findings: &mut Findings) {
    const WHAT: &str = "RabbitMQ";
    let place = place_of(url);
    let version = match inspect::rabbitmq(url).await {
        Ok(version) => version,
        Err(error) => {
            let mend = format!(
                "start RabbitMQ at {place} (systemctl start rabbitmq-server, or docker compose up -d rabbitmq), or correct AMQP_URL"
            );
            return findings.fail(WHAT, format!("{place} cannot be reached: {error}"), mend);
        }
    };
    if let Some(version) = &version
        && !at_least(version, RABBITMQ_VERSION)
    {
        return findings.fail(WHAT, format!("version {version} at {place}"), "upgrade RabbitMQ to 3.10 or later");
    }
    let version = version.map_or("version unknown".to_owned(), |version| format!("version {version}"));
    let settings = QueueSettings::RabbitMq { url: url.clone(), connection_name: "touchstone doctor".to_owned() };
    let opened = tokio::time::timeout(BROKER_LIMIT, queue::open_trusting(&settings, Clock::system(), trust)).await;
    match opened {
        Ok(Ok(queue)) => {
            examine_lanes(WHAT, queue.as_ref(), format!("{version} at {place}; "), findings).await;
            if !is_before_start {
                processes::examine_consumers(queue.as_ref(), findings).await;
            }
            queue.close().await;
        }
        Ok(Err(QueueError::Refused(reason))) => {
            findings.fail(
                WHAT,
                format!("{version} at {place} refuses: {reason}"),
                "check user, password and virtual host in AMQP_URL, and the queues' arguments",
            );
        }
        Ok(Err(error)) => findings.fail(WHAT, format!("{version} at {place}: {error}"), "look into the broker's log"),
        Err(_) => findings.fail(
            WHAT,
            format!("{version} at {place} does not let us in within {BROKER_LIMIT:?}"),
            "check user, password and virtual host in AMQP_URL, and the broker's alarms (rabbitmqctl status)",
        ),
    }
}

async fn examine_lanes(what: &'static str, queue: &dyn queue::Queue, place: String, findings: &mut Findings) {
    const MEND: &str = "check user, password and virtual host in AMQP_URL, and the broker's log";
    let mut depths = Vec::new();
    for lane in Lane::ALL {
        match queue.depth(*lane).await {
            Ok(depth) => depths.push(format!("{lane} {depth}", lane = lane.as_str())),
            Err(error) => return findings.fail(what, format!("{place}the {} lane: {error}", lane.as_str()), MEND),
        }
    }
    findings.ok(what, format!("{place}waiting: {}", depths.join(", ")));
    match queue.dead_letters(1_000).await {
        Ok(letters) if letters.is_empty() => findings.ok("dead letters", "none"),
        Ok(letters) => {
            findings.warn(
                "dead letters",
                format!("{} wait for a person", letters.len()),
                "touchstone dead-letter list",
            );
        }
        Err(error) => findings.fail("dead letters", error.to_string(), MEND),
    }
}

async fn examine_redis(url: &Secret, trust: &Trust, findings: &mut Findings) {
    const WHAT: &str = "Redis";
    let place = place_of(url);
    let facts = match inspect::redis(url, trust).await {
        Ok(facts) => facts,
        Err(error) => {
            let mend = format!("start Redis at {place} (docker compose up -d redis), or correct REDIS_URL");
            return findings.fail(WHAT, format!("{place} cannot be used: {error}"), mend);
        }
    };
    if !at_least(&facts.version, REDIS_VERSION) {
        return findings.fail(WHAT, format!("version {} at {place}", facts.version), "upgrade Redis to 7 or later");
    }
    findings.ok(WHAT, format!("version {} at {place}", facts.version));
    if facts.append_only == Some(false) {
        findings.warn(
            "Redis persistence",
            "appendonly is off: a restart forgets used nonces",
            "redis-cli CONFIG SET appendonly yes, and in redis.conf",
        );
    }
    match facts.eviction.as_deref() {
        None | Some("noeviction") => {}
        Some(other) => findings.warn(
            "Redis memory",
            format!("maxmemory-policy is {other}: nonces may be evicted"),
            "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        ),
    }
    let settings = cache::CacheSettings::Redis { url: url.clone() };
    if let Err(error) = cache::open_trusting(&settings, &Clock::system(), trust).await {
        findings.fail(WHAT, error.to_string(), "correct REDIS_URL");
    }
}

/// Host and port of an address, without its password.
fn place_of(url: &Secret) -> String {
    let parsed: Option<url::Url> = url.expose_text().and_then(|text| text.parse().ok());
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or("its address");
    parsed.as_ref().and_then(url::Url::port).map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn at_least(version: &str, least: [u32; 2]) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0)] >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(at_least("3.10.8", RABBITMQ_VERSION) && at_least("4.0", RABBITMQ_VERSION));
        assert!(!at_least("3.9.29", RABBITMQ_VERSION) && !at_least("", RABBITMQ_VERSION));
    }

    #[test]
    fn places_show_no_password() {
        assert_eq!(place_of(&Secret::new("amqp://u:hunter2@mq:5672/%2f")), "mq:5672");
        assert_eq!(place_of(&Secret::new("redis://:hunter2@cache")), "cache");
        assert_eq!(place_of(&Secret::new("hunter2")), "its address");
    }

    #[test]
    fn failures_come_first_each_with_what_to_do_and_the_rest_is_folded() {
        let mut findings = Findings::default();
        findings.ok("settings", "embedded");
        assert_eq!(
            describe(&findings, false),
            "Everything is in order.\nok    settings (--all shows what was found)\n"
        );
        findings.warn("clock", "differs", "run NTP");
        findings.fail("RabbitMQ", "mq:5672 cannot be reached", "start it");
        let text = describe(&findings, false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("1 check(s) failed, 1 warning(s)"), "{text}");
        assert_eq!(lines[1], "FAIL  RabbitMQ  mq:5672 cannot be reached");
        assert!(lines[2].ends_with("→ start it") && lines[3].starts_with("warn  clock"), "{text}");
        assert!(describe(&findings, true).contains("ok    settings  embedded"));
    }
}
