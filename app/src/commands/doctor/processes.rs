//! Whether the roles run: without a scorer, orders are accepted and not screened; without a notifier, no webhook is sent.

use touchstone_platform::queue::{Lane, Queue};
use touchstone_platform::settings::Settings;

use super::Findings;
use crate::compose;

/// Lanes that the scorer takes from.
const SCORER: [Lane; 2] = [Lane::Interactive, Lane::Durable];
/// Lanes that the notifier takes from.
const NOTIFIER: [Lane; 2] = [Lane::Events, Lane::Notices];

/// Whether a process serves the folder of embedded data.
pub(super) fn examine_owner(settings: &Settings, findings: &mut Findings) {
    const WHAT: &str = "process";
    let folder = settings.data_dir().display();
    if compose::is_served(settings) {
        findings.ok(WHAT, format!("touchstone runs on {folder}"));
    } else {
        findings.fail(WHAT, format!("touchstone does not run on {folder}: nothing is screened"), "touchstone serve");
    }
}

/// Whether each lane has a consumer.
pub(super) async fn examine_consumers(queue: &dyn Queue, findings: &mut Findings) {
    let lacking = async |lanes: &[Lane]| {
        let mut names = Vec::new();
        for lane in lanes {
            if queue.consumers(*lane).await?.is_some_and(|consumers| consumers == 0) {
                names.push(lane.as_str());
            }
        }
        Ok::<_, touchstone_platform::queue::QueueError>(names)
    };
    match lacking(&SCORER).await {
        Ok(lanes) if lanes.is_empty() => findings.ok("scorer", "runs"),
        Ok(lanes) => findings.fail(
            "scorer",
            format!("no scorer takes orders from the lanes {}: orders are accepted and not screened", lanes.join(", ")),
            "touchstone serve scorer",
        ),
        Err(error) => findings.fail("scorer", error.to_string(), "look into the broker's log"),
    }
    match lacking(&NOTIFIER).await {
        Ok(lanes) if lanes.is_empty() => findings.ok("notifier", "runs"),
        Ok(lanes) => findings.warn(
            "notifier",
            format!("no notifier takes from the lanes {}: webhooks and Centra orders wait", lanes.join(", ")),
            "touchstone serve notifier",
        ),
        Err(error) => findings.fail("notifier", error.to_string(), "look into the broker's log"),
    }
}
