//! `docs/signals.md`, made from the catalogue: the page cannot be stale, because this test compares.

use std::fmt::Write;
use std::path::Path;

use super::super::policy::Group;
use super::super::{Check, Signal};
use super::CATALOGUE;

/// Set to write the page anew.
const WRITE: &str = "TOUCHSTONE_WRITE_DOCS";

const HEAD: &str = "\
# Signals

What a verdict's `reason_codes` mean. Each signal that fires adds its points; the positive points of a group are cut to the
group's cap, so that related evidence is not counted twice. Points are defaults: a policy may change them or switch a signal
off by its code. Where several are told, the first is the default and the others are for stronger cases. A signal whose inputs
are absent does not fire; the answer's `confidence` falls instead. Evidence that rests on a card which is known by its
first digits and last four alone counts half, because strangers share those.

This page is made from the catalogue by a test of the scorer.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for group in Group::ALL {
        let cap = group.default_cap();
        let title = match group {
            Group::Lists => "lists (settle the score)".to_owned(),
            _ => format!("{group} (at most {cap} points)"),
        };
        page.push_str(&format!("\n## {title}\n\n| code | points | fires when | looks at |\n|---|---|---|---|\n"));
        for signal in CATALOGUE.iter().copied().flatten().filter(|signal| signal.group == *group) {
            writeln!(page, "| `{}` | {} | {} | {} |", signal.code, signal.points, when(signal), looks_at(signal))
                .expect("a text can be written to");
        }
    }
    page
}

fn when(signal: &Signal) -> String {
    match &signal.check {
        Check::By(_) => signal.meaning.to_owned(),
        Check::Counting(velocity) => format!("{}: {}", signal.meaning, velocity.describe()),
    }
}

fn looks_at(signal: &Signal) -> String {
    let inputs: Vec<_> = signal.inputs.iter().map(|input| input.as_str()).collect();
    inputs.join("; ")
}

#[test]
fn the_reference_page_tells_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/signals.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/signals.md is stale: run the tests of the scorer once with {WRITE}=1 and commit it"
    );
}
