//! What came of the demo's orders, for people and for programs.

use std::net::SocketAddr;

use serde_json::{Value, json};
use touchstone_schema::ids::StoreId;

use super::orders::DemoOrder;
use crate::commands::key::NewKey;
use crate::output::{Cell, table};

/// Reasons that the table has room for.
const REASONS_SHOWN: usize = 3;

/// One order and what came of it.
pub(super) struct Outcome {
    pub(super) order: DemoOrder,
    /// The verdict, or why there is none.
    pub(super) answer: Result<Value, String>,
    /// Whether its last webhook came, correctly signed.
    pub(super) webhook: bool,
    /// What became of it at the shop that held it; none when none did.
    pub(super) fate: Option<&'static str>,
}

impl Outcome {
    pub(super) fn order_id(&self) -> String {
        self.order.document.get("order_id").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// What came back: the webhooks and, of an order that a shop held, its fate there.
    fn back(&self) -> Cell {
        let webhook = if self.webhook { "✓ verified" } else { "✗ missing" };
        let fate = self.fate.map(|fate| format!("{fate} in Centra"));
        Cell::Lines(std::iter::once(webhook.to_owned()).chain(fate).collect())
    }

    fn text(&self, name: &str) -> String {
        match self.answer.as_ref().ok().and_then(|verdict| verdict.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "–".to_owned(),
        }
    }

    /// The heaviest reasons in plain words, or why there is no verdict.
    fn reasons(&self) -> Cell {
        let verdict = match &self.answer {
            Ok(verdict) => verdict,
            Err(problem) => return Cell::Line(format!("no verdict: {problem}")),
        };
        let reasons = verdict.get("reasons").and_then(Value::as_array);
        let lines: Vec<_> = reasons
            .into_iter()
            .flatten()
            .take(REASONS_SHOWN)
            .filter_map(|reason| {
                let points = reason.get("points")?.as_i64()?;
                Some(format!("{points:+} {}", reason.get("detail")?.as_str()?))
            })
            .collect();
        if lines.is_empty() { Cell::Line("nothing suspicious".to_owned()) } else { Cell::Lines(lines) }
    }

    fn row(&self) -> Vec<Cell> {
        vec![
            Cell::Lines(vec![self.order_id(), self.order.story.to_owned()]),
            self.text("risk_score").into(),
            self.text("risk_level").into(),
            self.text("recommended_action").into(),
            self.reasons(),
            self.back(),
        ]
    }
}

/// All outcomes.
pub(super) struct Report {
    pub(super) outcomes: Vec<Outcome>,
    /// Webhooks whose signature was wrong.
    pub(super) rejected_webhooks: usize,
}

impl Report {
    fn count(&self, action: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.text("recommended_action") == action).count()
    }

    fn ended(&self, fate: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.fate == Some(fate)).count()
    }

    /// Whether every verdict and webhook arrived, every action occurred, and the shop has one order resumed and one
    /// cancelled.
    pub(super) fn is_complete(&self) -> bool {
        let settled = self.ended("resumed") == 1 && self.ended("cancelled") == 1;
        let arrived = self.outcomes.iter().all(|outcome| outcome.answer.is_ok() && outcome.webhook);
        let varied = ["approve", "review", "hold"].iter().all(|action| self.count(action) > 0);
        arrived && varied && settled && self.rejected_webhooks == 0
    }

    pub(super) fn document(&self, door: SocketAddr, store: &StoreId) -> Value {
        let orders: Vec<_> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "order_id": outcome.order.document["order_id"],
                    "story": outcome.order.story,
                    "verdict": outcome.answer.as_ref().ok(),
                    "problem": outcome.answer.as_ref().err(),
                    "webhook_verified": outcome.webhook,
                    "centra": outcome.fate,
                })
            })
            .collect();
        json!({
            "complete": self.is_complete(),
            "listen": door.to_string(),
            "store_id": store,
            "orders": orders,
            "rejected_webhooks": self.rejected_webhooks,
        })
    }

    pub(super) fn text(&self) -> String {
        let rows = self.outcomes.iter().map(Outcome::row).collect();
        let table = table(&["order", "score", "level", "action", "why", "webhook"], rows, "No orders.");
        let (approved, reviewed, held) = (self.count("approve"), self.count("review"), self.count("hold"));
        let verified = self.outcomes.iter().filter(|outcome| outcome.webhook).count();
        let (resumed, cancelled) = (self.ended("resumed"), self.ended("cancelled"));
        let total = self.outcomes.len();
        let verdict = if self.is_complete() { "Everything arrived." } else { "NOT everything arrived as it should." };
        format!(
            "{table}\n{total} orders: {approved} approved, {reviewed} to review, {held} held; {verified} of {total} webhooks \
             verified; {resumed} resumed and {cancelled} cancelled in Centra. {verdict}\n\n\
             Next:\n  \
             touchstone serve                        run it for your own shop, on http://127.0.0.1:8080\n  \
             touchstone merchant create --name NAME  then `store create` and `key create`: your credentials\n  \
             touchstone doctor                       check settings and services before you go live\n"
        )
    }
}

/// How to send an order by hand to a demo that goes on serving.
pub(super) fn instructions(door: SocketAddr, key: &NewKey) -> String {
    let NewKey { api_key, hmac_secret, .. } = key;
    format!(
        r#"The demo goes on serving on http://{door} (manual: http://{door}/docs) until Ctrl-C. Send an order of your own:

  KEY={api_key}
  SECRET={hmac_secret}
  BODY='{{"order_id":"MINE-1","amount":120.50,"currency":"USD","customer":{{"email":"ada@byron-boots.de"}}}}'
  TS=$(date +%s); NONCE=$(openssl rand -hex 16)
  SIG=$(printf '%s.%s.%s' "$TS" "$NONCE" "$BODY" | openssl dgst -sha256 -hmac "$SECRET" | sed 's/^.* //')
  curl -sS http://{door}/v1/analyze -H "Authorization: Bearer $KEY" -H "X-Fraudshield-Key: $KEY" \
    -H "X-Fraudshield-Timestamp: $TS" -H "X-Fraudshield-Nonce: $NONCE" -H "X-Fraudshield-Signature: $SIG" \
    -H 'Content-Type: application/json' -d "$BODY""#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(action: &str, webhook: bool, fate: Option<&'static str>) -> Outcome {
        let verdict = json!({ "transaction_id": "tx_1", "recommended_action": action, "reasons": [] });
        let order = DemoOrder { story: "a story", document: json!({ "order_id": "1" }) };
        Outcome { order, answer: Ok(verdict), webhook, fate }
    }

    #[test]
    fn report_is_complete_only_when_everything_arrived_and_every_end_occurred() {
        let report = |webhook, actions: &[&str], fates: &[&'static str]| Report {
            outcomes: actions
                .iter()
                .map(|action| outcome(action, webhook, None))
                .chain(fates.iter().map(|fate| outcome("hold", webhook, Some(*fate))))
                .collect(),
            rejected_webhooks: 0,
        };
        let (all, both) = (["approve", "review", "hold"], ["resumed", "cancelled"]);
        assert!(report(true, &all, &both).is_complete());
        assert!(!report(true, &all[..2], &["resumed"]).is_complete());
        assert!(!report(true, &all, &["resumed", "still on hold"]).is_complete());
        assert!(!report(true, &all, &["resumed", "changed twice"]).is_complete());
        assert!(!report(false, &all, &both).is_complete());
    }
}
