//! Room on the disk under the data folder.

use touchstone_platform::inspect;
use touchstone_platform::settings::Settings;

use super::{Findings, Grade};

/// Below this a few hours of orders fill the disk: 1 GiB.
const WARN_BYTES: u64 = 1 << 30;
/// Below this SQLite may fail any moment: 100 MiB.
const FAIL_BYTES: u64 = 100 << 20;

pub(super) fn examine(settings: &Settings, findings: &mut Findings) {
    const WHAT: &str = "disk";
    let folder = settings.data_dir();
    if !folder.is_dir() {
        // Production keeps nothing there but enrichment files.
        return;
    }
    let place = folder.display();
    let free = match inspect::free_bytes(folder) {
        Ok(free) => free,
        Err(error) => {
            return findings.warn(WHAT, format!("the room under {place} is unknown: {error}"), format!("df {place}"));
        }
    };
    let found = format!("{} MiB free under {place}", free >> 20);
    match grade(free) {
        Grade::Fail => findings.fail(WHAT, found, "make room, or point TOUCHSTONE_DATA_DIR at a larger disk"),
        Grade::Warn => findings.warn(WHAT, found, "make room before the disk is full"),
        Grade::Ok | Grade::Off => findings.ok(WHAT, found),
    }
}

const fn grade(free: u64) -> Grade {
    match free {
        0..FAIL_BYTES => Grade::Fail,
        FAIL_BYTES..WARN_BYTES => Grade::Warn,
        _ => Grade::Ok,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_warns_and_none_fails() {
        let grades = [0, FAIL_BYTES - 1, FAIL_BYTES, WARN_BYTES - 1, WARN_BYTES, u64::MAX].map(grade);
        assert_eq!(grades, [Grade::Fail, Grade::Fail, Grade::Warn, Grade::Warn, Grade::Ok, Grade::Ok]);
    }

    #[test]
    fn the_room_of_a_folder_is_known() {
        let mut settings = Settings::from_sources(|_| None, "").unwrap();
        settings.data_dir = std::env::temp_dir();
        let mut findings = Findings::default();
        examine(&settings, &mut findings);
        assert_eq!(findings.0.len(), 1);
        assert!(findings.0[0].found.contains("MiB free under"), "{:?}", findings.0);
        settings.data_dir = "no/such/folder".into();
        examine(&settings, &mut findings);
        assert_eq!(findings.0.len(), 1);
    }
}
