//! `touchstone dead-letter`: messages that nobody could process.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use touchstone_platform::queue::DeadLetter;

use crate::compose::Operator;
use crate::output::{Output, fields, table};

/// Most dead letters that are looked at.
const MOST: u16 = 1_000;

/// Dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List the oldest dead letters.
    List {
        /// Most lines.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST)))]
        limit: u16,
    },
    /// Show one dead letter with its message.
    Show {
        /// Its id, from the list.
        #[arg(long)]
        id: String,
    },
    /// Put dead letters back on their lanes.
    #[command(group(clap::ArgGroup::new("which").required(true).args(["id", "all"])))]
    Replay {
        /// Only this one.
        #[arg(long)]
        id: Option<String>,
        /// Every one.
        #[arg(long)]
        all: bool,
    },
    /// Delete dead letters for good.
    #[command(group(clap::ArgGroup::new("which").required(true).args(["id", "all"])))]
    Discard {
        /// Only this one.
        #[arg(long)]
        id: Option<String>,
        /// Every one.
        #[arg(long, requires = "yes")]
        all: bool,
        /// Do it without asking; --all needs it.
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) async fn run(command: DeadLetterCommand, operator: &Operator, output: Output) -> anyhow::Result<()> {
    let queue = operator.queue().await?;
    let done = match command {
        DeadLetterCommand::List { limit } => {
            let letters = queue.dead_letters(usize::from(limit)).await?;
            let documents: Vec<_> = letters.iter().map(summary).collect();
            output.show(&json!({ "dead_letters": documents }), || listed(&letters))
        }
        DeadLetterCommand::Show { id } => {
            let letters = queue.dead_letters(usize::from(MOST)).await?;
            let letter = letters.iter().find(|letter| letter.id == id);
            let letter = letter.with_context(|| format!("there is no dead letter {id} among the oldest {MOST}"))?;
            show(letter, output)
        }
        DeadLetterCommand::Replay { id, all: _ } => {
            let replayed = queue.replay_dead_letters(id.as_deref()).await?;
            require_found(id.as_deref(), replayed)?;
            output.show(&json!({ "replayed": replayed }), || format!("{replayed} messages are back on their lanes."))
        }
        DeadLetterCommand::Discard { id, .. } => {
            let discarded = queue.discard_dead_letters(id.as_deref()).await?;
            require_found(id.as_deref(), discarded)?;
            output.show(&json!({ "discarded": discarded }), || format!("{discarded} dead letters are deleted."))
        }
    };
    queue.close().await;
    done
}

/// A dead letter that was named must have been there.
fn require_found(id: Option<&str>, count: usize) -> anyhow::Result<()> {
    if let (Some(id), 0) = (id, count) {
        bail!("there is no dead letter {id}; see `touchstone dead-letter list`");
    }
    Ok(())
}

fn summary(letter: &DeadLetter) -> serde_json::Value {
    json!({
        "id": letter.id,
        "lane": letter.lane,
        "reason": letter.reason,
        "at": letter.at.to_rfc3339(),
        "attempts": letter.attempts,
        "bytes": letter.body.len(),
    })
}

fn listed(letters: &[DeadLetter]) -> String {
    let rows = letters.iter().map(|letter| {
        vec![
            letter.id.clone(),
            letter.lane.clone(),
            letter.at.to_rfc3339(),
            letter.attempts.to_string(),
            letter.reason.clone(),
        ]
    });
    let text =
        table(&["id", "lane", "set aside", "attempts", "reason"], rows.collect(), "No dead letters: all is well.");
    if letters.is_empty() {
        return text;
    }
    let id = &letters[0].id;
    format!(
        "{text}\nNext: touchstone dead-letter show --id {id}, correct the cause, then touchstone dead-letter replay --id {id}; \
         or touchstone dead-letter discard --id {id}"
    )
}

fn show(letter: &DeadLetter, output: Output) -> anyhow::Result<()> {
    let body = String::from_utf8_lossy(&letter.body);
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&letter.body).ok();
    let mut document = summary(letter);
    document["message"] = parsed.unwrap_or_else(|| json!(body));
    output.show(&document, || {
        let told = fields(&[
            ("id", Some(letter.id.clone())),
            ("lane", Some(letter.lane.clone())),
            ("set aside", Some(letter.at.to_rfc3339())),
            ("attempts", Some(letter.attempts.to_string())),
            ("reason", Some(letter.reason.clone())),
        ]);
        format!("{told}Message ({} bytes, may hold personal data):\n{body}", letter.body.len())
    })
}
