//! `touchstone backfill`: reads files of past orders into a store's history.
//!
//! Guarantee: interrupted, however hard, the same command goes on where it stopped. A dry run writes nothing.
//! Failure: a file that cannot be read, or of which no row could be used, is a failure; refused rows beside good ones are
//! told and are none.

mod s3;
mod source;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use touchstone_platform::random;
use touchstone_platform::store::backfill::{Backfill, BackfillState, NewBackfill, Progress, Refusal, RowWarning};
use touchstone_schema::backfill::{DecimalMark, Encoding, Form, Format, RowKind, Separator};
use touchstone_schema::ids::{BackfillId, StoreId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::Tenant;
use touchstone_schema::visible::visible;
use touchstone_schema::warning::WarningCode;
use touchstone_scorer::backfill::{BackfillError, LEASE, Outcome, Reading, SideFile, read};
use touchstone_scorer::score::policy::Policy;

use super::policy::{Known, compiled};
use super::store::{data_key, tenant_of};
use crate::compose::Operator;
use crate::output::{Output, fields};
use source::Source;

/// How often it is looked whether a file is still being read by another process.
const LOOK: Duration = Duration::from_millis(500);

/// What to read, and how.
#[derive(Debug, Args)]
pub(crate) struct BackfillArguments {
    /// The store.
    #[arg(long, env = "TOUCHSTONE_STORE")]
    store: StoreId,
    /// Files, `s3://bucket/key` (credentials and endpoint from the usual AWS_* variables), or `-` for standard input; `.gz`
    /// files are unpacked.
    #[arg(required = true)]
    sources: Vec<String>,
    /// Read into the test world.
    #[arg(long)]
    test: bool,
    /// What the rows are: order or cart. Unless given, a row that names a cart and no order is a cart.
    #[arg(long)]
    kind: Option<RowKind>,
    /// How the rows lie in the file: csv, lines, array or jsonp. Unless given, the file's beginning tells.
    #[arg(long)]
    format: Option<Format>,
    /// What stands between the values of CSV: comma, semicolon, tab or pipe, or the sign. By default as in the header.
    #[arg(long, value_parser = Separator::named)]
    separator: Option<Separator>,
    /// What stands before the decimals of the numbers of CSV: point or comma, or the sign. By default as in the numbers at
    /// the beginning of the file.
    #[arg(long, value_parser = DecimalMark::named)]
    decimal: Option<DecimalMark>,
    /// How the text is written: utf-8, utf-16le, utf-16be or windows-1252. By default as at the beginning of the file.
    #[arg(long, value_parser = Encoding::named)]
    encoding: Option<Encoding>,
    /// Read and judge everything, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// The folder for files of refused rows and warnings.
    #[arg(long, default_value = ".")]
    refused_dir: PathBuf,
}

/// What is answered.
#[derive(Debug, Default, Serialize)]
struct Answer {
    accepted: u64,
    unchanged: u64,
    warned: u64,
    refused: u64,
    /// The file of refused rows and warnings; of several, the first.
    refused_file: Option<PathBuf>,
    dry_run: bool,
    sources: Vec<SourceAnswer>,
}

/// What is answered of one file.
#[derive(Debug, Serialize)]
struct SourceAnswer {
    source: String,
    #[serde(flatten)]
    form: ShownForm,
    accepted: u64,
    unchanged: u64,
    warned: u64,
    refused: u64,
    refused_file: Option<PathBuf>,
    /// The first rows that were refused just now.
    refusals: Vec<ShownRefusal>,
    /// The first warnings of rows that were read just now.
    warnings: Vec<ShownWarning>,
}

/// What was said of the file or recognised; the separator and the decimal mark are those of CSV.
#[derive(Debug, Serialize)]
struct ShownForm {
    format: Option<Format>,
    encoding: Option<Encoding>,
    separator: Option<Separator>,
    decimal: Option<DecimalMark>,
}

impl From<Form> for ShownForm {
    fn from(Form { format, encoding, separator, decimal }: Form) -> Self {
        Self { format, encoding, separator, decimal }
    }
}

impl std::fmt::Display for ShownForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = [
            self.format.map(|format| format.to_string()),
            self.encoding.map(|encoding| encoding.to_string()),
            self.separator.map(|separator| format!("separator {separator}")),
            self.decimal.map(|decimal| format!("decimal {decimal}")),
        ];
        f.write_str(&known.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[derive(Debug, Serialize)]
struct ShownWarning {
    line: u64,
    code: WarningCode,
    field: String,
    message: String,
}

impl From<RowWarning> for ShownWarning {
    fn from(RowWarning { line, warning, .. }: RowWarning) -> Self {
        Self { line, code: warning.code, field: warning.field, message: warning.message }
    }
}

#[derive(Debug, Serialize)]
struct ShownRefusal {
    line: u64,
    field: String,
    reason: String,
}

impl From<Refusal> for ShownRefusal {
    fn from(refusal: Refusal) -> Self {
        Self { line: refusal.line, field: refusal.field, reason: refusal.reason }
    }
}

pub(crate) async fn run(arguments: BackfillArguments, output: Output) -> anyhow::Result<ExitCode> {
    let operator = Operator::open().await?;
    let tenant = tenant_of(&operator, arguments.store.clone(), arguments.test).await?;
    let policy = Known::find(&operator, &arguments.store, None).await?;
    let command = Command {
        data_key: data_key(&operator, &arguments.store).await?,
        policy: Arc::new(compiled(&policy.store, policy.version, &policy.document)?),
        shutdown: interruption(),
        operator,
        tenant,
        arguments,
        output,
    };
    let mut answer = Answer { dry_run: command.arguments.dry_run, ..Answer::default() };
    for name in &command.arguments.sources {
        let one = command.read(name).await.with_context(|| format!("{name} was not read to its end"))?;
        answer.add(one);
    }
    output.show(&answer, || answer.text())?;
    Ok(if answer.is_useless() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Cancelled by the first interruption; a second one ends the process as usual.
fn interruption() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancelled.cancel();
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
    });
    token
}

/// One call of the command.
struct Command {
    operator: Operator,
    tenant: Tenant,
    data_key: Secret,
    policy: Arc<Policy>,
    shutdown: CancellationToken,
    arguments: BackfillArguments,
    output: Output,
}

impl Command {
    async fn read(&self, name: &str) -> anyhow::Result<SourceAnswer> {
        let source = Source::named(name)?;
        let mut backfill = if self.arguments.dry_run { self.unkept(&source) } else { self.begin(&source).await? };
        let mut outcome = self.read_once(&source, backfill.clone()).await;
        if matches!(outcome, Err(BackfillError::Changed)) {
            // What was read of the file before stands; this is another one.
            backfill = self.start_anew(&source).await?;
            outcome = self.read_once(&source, backfill.clone()).await;
        }
        if let Err(BackfillError::Unready(reason)) = &outcome {
            self.fail(&backfill, reason).await?;
        }
        Ok(self.answer(name, &backfill, outcome?))
    }

    fn answer(&self, name: &str, backfill: &Backfill, outcome: Outcome) -> SourceAnswer {
        let Outcome { progress, form, refusals, warnings } = outcome;
        let has_file = progress.refused + progress.warned > 0 && !self.arguments.dry_run;
        SourceAnswer {
            source: name.to_owned(),
            form: form.into(),
            warned: progress.warned,
            warnings: warnings.into_iter().map(ShownWarning::from).collect(),
            accepted: progress.accepted,
            unchanged: progress.unchanged,
            refused: progress.refused,
            refused_file: has_file.then(|| self.refused_path(&backfill.id)),
            refusals: refusals.into_iter().map(ShownRefusal::from).collect(),
        }
    }

    /// Goes on with an earlier reading of the source that was interrupted, or begins one.
    async fn begin(&self, source: &Source) -> anyhow::Result<Backfill> {
        let (system, clock) = (self.operator.system(), &self.operator.clock);
        let held_until = clock.now() + LEASE * 2;
        loop {
            let now = clock.now();
            let before = system.take_over_backfill(&self.tenant, source.identity(), now, now + LEASE).await?;
            if let Some(before) = before {
                let said_kind = self.arguments.kind.filter(|kind| before.kind != Some(*kind));
                if said_kind.is_none() && !self.said().contradicts(&before.form) {
                    return Ok(before);
                }
                self.fail(&before, "read again with other options").await?;
                return self.start_anew(source).await;
            }
            if !system.backfill_is_held(&self.tenant, source.identity(), now).await? {
                return self.start_anew(source).await;
            }
            if now > held_until {
                bail!("another process is reading this file");
            }
            // The process that read it was killed a moment ago, or is still there.
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn start_anew(&self, source: &Source) -> anyhow::Result<Backfill> {
        let backfill = self.unkept(source);
        if !self.arguments.dry_run {
            let new = NewBackfill {
                id: &backfill.id,
                source: &backfill.source,
                kind: backfill.kind,
                form: backfill.form,
                now: backfill.created_at,
                leased_until: backfill.leased_until,
                actor: "operator",
            };
            self.operator.store().tenant(&self.tenant).begin_backfill(&new).await?;
        }
        Ok(backfill)
    }

    /// What the options say of the form of files.
    fn said(&self) -> Form {
        let BackfillArguments { format, encoding, separator, decimal, .. } = self.arguments;
        Form { format, encoding, separator, decimal }
    }

    /// A backfill that nobody knows of yet.
    fn unkept(&self, source: &Source) -> Backfill {
        let now = self.operator.clock.now();
        Backfill {
            id: BackfillId::mint(now, random::bytes()),
            tenant: self.tenant.clone(),
            source: source.identity().to_owned(),
            kind: self.arguments.kind,
            form: Form { format: self.arguments.format.or_else(|| source.format()), ..self.said() },
            state: BackfillState::Running,
            progress: Progress::default(),
            unshared: false,
            size: 0,
            failure: None,
            leased_until: now + LEASE,
            created_at: now,
            finished_at: None,
        }
    }

    /// Ends a backfill whose lease was not renewed since it was taken.
    async fn fail(&self, backfill: &Backfill, failure: &str) -> anyhow::Result<()> {
        if !self.arguments.dry_run {
            let now = self.operator.clock.now();
            self.operator.system().fail_backfill(&backfill.id, backfill.leased_until, failure, now).await?;
        }
        Ok(())
    }

    async fn read_once(&self, source: &Source, backfill: Backfill) -> Result<Outcome, BackfillError> {
        let cache = self.operator.shared_cache().await.map_err(|error| BackfillError::Unready(format!("{error:#}")))?;
        let (size, pieces) = source.open().await.map_err(BackfillError::Source)?;
        let bar = bar(size.filter(|_| !self.output.is_json()), !self.output.is_json());
        let side_file = SideFile::new(self.refused_path(&backfill.id));
        let reading = Reading {
            store: self.operator.store().clone(),
            cache,
            clock: self.operator.clock.clone(),
            data_key: self.data_key.clone(),
            policy: Arc::clone(&self.policy),
            backfill,
            lease: LEASE,
            pieces,
            is_dry: self.arguments.dry_run,
            side_file: Some(side_file),
            shutdown: self.shutdown.clone(),
        };
        let begun = std::time::Instant::now();
        let mut first = None;
        let outcome = Box::pin(read(reading, |progress| {
            let rows = progress.rows();
            let since = rows - *first.get_or_insert(rows);
            let rate = since as f64 / begun.elapsed().as_secs_f64().max(0.001);
            bar.set_position(progress.position);
            bar.set_message(format!("{rows} rows, {rate:.0} rows/s, {} refused", progress.refused));
        }))
        .await;
        bar.finish_and_clear();
        outcome
    }

    fn refused_path(&self, id: &BackfillId) -> PathBuf {
        self.arguments.refused_dir.join(format!("{id}.refused.jsonl"))
    }
}

/// On standard error, and only on a terminal.
fn bar(size: Option<u64>, is_wanted: bool) -> ProgressBar {
    if !is_wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:32} {percent:>3} %  {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Answer {
    fn add(&mut self, one: SourceAnswer) {
        self.accepted += one.accepted;
        self.unchanged += one.unchanged;
        self.warned += one.warned;
        self.refused += one.refused;
        if self.refused_file.is_none() {
            self.refused_file.clone_from(&one.refused_file);
        }
        self.sources.push(one);
    }

    /// Whether there were rows and none could be used: the file is hardly what was meant.
    const fn is_useless(&self) -> bool {
        self.refused > 0 && self.accepted + self.unchanged == 0
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.sources {
            text.push_str(&format!("{}\n", visible(&one.source)));
            text.push_str(&fields(&[
                ("read as", Some(one.form.to_string())),
                (if self.dry_run { "would be accepted" } else { "accepted" }, Some(one.accepted.to_string())),
                ("unchanged", Some(one.unchanged.to_string())),
                ("with warnings", Some(one.warned.to_string())),
                ("refused", Some(one.refused.to_string())),
                ("listed in", one.refused_file.as_ref().map(|path| path.display().to_string())),
            ]));
            for refusal in &one.refusals {
                let told = format!("  line {}: {} {}", refusal.line, refusal.field, refusal.reason);
                text.push_str(&format!("{}\n", visible(&told)));
            }
            for warning in &one.warnings {
                let warning = format!("  line {}: warning: {} {}", warning.line, warning.field, warning.message);
                text.push_str(&format!("{}\n", visible(&warning)));
            }
        }
        text
    }
}
