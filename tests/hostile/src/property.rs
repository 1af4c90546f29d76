//! What must hold of a parser whatever it is given, tried on spoilt documents for as long as the budget lasts.
//!
//! The cases are drawn anew in each run, so that every run looks where none looked before. A case that fails is made as
//! small as possible and printed with its edits.

use std::fmt;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::Value;

use crate::{cpu_time, mutation};

/// CPU time that the property tests of all parsers of the edge may take together in one run of the tests.
pub const PARSERS_BUDGET: Duration = Duration::from_secs(120);
/// Parsers that share [`PARSERS_BUDGET`]: JSON, signed order, check, update, placed order, Centra's notice, Centra's order,
/// CSV, JSONP.
pub const PARSERS: u32 = 9;
/// Cases between two looks at the time.
const CASES_AT_A_TIME: u32 = 64;
/// Most edits of one case.
const EDITS: usize = 6;

/// Pieces that mean something to one of the parsers.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    ";",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "0.1",
    "4111111111111111",
    "4111 1111 1111 1111",
    "\u{0}",
    "\u{feff}",
    "\u{660}",
    "\n",
    "\r\n",
    "\t",
    "|",
    "sep=;",
    "/*",
    "*/",
    "//",
    "=",
    "callback(",
    "for(;;);",
    "2026-02-30",
    "12/30",
    "99999999999999999999",
    "n/a",
    "é",
];

/// One change of a text's bytes: so many are taken away, and a piece is put in their place.
#[derive(Debug, Clone)]
struct Splice {
    at: Index,
    bytes: usize,
    piece: Piece,
}

#[derive(Debug, Clone)]
enum Piece {
    Word(&'static str),
    Bytes(Vec<u8>),
    /// Bytes of the document itself.
    Copy(Index, usize),
}

/// A sample after its edits.
#[derive(Clone)]
struct Case {
    sample: usize,
    /// Seed of a change of fields, where the sample is JSON.
    fields: Option<u64>,
    splices: Vec<Splice>,
    bytes: Vec<u8>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sample, fields, splices, bytes } = self;
        write!(f, "{:?} (sample {sample}, fields {fields:?}, {splices:?})", String::from_utf8_lossy(bytes))
    }
}

fn case(samples: &'static [&'static [u8]]) -> impl Strategy<Value = Case> {
    let piece = prop_oneof![
        3 => prop::sample::select(PIECES).prop_map(Piece::Word),
        1 => prop::collection::vec(any::<u8>(), 0..4).prop_map(Piece::Bytes),
        1 => (any::<Index>(), 0usize..200).prop_map(|(at, bytes)| Piece::Copy(at, bytes)),
    ];
    let bytes = prop_oneof![4 => 0usize..3, 1 => 0usize..80];
    let splice = (any::<Index>(), bytes, piece).prop_map(|(at, bytes, piece)| Splice { at, bytes, piece });
    (0..samples.len(), prop::option::weighted(0.75, any::<u64>()), prop::collection::vec(splice, 0..EDITS)).prop_map(
        move |(sample, fields, splices)| {
            let bytes = edited(samples[sample], fields, &splices);
            Case { sample, fields, splices, bytes }
        },
    )
}

fn edited(sample: &[u8], fields: Option<u64>, splices: &[Splice]) -> Vec<u8> {
    let document = fields.and_then(|seed| Some((serde_json::from_slice::<Value>(sample).ok()?, seed)));
    let text = document.map(|(document, seed)| mutation::mutated(document, "", seed).to_string());
    let mut bytes = text.map_or_else(|| sample.to_vec(), String::into_bytes);
    for Splice { at, bytes: count, piece } in splices {
        let from = at.index(bytes.len() + 1);
        let to = (from + count).min(bytes.len());
        let piece = match piece {
            Piece::Word(word) => word.as_bytes().to_vec(),
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::Copy(at, count) => {
                let from = at.index(bytes.len() + 1);
                bytes[from..(from + count).min(bytes.len())].to_vec()
            }
        };
        bytes.splice(from..to, piece);
    }
    bytes
}

/// Tries a property on spoilt samples, for one parser's part of [`PARSERS_BUDGET`]. The property panics where it does not
/// hold.
///
/// # Panics
/// With the smallest case found for which the property panics.
pub fn assert_holds(samples: &'static [&'static [u8]], property: impl Fn(&[u8])) {
    for sample in samples {
        property(sample);
    }
    let config = Config { cases: CASES_AT_A_TIME, failure_persistence: None, ..Config::default() };
    let strategy = case(samples);
    let mut taken = Duration::ZERO;
    while taken < PARSERS_BUDGET / PARSERS {
        let mut runner = TestRunner::new(config.clone());
        let mut outcome = Ok(());
        taken += cpu_time(|| {
            outcome = runner.run(&strategy, |case| {
                property(&case.bytes);
                Ok(())
            });
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, case)) => panic!("{reason}\nfor {case:?}"),
            Err(TestError::Abort(reason)) => panic!("no case could be drawn: {reason}"),
        }
    }
}
