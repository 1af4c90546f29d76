//! Secret settings from files: `NAME_FILE` in place of `NAME`.
//!
//! Guarantee: a file is taken only when its owner alone may read or change it, and a secret has one source. Failure:
//! a [`SettingError`] with the command that mends it, and never with the secret.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{SettingError, wrong};

/// Every setting that holds a password, a key or a token.
pub(super) const SECRETS: &[&str] =
    &["DATABASE_URL", "AMQP_URL", "REDIS_URL", "TOUCHSTONE_MASTER_KEY", "OTEL_EXPORTER_OTLP_HEADERS"];
/// Largest secret: several master keys or headers fit many times.
const MOST_BYTES: u64 = 64 * 1024;
/// Permission bits of group and others.
const NOT_OWNER: u32 = 0o077;
const EXAMPLE: &str = "/run/secrets/touchstone";

/// The setting that names the file of a secret.
pub(super) fn file_setting(name: &str) -> String {
    format!("{name}_FILE")
}

/// A secret setting, from itself or from its file, without the line break that editors add.
pub(super) fn read_secret(name: &str, given: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, SettingError> {
    let setting = file_setting(name);
    let path = match (given(name), given(&setting)) {
        (Some(_), Some(_)) => {
            return Err(wrong(name, format!("is set, and {setting} too: keep one of them"), EXAMPLE));
        }
        (direct, None) => return Ok(direct),
        (None, Some(path)) => path,
    };
    let place = Path::new(&path);
    require_private(&setting, place)?;
    let mut text = String::new();
    let read = std::fs::File::open(place).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| wrong(&setting, format!("`{path}` cannot be read: {error}"), EXAMPLE))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.len() as u64 > MOST_BYTES {
        return Err(wrong(
            &setting,
            format!("`{path}` is empty or too long, expected the value of {name} alone"),
            EXAMPLE,
        ));
    }
    Ok(Some(text.to_owned()))
}

/// Refuses a file that group or others may read or change; `setting` is what names it.
///
/// # Errors
/// When it is open to them, or not there; with the command that mends it.
pub fn require_private(setting: &str, path: &Path) -> Result<(), SettingError> {
    let place = path.display();
    let facts = std::fs::metadata(path)
        .map_err(|error| wrong(setting, format!("`{place}` cannot be read: {error}"), EXAMPLE))?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & NOT_OWNER == 0 {
        return Ok(());
    }
    let problem = format!("`{place}` holds secrets and is open to group or others (mode {mode:o}): chmod 600 {place}");
    Err(wrong(setting, problem, EXAMPLE))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::PathBuf;

    use super::*;

    /// A file with this mode, and its name.
    fn file(name: &str, text: &str, mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("touchstone-secret-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Option<String>, String> {
        let pairs: HashMap<_, _> = pairs.iter().copied().collect();
        let given = |name: &str| pairs.get(name).map(|text| (*text).to_owned());
        read_secret("REDIS_URL", &given).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_comes_from_its_setting_or_from_its_file_and_never_from_both() {
        let path = file("good", "redis://:hunter2@cache\n", 0o600);
        let name = path.to_str().unwrap();
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("REDIS_URL", "a")]), Ok(Some("a".to_owned())));
        assert_eq!(read(&[("REDIS_URL_FILE", name)]), Ok(Some("redis://:hunter2@cache".to_owned())));
        let both = read(&[("REDIS_URL", "hunter2"), ("REDIS_URL_FILE", name)]).unwrap_err();
        assert!(both.contains("REDIS_URL_FILE too") && !both.contains("hunter2"), "{both}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o640, 0o604, 0o660, 0o602, 0o444] {
            let path = file("open", "hunter2", mode);
            let refused = read(&[("REDIS_URL_FILE", path.to_str().unwrap())]).unwrap_err();
            assert!(refused.contains(&format!("chmod 600 {}", path.display())), "{refused}");
            assert!(refused.contains(&format!("mode {mode:o}")) && !refused.contains("hunter2"), "{refused}");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_without_a_secret_is_refused() {
        let long = "a".repeat(65_537);
        for text in ["", "\n", long.as_str()] {
            let path = file("empty", text, 0o400);
            assert!(read(&[("REDIS_URL_FILE", path.to_str().unwrap())]).unwrap_err().contains("empty or too long"));
            std::fs::remove_file(path).unwrap();
        }
        assert!(read(&[("REDIS_URL_FILE", "/no/such/file")]).unwrap_err().contains("cannot be read"));
    }
}
