//! Which webhook endpoints fail or are slow: a few of them by name, all others together.
//!
//! Guarantee: at most [`NAMED`] endpoints have series of their own, however many there are; what is not attempted for two
//! windows has none. Every attempt is in some series. Failure: all of it is in memory and of this process; a restart begins
//! anew, while the attempts themselves are in the database.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use touchstone_schema::ids::EndpointId;

/// Endpoints told by name: half of them those that fail most, half those that answer slowest.
const NAMED: usize = 20;
/// How long is looked back, at least; twice as long at most.
const WINDOW: Duration = Duration::from_secs(300);
/// Endpoints that are counted apart within a window; what comes beyond them is counted together.
const COUNTED: usize = 20_000;

/// A name, what is said of it, and its value.
type Gauge = (&'static str, &'static str, fn(&Tally) -> f64);

/// What is told.
const GAUGES: [Gauge; 3] = [
    ("attempts", "Attempts of the last five to ten minutes.", |tally| f64::from(tally.attempts)),
    ("failures", "Those of them that did not arrive.", |tally| f64::from(tally.failures)),
    ("seconds", "How long they took on average.", Tally::mean_s),
];

/// The attempts to endpoints within a while.
#[derive(Debug, Default)]
pub struct Endpoints(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    began_at: Option<Instant>,
    present: Window,
    past: Window,
}

#[derive(Debug, Default)]
struct Window {
    counted: HashMap<EndpointId, Tally>,
    beyond: Tally,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    attempts: u32,
    failures: u32,
    took: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.failures = self.failures.saturating_add(other.failures);
        self.took = self.took.saturating_add(other.took);
    }

    fn mean_s(&self) -> f64 {
        self.took.as_secs_f64() / f64::from(self.attempts.max(1))
    }
}

/// Those of this process.
pub fn endpoints() -> &'static Endpoints {
    static ENDPOINTS: std::sync::LazyLock<Endpoints> = std::sync::LazyLock::new(Endpoints::default);
    &ENDPOINTS
}

impl Endpoints {
    /// Counts an attempt.
    pub fn attempted(&self, endpoint: &EndpointId, arrived: bool, took: Duration) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(Instant::now());
        windows.present.add(endpoint, Tally { attempts: 1, failures: u32::from(!arrived), took });
    }

    /// In Prometheus text form; nothing when nothing was attempted.
    pub fn render(&self) -> String {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(Instant::now());
        windows.render()
    }
}

impl Windows {
    fn turn(&mut self, now: Instant) {
        let age = self.began_at.map_or(Duration::MAX, |began_at| now.saturating_duration_since(began_at));
        if age < WINDOW {
            return;
        }
        let ended = std::mem::take(&mut self.present);
        self.past = if age < WINDOW * 2 { ended } else { Window::default() };
        self.began_at = Some(now);
    }

    fn render(&self) -> String {
        let mut all: HashMap<&EndpointId, Tally> = HashMap::new();
        let mut others = self.present.beyond;
        others.add(self.past.beyond);
        for (endpoint, tally) in self.present.counted.iter().chain(&self.past.counted) {
            all.entry(endpoint).or_default().add(*tally);
        }
        let named = named(&all);
        let mut told: Vec<(&str, Tally)> = Vec::with_capacity(named.len() + 1);
        for (endpoint, tally) in all {
            match named.contains(endpoint) {
                true => told.push((endpoint.as_str(), tally)),
                false => others.add(tally),
            }
        }
        told.sort_unstable_by_key(|(endpoint, _)| *endpoint);
        if others.attempts > 0 {
            told.push(("other", others));
        }
        text(&told)
    }
}

impl Window {
    fn add(&mut self, endpoint: &EndpointId, tally: Tally) {
        if let Some(counted) = self.counted.get_mut(endpoint) {
            counted.add(tally);
        } else if self.counted.len() < COUNTED {
            self.counted.insert(endpoint.clone(), tally);
        } else {
            self.beyond.add(tally);
        }
    }
}

/// Who fails most, and of the others who is slowest.
fn named<'a>(all: &HashMap<&'a EndpointId, Tally>) -> BTreeSet<&'a EndpointId> {
    let mut ranked: Vec<_> = all.iter().map(|(endpoint, tally)| (*endpoint, *tally)).collect();
    ranked.sort_unstable_by(|(a, one), (b, other)| other.failures.cmp(&one.failures).then_with(|| a.cmp(b)));
    let failing = ranked.iter().filter(|(_, tally)| tally.failures > 0).take(NAMED / 2);
    let mut named: BTreeSet<_> = failing.map(|(endpoint, _)| *endpoint).collect();
    ranked.retain(|(endpoint, _)| !named.contains(endpoint));
    ranked.sort_unstable_by(|(a, one), (b, other)| other.mean_s().total_cmp(&one.mean_s()).then_with(|| a.cmp(b)));
    named.extend(ranked.iter().take(NAMED / 2).map(|(endpoint, _)| *endpoint));
    named
}

fn text(told: &[(&str, Tally)]) -> String {
    let mut text = String::new();
    for (name, help, value) in GAUGES.iter().filter(|_| !told.is_empty()) {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "# HELP touchstone_webhook_endpoint_{name} {help}");
        let _ = writeln!(text, "# TYPE touchstone_webhook_endpoint_{name} gauge");
        for (endpoint, tally) in told {
            let _ = writeln!(text, "touchstone_webhook_endpoint_{name}{{endpoint=\"{endpoint}\"}} {}", value(tally));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use touchstone_schema::time::Timestamp;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn endpoint(number: u32) -> EndpointId {
        EndpointId::mint(Timestamp::from_millis(1_790_000_000_000 + i64::from(number)), [0; 10])
    }

    fn attempt(failed: bool, took: Duration) -> Tally {
        Tally { attempts: 1, failures: u32::from(failed), took }
    }

    fn series(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn ten_thousand_endpoints_make_few_series_that_tell_the_worst_by_name() {
        let mut windows = Windows::default();
        windows.turn(Instant::now());
        for number in 0..10_000 {
            windows.present.add(&endpoint(number), attempt(number % 2 == 0, SOON));
        }
        let (failing, slow) = (endpoint(7_000), endpoint(7_001));
        windows.present.add(&failing, attempt(true, SOON));
        windows.present.add(&slow, attempt(false, Duration::from_secs(9)));
        let text = windows.render();
        assert_eq!(series(&text).len(), GAUGES.len() * (NAMED + 1));
        for line in [
            format!("touchstone_webhook_endpoint_failures{{endpoint=\"{failing}\"}} 2"),
            format!("touchstone_webhook_endpoint_seconds{{endpoint=\"{slow}\"}} 4.51"),
            format!("touchstone_webhook_endpoint_attempts{{endpoint=\"other\"}} {}", 10_002 - NAMED - 2),
        ] {
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }

    #[test]
    fn series_end_when_their_endpoint_has_been_idle() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        windows.turn(start);
        windows.present.add(&endpoint(1), attempt(true, SOON));
        windows.turn(start + WINDOW);
        windows.present.add(&endpoint(2), attempt(true, SOON));
        assert_eq!(series(&windows.render()).len(), GAUGES.len() * 2, "what was a window ago is told");
        windows.turn(start + WINDOW * 2);
        let text = windows.render();
        assert!(!text.contains(endpoint(1).as_str()) && text.contains(endpoint(2).as_str()), "{text}");
        windows.turn(start + WINDOW * 9);
        assert_eq!(windows.render(), "");
    }

    #[test]
    fn memory_is_bounded_and_nothing_goes_uncounted() {
        let mut windows = Windows::default();
        let endpoints = u32::try_from(COUNTED).unwrap() + 100;
        for number in 0..endpoints {
            windows.present.add(&endpoint(number), attempt(false, SOON));
        }
        assert_eq!(windows.present.counted.len(), COUNTED);
        let counted: f64 = series(&windows.render())
            .iter()
            .filter(|line| line.starts_with("touchstone_webhook_endpoint_attempts"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        assert!((counted - f64::from(endpoints)).abs() < 0.5, "{counted}");
    }
}
