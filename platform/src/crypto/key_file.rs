//! The master key file of the embedded mode: made once, readable by its owner only.
//!
//! Guarantee: whoever starts first makes the key, whole, and everyone reads the same one: the file appears under its
//! name only when it is complete and on disk. Failure: an unreadable, malformed or too open file stops the start; it is
//! never replaced, since everything sealed under it would be lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use touchstone_schema::secret::Secret;

use super::{MasterKeyError, MasterKeys};
use crate::random;

/// Permissions of anyone but the owner.
const OTHERS: u32 = 0o077;

/// The master key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It could not be read or made.
    #[error("master key file {}: cannot be read or made", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("master key file {}: others may open it (mode {mode:o}); run `chmod 600` on it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no valid keys.
    #[error("master key file {}: holds no valid master key", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MasterKeyError,
    },
}

impl MasterKeys {
    /// Reads the keys from `path`.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        read(path)
    }

    /// Reads the keys from `path`; makes the file, mode 0600, with one random key when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match read(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
                read(path)
            }
            outcome => outcome,
        }
    }
}

fn read(path: &Path) -> Result<MasterKeys, KeyFileError> {
    let io_error = |source| KeyFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::TooOpen { path: path.to_owned(), mode });
    }
    let text = Secret::new(io::read_to_string(file).map_err(io_error)?);
    MasterKeys::parse(text.expose_text().unwrap_or_default().trim())
        .map_err(|source| KeyFileError::Invalid { path: path.to_owned(), source })
}

/// Writes a fresh key beside `path` and links it into place; loses without harm to another process that was faster.
fn create(path: &Path) -> io::Result<()> {
    let draft = path.with_extension(format!("new-{}", hex::encode(random::bytes::<8>())));
    let outcome = write_key(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&draft);
    outcome?;
    removed?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_key(draft: &Path) -> io::Result<()> {
    let key = Secret::new(random::bytes::<32>());
    let line = Secret::new(STANDARD.encode(key.expose()) + "\n");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(line.expose())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("touchstone-key-{}", hex::encode(random::bytes::<8>())));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("master.key")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = Folder::new();
        let made = MasterKeys::load_or_create(&folder.file()).unwrap();
        let again = MasterKeys::load_or_create(&folder.file()).unwrap();
        assert_eq!(made.current_id(), again.current_id());
        assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn processes_that_start_together_agree_on_one_key() {
        let folder = Folder::new();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let start = || MasterKeys::load_or_create(&folder.file()).unwrap().current_id().to_owned();
            let running: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn file_that_others_may_read_is_refused() {
        let folder = Folder::new();
        MasterKeys::load_or_create(&folder.file()).unwrap();
        for mode in [0o640, 0o604, 0o622] {
            fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
            let refusal = MasterKeys::load_or_create(&folder.file()).unwrap_err();
            assert!(matches!(refusal, KeyFileError::TooOpen { .. }), "{refusal}");
        }
    }

    #[test]
    fn damaged_file_is_refused_and_left_alone() {
        let folder = Folder::new();
        write_key(&folder.file()).unwrap();
        fs::write(folder.file(), "damaged").unwrap();
        assert!(matches!(MasterKeys::load_or_create(&folder.file()), Err(KeyFileError::Invalid { .. })));
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), "damaged");
    }
}
