//! What travels in one message of the interactive lane: several requests, or several replies of one caller process.
//!
//! Layout: one version byte, then per entry a correlation id (u64), a deadline (i64, milliseconds since the Unix epoch,
//! 0 in replies), a length (u32) and that many bytes; integers are big-endian. Failure: bytes that are not such a frame
//! are refused whole, they never panic and never allocate more than they hold.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use touchstone_schema::time::Timestamp;

/// The layout above.
const VERSION: u8 = 1;
/// Bytes of an entry before its body.
const ENTRY_HEADER_BYTES: usize = 8 + 8 + 4;
/// Most entries of one frame; one batch of the scorer.
pub(super) const FRAME_ENTRIES: usize = 64;
/// A frame takes no further entry once its bodies hold this many bytes; far below the broker's own limit of 16 MiB.
pub(super) const FRAME_BYTES: usize = 1 << 20;

/// One request or reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Names the waiting caller within its process.
    pub(super) correlation: u64,
    /// When the caller stops waiting; the epoch in replies.
    pub(super) deadline: Timestamp,
    /// The request or reply itself.
    pub(super) body: Bytes,
}

/// The bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Written by a newer or another program.
    #[error("frame of an unknown version")]
    Version,
    /// An entry ends after the frame does.
    #[error("frame is cut short")]
    Truncated,
    /// More entries than anyone may send.
    #[error("frame has too many entries")]
    TooMany,
}

/// Writes entries as one frame. Bodies over 4 GiB cannot occur: the request limit is far below.
pub(super) fn encode(entries: &[Entry]) -> Bytes {
    let size = entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.body.len()).sum::<usize>() + 1;
    let mut frame = BytesMut::with_capacity(size);
    frame.put_u8(VERSION);
    for entry in entries {
        frame.put_u64(entry.correlation);
        frame.put_i64(entry.deadline.as_millis());
        frame.put_u32(u32::try_from(entry.body.len()).unwrap_or(u32::MAX));
        frame.put_slice(&entry.body);
    }
    frame.freeze()
}

/// Reads a frame; the bodies share its memory.
pub(super) fn decode(mut frame: Bytes) -> Result<Vec<Entry>, FrameError> {
    if !frame.has_remaining() || frame.get_u8() != VERSION {
        return Err(FrameError::Version);
    }
    let mut entries = Vec::new();
    while frame.has_remaining() {
        if entries.len() == FRAME_ENTRIES {
            return Err(FrameError::TooMany);
        }
        if frame.remaining() < ENTRY_HEADER_BYTES {
            return Err(FrameError::Truncated);
        }
        let correlation = frame.get_u64();
        let deadline = Timestamp::from_millis(frame.get_i64());
        let length = usize::try_from(frame.get_u32()).unwrap_or(usize::MAX);
        if frame.remaining() < length {
            return Err(FrameError::Truncated);
        }
        entries.push(Entry { correlation, deadline, body: frame.split_to(length) });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<u64>(), any::<i64>(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(
            |(correlation, deadline, body)| Entry {
                correlation,
                deadline: Timestamp::from_millis(deadline),
                body: body.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(entries in prop::collection::vec(entry(), 0..FRAME_ENTRIES)) {
            prop_assert_eq!(decode(encode(&entries)), Ok(entries));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = decode(bytes.into());
        }

        #[test]
        fn a_frame_cut_short_is_refused_or_shorter(entries in prop::collection::vec(entry(), 1..5), cut in any::<prop::sample::Index>()) {
            let frame = encode(&entries);
            let cut = frame.slice(..cut.index(frame.len()));
            if let Ok(fewer) = decode(cut) {
                prop_assert!(fewer.len() < entries.len());
            }
        }
    }

    #[test]
    fn a_frame_of_too_many_entries_is_refused() {
        let entry = Entry { correlation: 1, deadline: Timestamp::from_millis(0), body: Bytes::new() };
        assert_eq!(decode(encode(&vec![entry; FRAME_ENTRIES + 1])), Err(FrameError::TooMany));
    }

    #[test]
    fn an_unknown_version_is_refused() {
        assert_eq!(decode(Bytes::from_static(&[2])), Err(FrameError::Version));
        assert_eq!(decode(Bytes::new()), Err(FrameError::Version));
    }
}
