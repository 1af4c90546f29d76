//! What `touchstone doctor` says of the files.

use std::path::Path;
use std::time::Duration;

use touchstone_schema::time::Timestamp;

use super::built_in;
use super::files::{DataFile, FILES, FileError};

/// A kind of file, and what is in the folder of it.
#[derive(Debug)]
pub struct FileReport {
    /// Which.
    pub file: &'static DataFile,
    /// What is there.
    pub state: FileState,
}

/// What is in the folder of a kind of file.
#[derive(Debug)]
pub enum FileState {
    /// Nothing.
    Absent,
    /// A file that can be used.
    Good {
        /// How old its data is.
        age: Duration,
        /// What it holds.
        coverage: String,
    },
    /// A file that cannot be used.
    Bad(FileError),
}

/// Reads every file of the folder as a scorer would.
pub fn inspect(folder: &Path, now: Timestamp) -> Vec<FileReport> {
    let state =
        |file: &DataFile| match file.stamp(folder).and_then(|stamp| stamp.map(|_| file.load(folder)).transpose()) {
            Ok(None) => FileState::Absent,
            Ok(Some(loaded)) => FileState::Good { age: now.since(loaded.made_at), coverage: loaded.table.coverage() },
            Err(error) => FileState::Bad(error),
        };
    FILES.iter().map(|file| FileReport { file, state: state(file) }).collect()
}

/// What the lists that come with the build hold.
pub fn built_in_coverage() -> String {
    built_in::coverage()
}
