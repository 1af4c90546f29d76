//! Outside data: what is there, how old it is, and what does not fire without it.

use std::path::Path;
use std::time::Duration;

use touchstone_platform::enrichment::{DataFile, FileState, built_in_coverage, inspect};
use touchstone_schema::time::Timestamp;

use super::Findings;

const WHAT: &str = "enrichment";
const DAY: Duration = Duration::from_secs(86_400);
/// Addresses change hands all the time; the databases are remade every month, most of them every day.
const OLD: Duration = Duration::from_secs(45 * 86_400);

pub(super) fn examine(folder: &Path, now: Timestamp, findings: &mut Findings) {
    findings.ok(WHAT, format!("built in: {}", built_in_coverage()));
    for report in inspect(folder, now) {
        let DataFile { name, tells, feeds, source, .. } = report.file;
        let path = folder.join(name).display().to_string();
        match report.state {
            FileState::Absent => findings.off(
                WHAT,
                format!("{name} is absent ({tells}); without it: {feeds}"),
                format!("put it at {path}; source: {source}"),
            ),
            FileState::Good { age, coverage } => {
                let found = format!("{name}: {coverage}, {} day(s) old", age.as_secs() / DAY.as_secs());
                if age > OLD {
                    findings.warn(WHAT, found, format!("renew {path}; source: {source}"));
                } else {
                    findings.ok(WHAT, found);
                }
            }
            FileState::Bad(error) => findings.fail(
                WHAT,
                format!("{:#}", anyhow::Error::new(error)),
                format!("correct or remove {path}; a scorer that had a good one goes on with it until it restarts"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn good_old_bad_and_absent_files_are_told_apart() {
        let folder = std::env::temp_dir().join(format!("touchstone-doctor-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("tor.txt"), "192.0.2.1\n").unwrap();
        std::fs::write(folder.join("bins.csv"), "41,US,credit\n").unwrap();
        let now = touchstone_platform::clock::Clock::system().now();
        let mut findings = Findings::default();
        examine(&folder, now, &mut findings);
        let mut later = Findings::default();
        examine(&folder, now + OLD + DAY, &mut later);
        std::fs::remove_dir_all(&folder).unwrap();

        let of = |findings: &Findings, name: &str| {
            let found = findings.0.iter().find(|finding| finding.found.starts_with(name)).unwrap();
            (found.grade, found.found.clone())
        };
        assert_eq!(of(&findings, "tor.txt").0, Grade::Ok);
        assert_eq!(of(&later, "tor.txt").0, Grade::Warn);
        assert_eq!(of(&findings, "country.mmdb").0, Grade::Off);
        let (grade, found) = of(&findings, "bins.csv");
        assert_eq!(grade, Grade::Fail);
        assert!(found.contains("line 1: expected a BIN of 6 to 8 digits"), "{found}");
    }
}
