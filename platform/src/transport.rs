//! Whether what is said to the services can be read on the way, and by which authorities their certificates are verified.
//!
//! Guarantee: PostgreSQL on another machine is spoken to over TLS with a verified certificate and host name, unless its
//! URL says `sslmode`. RabbitMQ and Redis are as their URL's scheme says. Failure: a server that cannot do so is an error
//! of the connection, never a fall back to plain text.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use touchstone_schema::secret::Secret;
use url::Url;

/// Authorities that services' certificates are verified by, beside or in place of the system's.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<str>>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trust(file)" } else { "Trust(system)" })
    }
}

impl Trust {
    /// Reads certificates in PEM form.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn of_file(path: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no certificate in PEM form is in it"));
        }
        Ok(Self(Some(text.into())))
    }

    /// Certificates in PEM form; none: the system's.
    pub(crate) fn pem(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Over TLS, with a verified certificate and host name.
    Verified,
    /// Over TLS to a server that nothing proves to be the right one.
    Unverified,
    /// Without leaving this machine.
    Local,
    /// In plain text, at least if the server wants it so.
    Plain,
}

/// How PostgreSQL is reached by this `postgres://` URL. A URL that cannot be read is as good as plain.
pub fn of_postgres(url: &Secret) -> Protection {
    let Some(options) = url.expose_text().and_then(|text| postgres(text, &Trust::default()).ok()) else {
        return Protection::Plain;
    };
    match options.get_ssl_mode() {
        PgSslMode::VerifyFull => Protection::Verified,
        _ if is_local(&options) => Protection::Local,
        PgSslMode::Require | PgSslMode::VerifyCa => Protection::Unverified,
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Protection::Plain,
    }
}

/// How RabbitMQ is reached by this `amqp://` or `amqps://` URL.
pub fn of_rabbitmq(url: &Secret) -> Protection {
    by_scheme(url, "amqps", |_| false)
}

/// How Redis is reached by this `redis://` or `rediss://` URL. `#insecure` switches the verification off.
pub fn of_redis(url: &Secret) -> Protection {
    by_scheme(url, "rediss", |url| url.fragment() == Some("insecure"))
}

fn by_scheme(url: &Secret, encrypted: &str, is_unverified: impl Fn(&Url) -> bool) -> Protection {
    let Some(url) = url.expose_text().and_then(|text| Url::parse(text).ok()) else { return Protection::Plain };
    if url.scheme() == encrypted {
        return if is_unverified(&url) { Protection::Unverified } else { Protection::Verified };
    }
    if url.host_str().is_none_or(is_loopback) { Protection::Local } else { Protection::Plain }
}

/// Options of a connection to PostgreSQL.
pub(crate) fn postgres(url: &str, trust: &Trust) -> Result<PgConnectOptions, sea_orm::sqlx::Error> {
    let mut options = url.parse::<PgConnectOptions>()?;
    let says = |names: &[&str]| {
        Url::parse(url).is_ok_and(|url| url.query_pairs().any(|(name, _)| names.contains(&name.as_ref())))
    };
    if !says(&["sslmode", "ssl-mode"]) && !is_local(&options) {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    match trust.pem() {
        Some(pem) if !says(&["sslrootcert", "ssl-root-cert", "ssl-ca"]) => {
            Ok(options.ssl_root_cert_from_pem(pem.as_bytes().to_vec()))
        }
        _ => Ok(options),
    }
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some() || host.starts_with('/') || is_loopback(host)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_elsewhere_is_verified_unless_the_url_says_otherwise() {
        for (url, expected) in [
            ("postgres://u:p@db.example/touchstone", Protection::Verified),
            ("postgres://u:p@10.0.0.7:5432/touchstone", Protection::Verified),
            ("postgres://u:p@0.0.0.0/touchstone", Protection::Verified),
            ("postgres://u:p@db.example/touchstone?sslmode=verify-full", Protection::Verified),
            ("postgres://u:p@db.example/touchstone?sslmode=require", Protection::Unverified),
            ("postgres://u:p@db.example/touchstone?sslmode=prefer", Protection::Plain),
            ("postgres://u:p@db.example/touchstone?ssl-mode=disable", Protection::Plain),
            ("postgres://u:p@127.0.0.1/touchstone", Protection::Local),
            ("postgres://u:p@[::1]/touchstone", Protection::Local),
            ("postgres://u:p@localhost/touchstone", Protection::Local),
            ("postgres://u:p@db.example/touchstone?host=/var/run/postgresql", Protection::Local),
            ("postgres://u:p@127.0.0.1/touchstone?host=db.example", Protection::Verified),
            ("postgres://u:p@localhost.example/touchstone", Protection::Verified),
            ("nonsense", Protection::Plain),
        ] {
            assert_eq!(of_postgres(&Secret::new(url)), expected, "{url}");
        }
    }

    #[test]
    fn rabbitmq_and_redis_are_as_their_scheme_says() {
        for (url, expected) in [
            ("amqps://u:p@mq.example/%2f", Protection::Verified),
            ("amqp://u:p@mq.example/%2f", Protection::Plain),
            ("amqp://u:p@127.0.0.1:5672/%2f", Protection::Local),
            ("nonsense", Protection::Plain),
        ] {
            assert_eq!(of_rabbitmq(&Secret::new(url)), expected, "{url}");
        }
        for (url, expected) in [
            ("rediss://:p@cache.example:6379/0", Protection::Verified),
            ("rediss://:p@cache.example:6379/0#insecure", Protection::Unverified),
            ("redis://:p@cache.example:6379/0", Protection::Plain),
            ("redis://[::1]:6379/0", Protection::Local),
        ] {
            assert_eq!(of_redis(&Secret::new(url)), expected, "{url}");
        }
    }
}
