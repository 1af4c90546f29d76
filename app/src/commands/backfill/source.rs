//! Where a file comes from: this machine, standard input or an object store; unpacked by its name.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use anyhow::Context as _;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tokio::sync::mpsc;
use touchstone_schema::backfill::Format;
use touchstone_scorer::backfill::{PIECES_AHEAD, Pieces};

use super::s3;

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// A source, by its name.
#[derive(Debug)]
pub(super) struct Source {
    identity: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    StandardInput,
    ObjectStore(s3::Object),
}

impl Source {
    /// The source that is meant.
    pub(super) fn named(name: &str) -> anyhow::Result<Self> {
        if name == "-" {
            return Ok(Self { identity: "-".to_owned(), place: Place::StandardInput });
        }
        if name.starts_with("s3://") {
            return Ok(Self { identity: name.to_owned(), place: Place::ObjectStore(s3::Object::named(name)?) });
        }
        let path = std::fs::canonicalize(name).with_context(|| format!("{name} cannot be opened"))?;
        Ok(Self { identity: path.display().to_string(), place: Place::File(path) })
    }

    /// What tells it from others, also in a later call.
    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// The format that its name tells, where no look at it would.
    pub(super) fn format(&self) -> Option<Format> {
        let name = self.identity.strip_suffix(".gz").unwrap_or(&self.identity);
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "jsonl" | "ndjson" => Some(Format::Lines),
            "jsonp" => Some(Format::Jsonp),
            _ => None,
        }
    }

    /// Its size, where that tells how far reading has come, and its bytes.
    pub(super) async fn open(&self) -> std::io::Result<(Option<u64>, Pieces)> {
        let (size, pieces) = match &self.place {
            Place::File(path) => {
                let file = std::fs::File::open(path)?;
                (Some(file.metadata()?.len()), read_ahead(|| file))
            }
            Place::StandardInput => (None, read_ahead(std::io::stdin)),
            Place::ObjectStore(object) => object.open().await.map(|(size, pieces)| (Some(size), pieces))?,
        };
        if self.identity.to_ascii_lowercase().ends_with(".gz") {
            let packed = PieceReader { pieces, current: Bytes::new() };
            return Ok((None, read_ahead(|| MultiGzDecoder::new(packed))));
        }
        Ok((size, pieces))
    }
}

/// Reads on a thread of its own, until the end, a failure, or nobody listens.
fn read_ahead<R: Read>(open: impl FnOnce() -> R + Send + 'static) -> Pieces {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut from = open();
        loop {
            let mut piece = vec![0; PIECE];
            let read = match from.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if sender.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Pieces as a reader, for threads that may wait.
struct PieceReader {
    pieces: Pieces,
    current: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        into[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}
