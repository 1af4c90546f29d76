//! For tests of parsers: documents that are made to cost much, documents that are spoilt at random, and a meter of what
//! reading them costs.
//!
//! Guarantee: what is compared is CPU time of the calling thread, of the same run, so neither the speed of the machine nor its
//! load decides. Failure: a document that costs more than its budget fails the test with its shape's name and the ratio.

mod mutation;
mod property;
pub mod samples;
mod shapes;

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

pub use mutation::{mutated, pointers};
pub use property::{PARSERS, PARSERS_BUDGET, assert_holds};
pub use shapes::{Form, Shape, csv_rows, documents};

/// Largest document, in bytes: the limit of a request's body.
pub const BYTES: usize = 262_144;
/// CPU time that reading a document may take, in multiples of what a parser that knows nothing of orders takes for as many
/// bytes. The widest shape of the code as it is takes about half of it, unoptimised; one quadratic step takes hundreds.
pub const BUDGET: f64 = 40.0;
/// Mutations of one order that [`assert_mutations_within_budget`] reads.
const MUTATIONS: u64 = 10_000;
/// Times that a document over its budget is measured: other work on the machine makes a measurement longer, never shorter.
const MEASUREMENTS: u32 = 5;

/// CPU time that this thread spends on `work`.
fn cpu_time<T>(work: impl FnOnce() -> T) -> Duration {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    };
    let before = now();
    let outcome = black_box(work());
    let taken = now().saturating_sub(before);
    drop(outcome);
    taken
}

/// What a generic parser takes for as many bytes: of the document itself or of an ordinary order, whichever is more.
fn reference(document: &str) -> Duration {
    let ordinary = shapes::ordinary(document.len());
    [document, &ordinary]
        .map(|text| cpu_time(|| serde_json::from_str::<Value>(text)))
        .into_iter()
        .max()
        .unwrap_or_default()
}

/// Reads every shape and holds its CPU time against the budget.
///
/// # Panics
/// When a shape takes more than its budget in every measurement.
pub fn assert_within_budget<T>(shapes: &[Shape], mut read: impl FnMut(&Shape) -> T) {
    for shape in shapes {
        hold_to_budget(&shape.name, shape.text.len(), || {
            let reference = reference(&shape.text);
            (cpu_time(|| read(shape)), reference)
        });
    }
}

/// Reads 10 000 mutations of an order, all of them as one measurement, and holds their CPU time against the budget: of what
/// a generic parser takes for the same bytes.
///
/// # Panics
/// When they take more than the budget in every measurement.
pub fn assert_mutations_within_budget<T>(order: &Value, mut read: impl FnMut(&str) -> T) {
    let texts: Vec<String> = (0..MUTATIONS).map(|seed| mutated(order.clone(), "", seed).to_string()).collect();
    hold_to_budget("mutations", texts.iter().map(String::len).sum(), || {
        let reference = cpu_time(|| {
            for text in &texts {
                let _ = black_box(serde_json::from_str::<Value>(text));
            }
        });
        let taken = cpu_time(|| {
            for text in &texts {
                let _ = black_box(read(text));
            }
        });
        (taken, reference)
    });
}

/// Holds CPU time against the budget; `measure` gives it and the reference of the same moment.
fn hold_to_budget(name: &str, bytes: usize, mut measure: impl FnMut() -> (Duration, Duration)) {
    let mut least = f64::INFINITY;
    for _ in 0..MEASUREMENTS {
        let (taken, reference) = measure();
        least = least.min(taken.as_secs_f64() / reference.as_secs_f64().max(f64::MIN_POSITIVE));
        if least <= BUDGET {
            break;
        }
    }
    if std::env::var_os("TOUCHSTONE_SHOW_BUDGET").is_some() {
        use std::io::Write as _;
        // Shown for whoever sets the budget; a line that cannot be written is not missed.
        let _ = writeln!(std::io::stderr(), "{least:8.1} x  {bytes} bytes  {name}");
    }
    assert!(
        least <= BUDGET,
        "{name}: reading {bytes} bytes takes {least:.0} times the CPU time of a generic parser, of {BUDGET:.0} that it may take",
    );
}
