//! What a batch of rows comes to once it is known what became of its orders.

use touchstone_platform::store::backfill::{Conclusion, Progress, Refusal, RowWarning, Took};
use touchstone_schema::warning::Warning;

use super::parse::Refused;
use super::side_file::{self, SideFile};

/// A row of the batch, beside its order.
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) text: String,
    pub(super) refused: Option<Refused>,
    pub(super) warnings: Vec<Warning>,
}

/// What the commit asks once it knows what became of the orders: how far the file is read then, and what was refused or
/// read with warnings. It may be asked again when the commit has to be repeated.
pub(super) fn concluding<'a>(
    places: &'a [Place],
    before: &'a Progress,
    (end, hash): (u64, &'a str),
    mut side_file: Option<&'a mut SideFile>,
    made: &'a mut Option<Conclusion>,
) -> impl FnMut(&[Took]) -> std::io::Result<Conclusion> + Send + use<'a> {
    move |took| {
        let mut took = took.iter();
        let mut conclusion = Conclusion {
            progress: Progress { position: end, position_hash: hash.to_owned(), ..before.clone() },
            ..Conclusion::default()
        };
        let mut lines = Vec::new();
        for place in places {
            let refused = match &place.refused {
                Some(refused) => Some(refused.clone()),
                None => match took.next() {
                    Some(Took::Contradicts) => Some(Refused::contradicting()),
                    Some(Took::Accepted) => {
                        conclusion.progress.accepted += 1;
                        None
                    }
                    Some(Took::Unchanged) | None => {
                        conclusion.progress.unchanged += 1;
                        None
                    }
                },
            };
            match refused {
                Some(refused) => refuse(&mut conclusion, place, refused, &mut lines),
                None => warn(&mut conclusion, place, &mut lines),
            }
        }
        if let Some(file) = side_file.as_deref_mut().filter(|_| !lines.is_empty()) {
            conclusion.progress.refused_bytes = file.write(before.refused_bytes, &lines)?;
        }
        *made = Some(conclusion.clone());
        Ok(conclusion)
    }
}

fn refuse(conclusion: &mut Conclusion, place: &Place, refused: Refused, lines: &mut Vec<u8>) {
    conclusion.progress.refused += 1;
    let number = conclusion.progress.refused;
    let refusal = Refusal { number, line: place.line, field: refused.field, reason: refused.reason };
    side_file::refused(&refusal, &place.text, lines);
    conclusion.refusals.push(refusal);
}

fn warn(conclusion: &mut Conclusion, place: &Place, lines: &mut Vec<u8>) {
    conclusion.progress.warned += u64::from(!place.warnings.is_empty());
    for warning in &place.warnings {
        conclusion.progress.warnings += 1;
        let number = conclusion.progress.warnings;
        let warning = RowWarning { number, line: place.line, warning: warning.clone() };
        side_file::warned(&warning, &place.text, lines);
        conclusion.warnings.push(warning);
    }
}
