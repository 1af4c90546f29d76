//! Where a shop's Integration API is, and the token for it.
//!
//! Guarantee: the token leaves this machine only over TLS, or to a network that the operator has exempted.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use touchstone_schema::secret::Secret;
use url::{Host, Url};

use crate::compose::Operator;

/// Longest token; those of today have some hundred characters.
const MOST_TOKEN_BYTES: u64 = 8_192;

/// The address of an Integration API.
pub(super) fn parse_api_url(text: &str) -> Result<Url, String> {
    const EXPECTED: &str = "expected such as https://brand.centra.com/graphql";
    let url: Url = text.parse().map_err(|error| format!("is not a URL ({error}): {EXPECTED}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("has no https:// and host: {EXPECTED}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry credentials: the token is given with --token-file".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("has more than a path: {EXPECTED}"));
    }
    if !url.path().trim_end_matches('/').ends_with("/graphql") {
        return Err(format!("does not end in the path of a GraphQL API: {EXPECTED}"));
    }
    Ok(url)
}

/// Refuses an address that the notifiers would be refused at, or that would get the token unencrypted.
pub(super) async fn check_api_url(url: &Url, operator: &Operator) -> anyhow::Result<()> {
    let host = url.host().context("--api-url: has no host")?;
    operator.egress().check_host_literal(&host).context("--api-url: the shop cannot be asked there")?;
    if url.scheme() == "https" {
        return Ok(());
    }
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<IpAddr> = match host {
        Host::Ipv4(address) => vec![address.into()],
        Host::Ipv6(address) => vec![address.into()],
        Host::Domain(name) => {
            let found = tokio::net::lookup_host((name, port)).await.map(|found| found.map(|at| at.ip()).collect());
            found.unwrap_or_default()
        }
    };
    // Requests never go to the others.
    let egress = operator.egress();
    let mut reached = addresses.into_iter().filter(|address| egress.permits(*address)).peekable();
    let exempted = |address: IpAddr| operator.exempted_networks().iter().any(|network| network.contains(&address));
    if reached.peek().is_none() || !reached.all(exempted) {
        bail!(
            "--api-url: http:// would send the token unencrypted; expected https://, or a host in a network of \
             TOUCHSTONE_EGRESS_ALLOW"
        );
    }
    Ok(())
}

/// The token in a file, or on standard input for `-`, without what editors add around it.
pub(super) fn read_token(file: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_TOKEN_BYTES + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MOST_TOKEN_BYTES + 1).read_to_string(&mut text))
    };
    read.with_context(|| format!("--token-file: {} cannot be read as text", file.display()))?;
    let text = Secret::new(text);
    let token = text.expose_text().unwrap_or_default().trim();
    match problem_of(token) {
        Some(problem) => bail!("--token-file: {problem}; expected the Integration API token and nothing else"),
        None => Ok(Secret::new(token)),
    }
}

/// What is obviously wrong with a token; the token itself is never told.
fn problem_of(token: &str) -> Option<&'static str> {
    if token.is_empty() {
        Some("is empty")
    } else if token.len() as u64 > MOST_TOKEN_BYTES {
        Some("is longer than any token")
    } else if token.chars().any(char::is_whitespace) {
        Some("has blanks or several lines")
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("has characters that no token has")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_graphql_paths_without_credentials() {
        for right in ["https://brand.centra.com/graphql", "http://127.0.0.1:8080/api/graphql/"] {
            assert!(parse_api_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "brand.centra.com/graphql",
            "ftp://brand.centra.com/graphql",
            "https://",
            "https://brand.centra.com",
            "https://brand.centra.com/",
            "https://brand.centra.com/rest",
            "https://brand.centra.com/graphql?token=1",
            "https://brand.centra.com/graphql#a",
            "https://user:pw@brand.centra.com/graphql",
        ] {
            assert!(parse_api_url(wrong).unwrap_err().contains(' '), "{wrong}");
        }
    }

    #[test]
    fn tokens_that_are_obviously_wrong_are_refused() {
        assert_eq!(problem_of("eyJ0eXAi.eyJpc3Mi-_.c2ln"), None);
        for wrong in ["", "a b", "a\nb", "tokén", "a\u{7f}", &"a".repeat(8_193)] {
            assert!(problem_of(wrong).is_some(), "{wrong:.9}");
        }
    }
}
