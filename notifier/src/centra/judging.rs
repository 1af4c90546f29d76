//! Takes the verdicts of orders that the scorer has, and wants what they mean.

use std::time::Duration;

use touchstone_platform::store::holds::{Hold, HoldMove, NEVER, left_to_a_person};
use touchstone_platform::store::transactions::OutcomeKind;
use touchstone_schema::centra::{Effect, HoldState, WantedBy};
use touchstone_schema::tenant::StoreMode;

use super::shop::{Shop, Stop};

/// How long after its submission an order without a verdict is looked at, and how often then.
pub(super) const VERDICT_WITHIN: Duration = Duration::from_secs(5);
/// Looks after which an order is read and submitted anew: the same submission, which the scorer knows again.
const LOOKS: u32 = 12;
/// How long an order of a shadow store may wait for its verdict: it is resumed whatever that says.
const SHADOW_WAIT: Duration = Duration::from_secs(10);

pub(super) async fn run(shop: &Shop<'_>, holds: Vec<Hold>) -> Result<(), Stop> {
    if holds.is_empty() {
        return Ok(());
    }
    let submissions: Vec<_> = holds.iter().map(|hold| &hold.submission_id).collect();
    let verdicts = shop.worker.system().verdicts_of(&submissions).await?;
    for hold in &holds {
        let effect =
            verdicts.get(&hold.submission_id).map(|(action, level)| shop.connection.settings.effect(*action, *level));
        judge(shop, hold, effect).await?;
    }
    Ok(())
}

async fn judge(shop: &Shop<'_>, hold: &Hold, effect: Option<Effect>) -> Result<(), Stop> {
    let (system, now) = (shop.worker.system(), shop.now());
    if is_shadow(shop) && (effect.is_some() || now.since(hold.opened_at) >= SHADOW_WAIT) {
        system.want(hold, Effect::Resume, WantedBy::Shadow, effect, now).await?;
        return Ok(());
    }
    if let Some(kind) = hold.ended_by {
        return follow_report(shop, hold, kind).await;
    }
    let waiting = HoldMove { state: HoldState::Waiting, due_at: hold.deadline_at, attempts: 0, error: None };
    match effect {
        Some(Effect::Keep) => drop(system.move_hold(hold, &waiting).await?),
        Some(effect) => drop(system.want(hold, effect, WantedBy::Verdict, None, now).await?),
        // No verdict came in time: the deadline decides, as it does for one that nobody looked at.
        None if now >= hold.deadline_at => drop(system.move_hold(hold, &HoldMove { due_at: now, ..waiting }).await?),
        None => {
            let attempts = hold.attempts + 1;
            let again = attempts >= LOOKS;
            let to = HoldMove {
                state: if again { HoldState::Reading } else { HoldState::Screening },
                due_at: if again { now } else { now + VERDICT_WITHIN },
                attempts: if again { 0 } else { attempts },
                error: Some("the scorer has not answered yet".to_owned()),
            };
            system.move_hold(hold, &to).await?;
        }
    }
    Ok(())
}

/// Follows the report that ended the order, which outranks any verdict.
async fn follow_report(shop: &Shop<'_>, hold: &Hold, kind: OutcomeKind) -> Result<(), Stop> {
    let system = shop.worker.system();
    match kind.asks_of_shop() {
        Effect::Keep => {
            let error = Some(left_to_a_person(kind));
            let to = HoldMove { state: HoldState::Waiting, due_at: NEVER, attempts: 0, error };
            system.move_hold(hold, &to).await?;
        }
        effect => drop(system.want(hold, effect, WantedBy::Outcome, None, shop.now()).await?),
    }
    Ok(())
}

/// A store in shadow mode, as it is now: it may have been switched since the order was held.
fn is_shadow(shop: &Shop<'_>) -> bool {
    let directory = shop.worker.with.directory.snapshot();
    directory.store(&shop.connection.store_id).is_some_and(|store| store.mode == StoreMode::Shadow)
}
