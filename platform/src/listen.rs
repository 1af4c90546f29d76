//! Taking connections in, for the public door and for the probe door.
//!
//! Guarantee: no error of a single connection, and no lack of open files, ends the loop. Every connection that is taken has
//! limits on writing ([`Paced`]). Failure: only a listening socket that is broken for good is an error.

use std::net::IpAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::retry::Backoff;

mod paced;
mod peers;

pub use paced::{Paced, WriteLimits};
pub use peers::{Peers, Place};

/// A listening socket and how patiently it is asked.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    backoff: Backoff,
    shutdown: CancellationToken,
}

impl Acceptor {
    /// Accepts from `listener` until `shutdown`.
    pub fn new(listener: TcpListener, shutdown: CancellationToken) -> Self {
        Self { listener, backoff: Backoff::default(), shutdown }
    }

    /// The next connection and the address that it comes from; none once the shutdown has begun.
    ///
    /// # Errors
    /// When the listening socket is broken for good. Other errors are logged and waited out.
    pub async fn next(&mut self) -> Result<Option<(TcpStream, IpAddr)>, std::io::Error> {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(None),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.backoff.reset();
                    return Ok(Some((stream, peer.ip())));
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = self.backoff.wait() => {}
            }
        }
    }
}

fn is_fatal(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::NotConnected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lack_of_open_files_and_aborted_connections_are_waited_out() {
        // ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM
        for code in [103, 24, 23, 105, 12] {
            let error = std::io::Error::from_raw_os_error(code);
            assert!(!is_fatal(&error), "{error}");
        }
        assert!(is_fatal(&std::io::Error::from_raw_os_error(22)), "EINVAL: the socket does not listen");
    }
}
