//! Reads the text files line by line, and says where one of them is wrong.

use std::net::IpAddr;

use ipnet::IpNet;

/// Longest line, in bytes: names of organisations are long, nothing else is.
const LINE_BYTES: usize = 4_096;
/// Most lines of a file: a table of all announced networks of the world has half a million.
const LINES: usize = 4_000_000;

/// Widest networks that a list may name, by prefix length: no provider has more in one piece, so anything wider is a
/// mistake that would mark half of the customers.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// What is wrong with a file's contents.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    /// It is a folder, a pipe or the like.
    #[error("is not a regular file")]
    NoFile,
    /// It is larger than anything of its kind.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// What is read at most.
        limit: u64,
    },
    /// It has more lines than anything of its kind.
    #[error("has more than {LINES} lines")]
    TooManyLines,
    /// A line is malformed.
    #[error("line {line}: expected {expected}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// It is not a database in MaxMind's format, or a damaged one.
    #[error("is not a sound MaxMind DB")]
    Database(#[from] maxminddb::MaxMindDbError),
    /// It is a sound database of something else.
    #[error("has no record with {expected}: it is a database of something else ({kind})")]
    OtherDatabase {
        /// What its records should have.
        expected: &'static str,
        /// What it says of itself.
        kind: String,
    },
    /// Reading it panicked: a fault of the reader, which must not become one of the process.
    #[error("makes its reader panic")]
    Panic,
}

/// Hands each line that says something to `read`, without comment and blanks, with its number.
pub(super) fn each_line(
    bytes: &[u8],
    mut read: impl FnMut(usize, &str) -> Result<(), &'static str>,
) -> Result<(), Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if index > LINES {
            return Err(Problem::TooManyLines);
        }
        let wrong = |expected| Problem::Line { line: index + 1, expected };
        if line.len() > LINE_BYTES {
            return Err(wrong("at most 4096 bytes"));
        }
        let line = std::str::from_utf8(line).map_err(|_| wrong("text in UTF-8"))?;
        let said = line.split_once('#').map_or(line, |(said, _)| said).trim();
        if !said.is_empty() {
            read(index + 1, said).map_err(wrong)?;
        }
    }
    Ok(())
}

/// The first `N` columns of a line of a CSV file; columns beyond them are ignored. Quotes around a column are taken off;
/// none of the columns that are read can hold a comma.
pub(super) fn columns<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut parts = line.split(',').map(|part| part.trim().trim_matches('"').trim());
    let mut columns = [""; N];
    for column in &mut columns {
        *column = parts.next()?;
    }
    Some(columns)
}

/// A network, or a single address; IPv4 addresses in IPv6 form are taken as IPv4.
pub(super) fn network(text: &str) -> Result<IpNet, &'static str> {
    const EXPECTED: &str = "an IP address or network such as 192.0.2.7 or 2001:db8::/32";
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().map_err(|_| EXPECTED)?.trunc();
    match network {
        IpNet::V4(v4) if v4.prefix_len() < WIDEST_V4 => Err("a network no wider than /8"),
        IpNet::V6(v6) if v6.prefix_len() < WIDEST_V6 => Err("a network no wider than /16"),
        network => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(usize, String)>, String> {
        let mut lines = Vec::new();
        let outcome = each_line(bytes, |number, line| {
            lines.push((number, line.to_owned()));
            if line == "bad" { Err("something good") } else { Ok(()) }
        });
        outcome.map(|()| lines).map_err(|problem| problem.to_string())
    }

    #[test]
    fn comments_blanks_and_line_ends_of_every_kind_are_skipped() {
        let lines = read(b"\xef\xbb\xbfone # first\r\n\n  # nothing\ntwo").unwrap();
        assert_eq!(lines, [(1, "one".to_owned()), (4, "two".to_owned())]);
    }

    #[test]
    fn a_problem_names_its_line() {
        assert_eq!(read(b"one\nbad\n").unwrap_err(), "line 2: expected something good");
        assert_eq!(read(b"\xff\xfe").unwrap_err(), "line 1: expected text in UTF-8");
        assert_eq!(read(&[b'a'; LINE_BYTES + 1]).unwrap_err(), "line 1: expected at most 4096 bytes");
        assert!(read(&vec![b'\n'; LINES + 1]).unwrap_err().contains("lines"));
    }

    #[test]
    fn networks_are_cut_to_their_prefix_and_not_absurdly_wide() {
        assert_eq!(network("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(network("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        for wrong in ["", "192.0.2", "192.0.2.0/33", "0.0.0.0/0", "10.0.0.0/7", "2000::/3", "example.com"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_text_makes_a_network_panic(text in ".{0,40}") {
            let _ = (network(&text), columns::<3>(&text));
        }
    }
}
