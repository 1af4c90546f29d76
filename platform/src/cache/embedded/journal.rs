//! The nonce file: what makes nonces survive a restart of the process.
//!
//! Two files take turns, each for the life of a nonce ([`NONCE_TTL`]). When a file's turn comes again, everything in it
//! has expired, so it is emptied: nothing is ever rewritten, and the size is bounded by two turns' records.
//! Guarantee: [`Journal::append`] returns once the operating system has the record, which a `kill -9` does not undo.
//! Everything that is waiting is written at once. Failure: a write that fails is taken back whole; a record torn by a
//! crash is cut off when opening.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use touchstone_schema::limits::NONCE_TTL;
use touchstone_schema::time::Timestamp;

use super::admissions::NonceDigest;

/// Bytes of a record: the nonce's digest, and its expiry in milliseconds, negative when it was released.
const RECORD_BYTES: usize = 24;
/// Records that wait to be written; callers beyond it wait their turn.
const WAITING_RECORDS: usize = 1_024;

/// That a nonce is held, or was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) nonce: NonceDigest,
    pub(super) expires: Timestamp,
    pub(super) released: bool,
}

impl Record {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let expires = self.expires.as_millis();
        let mut bytes = [0; RECORD_BYTES];
        bytes[..16].copy_from_slice(&self.nonce.0);
        bytes[16..].copy_from_slice(&if self.released { -expires } else { expires }.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Self {
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&bytes[..16]);
        let mut expires = [0; 8];
        expires.copy_from_slice(&bytes[16..]);
        let expires = i64::from_be_bytes(expires);
        let nonce = NonceDigest(nonce);
        Self { nonce, expires: Timestamp::from_millis(expires.saturating_abs()), released: expires < 0 }
    }

    /// Number of the turn that the record is written in.
    fn turn(&self) -> i64 {
        self.expires.as_millis().div_euclid(NONCE_TTL.as_millis() as i64)
    }
}

type Waiting = (Record, oneshot::Sender<io::Result<()>>);

/// The way to the thread that writes.
pub(super) struct Journal {
    writer: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the two files beside `path`, for this process alone, and gives the records that they hold.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Record>)> {
        let mut records = Vec::new();
        let turns = [Turn::open(&numbered(path, 0), &mut records)?, Turn::open(&numbered(path, 1), &mut records)?];
        let (writer, waiting) = mpsc::channel(WAITING_RECORDS);
        let thread =
            std::thread::Builder::new().name("nonce-file".into()).spawn(move || write_waiting(turns, waiting))?;
        Ok((Self { writer: Some(writer), thread: Some(thread) }, records))
    }

    /// Writes a record, with whatever else is waiting.
    pub(super) async fn append(&self, record: Record) -> io::Result<()> {
        let (written, outcome) = oneshot::channel();
        let writer = self.writer.as_ref().ok_or_else(stopped)?;
        writer.send((record, written)).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }

    /// Whether records can still be written.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.writer.as_ref().is_some_and(|writer| !writer.is_closed()) { Ok(()) } else { Err(stopped()) }
    }
}

impl Drop for Journal {
    /// Waits until what is waiting is written and the files are closed.
    fn drop(&mut self) {
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has already failed every caller
        }
    }
}

fn numbered(path: &Path, number: u8) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn stopped() -> io::Error {
    io::Error::other("the thread that writes the nonce file has stopped")
}

fn write_waiting(mut turns: [Turn; 2], mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(WAITING_RECORDS);
    while waiting.blocking_recv_many(&mut batch, WAITING_RECORDS) > 0 {
        turns.iter_mut().for_each(|file| file.failed = None);
        for turn in batch.chunk_by(|(a, _), (b, _)| a.turn() == b.turn()) {
            let number = turn.first().map_or(0, |(record, _)| record.turn());
            let bytes: Vec<u8> = turn.iter().flat_map(|(record, _)| record.to_bytes()).collect();
            let file = &mut turns[number.rem_euclid(2) as usize];
            if let Err(error) = file.append(number, &bytes) {
                tracing::error!(%error, "cannot write the nonce file");
                file.failed = Some(error.kind());
            }
        }
        for (record, written) in batch.drain(..) {
            let failed = turns[record.turn().rem_euclid(2) as usize].failed;
            let _ = written.send(failed.map_or(Ok(()), |kind| Err(kind.into()))); // the caller may have gone
        }
    }
}

/// One of the two files.
struct Turn {
    file: File,
    /// Number of the turn that its records are of.
    number: i64,
    length: u64,
    /// Why the batch in hand is not whole.
    failed: Option<io::ErrorKind>,
}

impl Turn {
    fn open(path: &Path, records: &mut Vec<Record>) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(format!("another process uses {}", path.display())),
            TryLockError::Error(error) => error,
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (whole, torn) = bytes.as_chunks::<RECORD_BYTES>();
        let length = (bytes.len() - torn.len()) as u64;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        records.extend(whole.iter().map(Record::from_bytes));
        let number = whole.iter().map(|bytes| Record::from_bytes(bytes).turn()).max().unwrap_or(i64::MIN);
        Ok(Self { file, number, length, failed: None })
    }

    fn append(&mut self, number: i64, bytes: &[u8]) -> io::Result<()> {
        if number > self.number {
            self.cut(0)?;
            self.number = number;
        }
        if let Err(error) = self.file.write_all(bytes) {
            self.cut(self.length)?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length))?;
        self.length = length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("touchstone-nonces-{}", hex::encode(random::bytes::<8>())));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn path(&self) -> PathBuf {
            self.0.join("nonces")
        }

        fn size(&self) -> u64 {
            [0, 1].map(|number| std::fs::metadata(numbered(&self.path(), number)).unwrap().len()).iter().sum()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn record(number: u8, at_s: u64) -> Record {
        let expires = Timestamp::from_millis(0) + std::time::Duration::from_secs(at_s) + NONCE_TTL;
        Record { nonce: NonceDigest([number; 16]), expires, released: number % 2 == 1 }
    }

    #[tokio::test]
    async fn records_are_read_back_after_reopening() {
        let folder = Folder::new();
        let written = [record(1, 0), record(2, 659), record(3, 660), record(4, 700)];
        let (journal, before) = Journal::open(&folder.path()).unwrap();
        assert_eq!(before, []);
        for record in written {
            journal.append(record).await.unwrap();
        }
        drop(journal);
        let (_, mut after) = Journal::open(&folder.path()).unwrap();
        after.sort_by_key(|record| record.nonce.0);
        assert_eq!(after, written);
    }

    #[tokio::test]
    async fn file_is_emptied_when_its_turn_comes_again_and_not_before() {
        let folder = Folder::new();
        for (at_s, records) in [(0, 1), (100, 2), (660, 3), (1_319, 4), (1_320, 3), (1_980, 2), (100_000, 2)] {
            let (journal, _) = Journal::open(&folder.path()).unwrap();
            journal.append(record(1, at_s)).await.unwrap();
            drop(journal);
            assert_eq!(folder.size(), records * RECORD_BYTES as u64, "after {at_s} s");
        }
    }

    #[tokio::test]
    async fn torn_record_is_cut_off_and_later_ones_are_read() {
        let folder = Folder::new();
        let (journal, _) = Journal::open(&folder.path()).unwrap();
        journal.append(record(2, 0)).await.unwrap();
        drop(journal);
        for number in [0, 1] {
            let mut file = OpenOptions::new().append(true).open(numbered(&folder.path(), number)).unwrap();
            file.write_all(b"torn").unwrap();
        }
        let (journal, before) = Journal::open(&folder.path()).unwrap();
        assert_eq!(before, [record(2, 0)]);
        journal.append(record(4, 1)).await.unwrap();
        drop(journal);
        assert_eq!(Journal::open(&folder.path()).unwrap().1, [record(2, 0), record(4, 1)]);
    }

    #[tokio::test]
    async fn second_process_is_refused() {
        let folder = Folder::new();
        let _first = Journal::open(&folder.path()).unwrap();
        let refusal = Journal::open(&folder.path()).err().unwrap();
        assert!(refusal.to_string().contains("another process uses"), "{refusal}");
    }
}
