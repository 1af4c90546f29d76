//! compose.yaml against what the program reads: a setting that is not passed on is silently ignored.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;

/// Settings that compose.yaml gives by file or that the image fixes.
const GIVEN_OTHERWISE: [&str; 7] = [
    "AMQP_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "TOUCHSTONE_DATA_DIR",
    "TOUCHSTONE_DATA_VOLUME",
    "TOUCHSTONE_LISTEN",
    "TOUCHSTONE_MASTER_KEY",
];

fn read(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

#[test]
fn every_optional_setting_is_passed_on_and_named_in_the_example() -> Result<()> {
    let source = read("platform/src/settings.rs")?;
    let name = Regex::new(r#""((?:TOUCHSTONE|OTEL|DATABASE|AMQP|REDIS)_[A-Z_]+)""#)?;
    let names: BTreeSet<_> = name.captures_iter(&source).map(|found| found[1].to_owned()).collect();
    ensure!(names.len() > 12, "the settings are found: {names:?}");
    let (compose, example) = (read("compose.yaml")?, read(".env.example")?);
    let optional = names.iter().filter(|name| !name.ends_with("_FILE") || *name == "TOUCHSTONE_CA_FILE");
    for name in optional.filter(|name| !GIVEN_OTHERWISE.contains(&name.as_str())) {
        ensure!(compose.contains(&format!("    {name}: ${{{name}:")), "compose.yaml does not pass {name} on");
        ensure!(example.contains(&format!("{name}=")), ".env.example does not name {name}");
    }
    Ok(())
}
