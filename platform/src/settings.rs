//! Settings: the environment first, then `touchstone.toml`, then defaults.
//!
//! Guarantee: a wrong value stops the start with its name, what is wrong with it and an example; nothing is guessed.
//! Values that carry passwords are [`Secret`]s from the moment they are read. Each of these may be in a file of its own,
//! which its owner alone may read (`secret_files`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;
use touchstone_schema::limits::BACKFILL_DAY_BYTES;
use touchstone_schema::secret::Secret;
use url::Url;

pub use self::secret_files::require_private;
use self::secret_files::{SECRETS, file_setting, read_secret};
use crate::telemetry::Sampler;
use crate::transport::Trust;

mod secret_files;

/// File that is read from the working directory when it is there.
pub const FILE: &str = "touchstone.toml";

/// Every setting that exists; a file with any other name in it is refused.
const NAMES: &[&str] = &[
    "DATABASE_URL",
    "AMQP_URL",
    "REDIS_URL",
    "TOUCHSTONE_LISTEN",
    "TOUCHSTONE_DATA_DIR",
    "TOUCHSTONE_DATA_VOLUME",
    "TOUCHSTONE_MASTER_KEY",
    "TOUCHSTONE_PUBLIC_URL",
    "TOUCHSTONE_EGRESS_ALLOW",
    "TOUCHSTONE_CA_FILE",
    "TOUCHSTONE_TRUSTED_PROXIES",
    "TOUCHSTONE_CENTRA_TIMEOUT",
    "TOUCHSTONE_UPLOAD_DAY_BYTES",
    "TOUCHSTONE_LOG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// What reaches the door from the same machine: a reverse proxy, or a program that runs there anyway.
const LOOPBACK: &str = "127.0.0.0/8,::1/128";

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("setting {name}: {problem}; for example {name}={example}")]
pub struct SettingError {
    /// Its name in the environment.
    pub name: String,
    /// What is wrong, without the value where it may be secret.
    pub problem: String,
    /// A value that would do.
    pub example: &'static str,
}

/// Where queue, store and cache are.
#[derive(Debug, Clone)]
pub enum Services {
    /// Inside this process and its data folder.
    Embedded,
    /// PostgreSQL, RabbitMQ and Redis.
    Production {
        /// `postgres://…`
        database_url: Secret,
        /// `amqp://…` or `amqps://…`
        amqp_url: Secret,
        /// `redis://…` or `rediss://…`
        redis_url: Secret,
    },
}

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Filter directives, e.g. `info,touchstone=debug`.
    pub filter: String,
    /// One JSON object a line instead of text for people.
    pub json: bool,
}

/// Where spans are sent, and which.
#[derive(Clone)]
pub struct TraceSettings {
    /// The collector's address for traces.
    pub url: hyper::Uri,
    /// Headers of each request; they may be secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What this installation is called.
    pub service: String,
    /// Which traces are recorded.
    pub sampler: Sampler,
}

impl std::fmt::Debug for TraceSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// All settings of a process; each role is handed only its own section.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where queue, store and cache are.
    pub services: Services,
    /// Authorities that the services' certificates may come from.
    pub trust: Trust,
    /// Address of the public door.
    pub listen: SocketAddr,
    /// Folder of embedded data, the embedded master key and enrichment files.
    pub data_dir: PathBuf,
    /// Whether embedded data is refused unless a volume is mounted there: a container loses all else when it is replaced.
    pub needs_volume: bool,
    /// The master keys as given, comma-separated, newest first; none: embedded mode makes its own.
    pub master_key: Option<Secret>,
    /// Address under which callers reach the public door, for links.
    pub public_url: Option<Url>,
    /// Private networks that webhooks may reach after all.
    pub egress_allow: Vec<IpNet>,
    /// Networks of reverse proxies, whose connections to the public door are not limited by address.
    pub trusted_proxies: Vec<IpNet>,
    /// Longest request to a Centra shop.
    pub centra_timeout: Duration,
    /// Bytes of past orders that a store may upload in a day (UTC).
    pub upload_day_bytes: u64,
    /// How logs are written.
    pub log: LogSettings,
    /// Where spans are sent; none: they are not recorded.
    pub traces: Option<TraceSettings>,
}

impl Settings {
    /// Reads the environment and `touchstone.toml` of the working directory.
    pub fn load() -> Result<Self, SettingError> {
        let file = match std::fs::read_to_string(FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(FILE, format!("cannot be read: {error}"), "a readable file")),
        };
        if parse_file(&file)?.keys().any(|name| SECRETS.contains(&name.as_str())) {
            require_private(FILE, Path::new(FILE))?;
        }
        Self::from_sources(|name| std::env::var(name).ok(), &file)
    }

    /// Reads settings from an environment and the text of a settings file.
    pub fn from_sources(environment: impl Fn(&str) -> Option<String>, file: &str) -> Result<Self, SettingError> {
        let file = parse_file(file)?;
        let given = |name: &str| environment(name).filter(|text| !text.is_empty()).or_else(|| file.get(name).cloned());
        let mut secrets = BTreeMap::new();
        for name in SECRETS {
            if let Some(secret) = read_secret(name, &given)? {
                secrets.insert(*name, secret);
            }
        }
        let value = |name: &str| match SECRETS.contains(&name) {
            true => secrets.get(name).cloned(),
            false => given(name),
        };
        Ok(Self {
            services: services(&value)?,
            trust: trust(&value)?,
            listen: parsed(&value, "TOUCHSTONE_LISTEN", "127.0.0.1:8080", "expected an IP address and a port")?,
            data_dir: data_dir(&value),
            needs_volume: value("TOUCHSTONE_DATA_DIR").is_none() && value("TOUCHSTONE_DATA_VOLUME").is_some(),
            master_key: value("TOUCHSTONE_MASTER_KEY").map(Secret::new),
            public_url: public_url(&value)?,
            egress_allow: networks(&value, "TOUCHSTONE_EGRESS_ALLOW", "", "127.0.0.0/8,10.1.0.0/16")?,
            trusted_proxies: networks(&value, "TOUCHSTONE_TRUSTED_PROXIES", LOOPBACK, "10.1.0.0/16")?,
            centra_timeout: centra_timeout(&value)?,
            upload_day_bytes: upload_day_bytes(&value)?,
            log: log_settings(&value)?,
            traces: trace_settings(&value)?,
        })
    }

    /// Whether everything runs inside this process.
    pub const fn is_embedded(&self) -> bool {
        matches!(self.services, Services::Embedded)
    }

    /// The SQLite file of embedded mode.
    pub fn database_path(&self) -> PathBuf {
        self.data_dir.join("touchstone.sqlite")
    }

    /// The file that embedded mode keeps its own master key in.
    pub fn master_key_path(&self) -> PathBuf {
        self.data_dir.join("master.key")
    }

    /// The folder of enrichment files.
    pub fn enrichment_dir(&self) -> PathBuf {
        self.data_dir.join("enrichment")
    }

    /// The folder itself.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

fn wrong(name: &str, problem: impl Into<String>, example: &'static str) -> SettingError {
    SettingError { name: name.to_owned(), problem: problem.into(), example }
}

fn parse_file(text: &str) -> Result<BTreeMap<String, String>, SettingError> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong(FILE, format!("is not TOML: {}", error.message()), "\"value\""))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let name = key.to_uppercase();
        let is_secret_file = SECRETS.iter().any(|secret| file_setting(secret) == name);
        if !NAMES.contains(&name.as_str()) && !is_secret_file {
            return Err(wrong(&key, format!("no such setting in {FILE}; known are {}", NAMES.join(", ")), "…"));
        }
        let toml::Value::String(text) = value else {
            return Err(wrong(&name, format!("must be a string in {FILE}"), "\"value\""));
        };
        values.insert(name, text);
    }
    Ok(values)
}

fn services(value: &impl Fn(&str) -> Option<String>) -> Result<Services, SettingError> {
    const URLS: [(&str, &[&str], &str); 3] = [
        ("DATABASE_URL", &["postgres", "postgresql"], "postgres://touchstone:PASSWORD@db:5432/touchstone"),
        ("AMQP_URL", &["amqp", "amqps"], "amqp://touchstone:PASSWORD@mq:5672/%2f"),
        ("REDIS_URL", &["redis", "rediss"], "redis://:PASSWORD@cache:6379/0"),
    ];
    let given: Vec<_> = URLS.iter().map(|(name, ..)| value(name)).collect();
    if given.iter().all(Option::is_none) {
        return Ok(Services::Embedded);
    }
    let mut urls = Vec::with_capacity(URLS.len());
    for ((name, schemes, example), text) in URLS.into_iter().zip(given) {
        let text = text.ok_or_else(|| {
            wrong(name, "is missing; DATABASE_URL, AMQP_URL and REDIS_URL are set together, or none of them", example)
        })?;
        let url = Url::parse(&text).map_err(|error| wrong(name, format!("is not a URL: {error}"), example))?;
        if !schemes.contains(&url.scheme()) {
            return Err(wrong(
                name,
                format!("has the scheme `{}`, expected {}", url.scheme(), schemes.join(" or ")),
                example,
            ));
        }
        urls.push(Secret::new(text));
    }
    match <[Secret; 3]>::try_from(urls) {
        Ok([database_url, amqp_url, redis_url]) => Ok(Services::Production { database_url, amqp_url, redis_url }),
        Err(_) => Ok(Services::Embedded),
    }
}

/// The folder that is named, else the volume that the container image names, else one in the working directory.
fn data_dir(value: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let named = value("TOUCHSTONE_DATA_DIR").or_else(|| value("TOUCHSTONE_DATA_VOLUME"));
    PathBuf::from(named.unwrap_or_else(|| "./data".to_owned()))
}

fn trust(value: &impl Fn(&str) -> Option<String>) -> Result<Trust, SettingError> {
    const NAME: &str = "TOUCHSTONE_CA_FILE";
    let Some(path) = value(NAME) else { return Ok(Trust::default()) };
    Trust::of_file(Path::new(&path)).map_err(|error| {
        let problem = format!("`{path}` cannot be used: {error}; expected a file of certificates in PEM form");
        wrong(NAME, problem, "/etc/touchstone/ca.pem")
    })
}

fn parsed<T: std::str::FromStr>(
    value: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    default: &'static str,
    expected: &str,
) -> Result<T, SettingError> {
    let text = value(name).unwrap_or_else(|| default.to_owned());
    text.parse().map_err(|_| wrong(name, format!("`{text}` cannot be used: {expected}"), default))
}

fn public_url(value: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>, SettingError> {
    const NAME: &str = "TOUCHSTONE_PUBLIC_URL";
    const EXAMPLE: &str = "https://fraud.example.com";
    let Some(text) = value(NAME) else { return Ok(None) };
    let url = Url::parse(&text).map_err(|error| wrong(NAME, format!("`{text}` is not a URL: {error}"), EXAMPLE))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(NAME, format!("`{text}` must begin with http:// or https://"), EXAMPLE));
    }
    Ok(Some(url))
}

/// Networks, separated by commas; `none` is none of them, also where there is a default.
fn networks(
    value: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    default: &str,
    example: &'static str,
) -> Result<Vec<IpNet>, SettingError> {
    let text = value(name).unwrap_or_else(|| default.to_owned());
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty() && text != "none")
        .map(|part| {
            let problem = || format!("`{part}` is not a network, expected comma-separated CIDRs");
            part.parse().map_err(|_| wrong(name, problem(), example))
        })
        .collect()
}

fn centra_timeout(value: &impl Fn(&str) -> Option<String>) -> Result<Duration, SettingError> {
    const NAME: &str = "TOUCHSTONE_CENTRA_TIMEOUT";
    const EXPECTED: &str = "expected seconds between 1 and 60";
    let seconds: u64 = parsed(value, NAME, "10", EXPECTED)?;
    if !(1..=60).contains(&seconds) {
        return Err(wrong(NAME, format!("`{seconds}` cannot be used: {EXPECTED}"), "10"));
    }
    Ok(Duration::from_secs(seconds))
}

fn upload_day_bytes(value: &impl Fn(&str) -> Option<String>) -> Result<u64, SettingError> {
    const NAME: &str = "TOUCHSTONE_UPLOAD_DAY_BYTES";
    let Some(text) = value(NAME) else { return Ok(BACKFILL_DAY_BYTES) };
    text.parse().map_err(|_| wrong(NAME, format!("`{text}` cannot be used: expected a number of bytes"), "8589934592"))
}

fn log_settings(value: &impl Fn(&str) -> Option<String>) -> Result<LogSettings, SettingError> {
    const NAME: &str = "TOUCHSTONE_LOG";
    let text = value(NAME).unwrap_or_else(|| "info".to_owned());
    let (json, filter) = text.strip_prefix("json:").map_or((false, text.as_str()), |rest| (true, rest));
    tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        wrong(NAME, format!("`{text}` is not a log filter: {error}"), "json:info,touchstone_ingest=debug")
    })?;
    Ok(LogSettings { filter: filter.to_owned(), json })
}

fn trace_settings(value: &impl Fn(&str) -> Option<String>) -> Result<Option<TraceSettings>, SettingError> {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const EXAMPLE: &str = "http://127.0.0.1:4318";
    let Some(text) = value(ENDPOINT) else { return Ok(None) };
    let url = format!("{}/v1/traces", text.trim_end_matches('/')).parse::<hyper::Uri>();
    let url = url.ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some());
    let url = url.ok_or_else(|| wrong(ENDPOINT, "must be an address that begins with http:// or https://", EXAMPLE))?;
    let headers = value("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let headers = headers.split(',').map(str::trim).filter(|part| !part.is_empty()).map(trace_header);
    Ok(Some(TraceSettings {
        url,
        headers: headers.collect::<Result<_, _>>()?,
        service: value("OTEL_SERVICE_NAME").unwrap_or_else(|| "touchstone".to_owned()),
        sampler: sampler(value)?,
    }))
}

fn trace_header(text: &str) -> Result<(HeaderName, HeaderValue), SettingError> {
    let read = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let mut value = HeaderValue::from_str(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name.trim()).ok()?, value))
    };
    const EXPECTED: &str = "has a part that is no header, expected name=value, separated by commas";
    read(text).ok_or_else(|| wrong("OTEL_EXPORTER_OTLP_HEADERS", EXPECTED, "authorization=Bearer TOKEN"))
}

fn sampler(value: &impl Fn(&str) -> Option<String>) -> Result<Sampler, SettingError> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const SHARE: &str = "OTEL_TRACES_SAMPLER_ARG";
    let text = value(NAME).unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (by_parent, kind) = text.strip_prefix("parentbased_").map_or((false, text.as_str()), |kind| (true, kind));
    let share = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => parsed::<f64>(value, SHARE, "1.0", "expected a number between 0 and 1")?,
        _ => {
            let expected = "expected always_on, always_off or traceidratio, each also with parentbased_ before it";
            return Err(wrong(NAME, format!("`{text}` cannot be used: {expected}"), "parentbased_traceidratio"));
        }
    };
    if !(0.0..=1.0).contains(&share) {
        return Err(wrong(SHARE, format!("`{share}` cannot be used: expected a number between 0 and 1"), "0.1"));
    }
    Ok(Sampler { by_parent, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pairs: &[(&str, &str)], file: &str) -> Result<Settings, SettingError> {
        let pairs: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::from_sources(|name| pairs.get(name).cloned(), file)
    }

    #[test]
    fn nothing_set_means_embedded_on_the_loopback_address() {
        let settings = load(&[], "").unwrap();
        assert!(settings.is_embedded());
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_volume_of_an_image_is_needed_unless_a_folder_is_named() {
        const VOLUME: (&str, &str) = ("TOUCHSTONE_DATA_VOLUME", "/var/lib/touchstone");
        let unnamed = load(&[VOLUME], "").unwrap();
        assert_eq!((unnamed.needs_volume, unnamed.data_dir()), (true, Path::new("/var/lib/touchstone")));
        let named = load(&[VOLUME, ("TOUCHSTONE_DATA_DIR", "/srv/a")], "").unwrap();
        assert_eq!((named.needs_volume, named.data_dir()), (false, Path::new("/srv/a")));
        assert!(!load(&[], "").unwrap().needs_volume);
    }

    #[test]
    fn proxies_of_the_same_machine_are_trusted_unless_others_are_named() {
        let proxies = |pairs: &[(&str, &str)]| load(pairs, "").unwrap().trusted_proxies;
        let local: std::net::IpAddr = "127.0.0.1".parse().unwrap();
        assert!(proxies(&[]).iter().any(|network| network.contains(&local)));
        assert_eq!(proxies(&[("TOUCHSTONE_TRUSTED_PROXIES", "10.1.0.0/16")]), ["10.1.0.0/16".parse().unwrap()]);
        assert!(proxies(&[("TOUCHSTONE_TRUSTED_PROXIES", "none")]).is_empty());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "touchstone_listen = \"127.0.0.1:1\"\nTOUCHSTONE_DATA_DIR = \"/srv/a\"\n";
        let settings = load(&[("TOUCHSTONE_LISTEN", "127.0.0.1:2")], file).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.data_dir, Path::new("/srv/a"));
    }

    #[test]
    fn a_wrong_value_is_refused_with_name_problem_and_example() {
        for (name, value, part) in [
            ("TOUCHSTONE_LISTEN", "8080", "expected an IP address and a port"),
            ("DATABASE_URL", "mysql://x", "expected postgres"),
            ("AMQP_URL", "amqp://x", "is missing"),
            ("TOUCHSTONE_PUBLIC_URL", "ftp://x", "must begin with http"),
            ("TOUCHSTONE_EGRESS_ALLOW", "10.0.0.0/99", "is not a network"),
            ("TOUCHSTONE_TRUSTED_PROXIES", "proxy.example", "is not a network"),
            ("TOUCHSTONE_UPLOAD_DAY_BYTES", "8 GiB", "expected a number of bytes"),
            ("TOUCHSTONE_LOG", "a=b=c", "is not a log filter"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "begins with http"),
            ("TOUCHSTONE_CA_FILE", "/no/such/file", "a file of certificates"),
            ("TOUCHSTONE_MASTER_KEY_FILE", "/no/such/file", "cannot be read"),
        ] {
            let message = load(&[(name, value)], "").unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("for example"), "{name}: {message}");
        }
        assert!(load(&[], "databse_url = \"x\"").unwrap_err().to_string().contains("no such setting"));
    }

    #[test]
    fn traces_are_sampled_as_asked_and_wrong_wishes_are_refused() {
        const TO: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example/otlp/");
        let traces = |more: &[(&str, &str)]| load(&[&[TO], more].concat(), "").map(|settings| settings.traces.unwrap());
        let plain = traces(&[]).unwrap();
        assert_eq!(plain.url.to_string(), "https://collector.example/otlp/v1/traces");
        assert_eq!(plain.sampler, Sampler { by_parent: true, share: 1.0 });
        let tenth = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")];
        assert_eq!(traces(&tenth).unwrap().sampler, Sampler { by_parent: false, share: 0.1 });
        let secret = traces(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2, x-tenant = a")]).unwrap();
        assert!(secret.headers.len() == 2 && !format!("{secret:?}").contains("hunter2"));
        for (name, value, part) in [
            ("OTEL_TRACES_SAMPLER", "sometimes", "cannot be used"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no header", "no header"),
        ] {
            let message = traces(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("for example"), "{name}: {message}");
        }
        assert!(traces(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]).is_err());
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        let settings = load(
            &[
                ("DATABASE_URL", "postgres://u:hunter2@h/d"),
                ("AMQP_URL", "amqp://u:hunter2@h"),
                ("REDIS_URL", "redis://:hunter2@h"),
            ],
            "",
        )
        .unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
