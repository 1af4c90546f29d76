//! The place in a trace that a piece of work was begun from, as W3C Trace Context writes it: `traceparent` and `tracestate`.
//!
//! Guarantee: what is read is well-formed and bounded, or it is nothing. It travels with messages and rows as one text, which
//! older builds pass over.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::TRACE_STATE_CHARS;

/// Bytes of a `traceparent` of version 00.
const PARENT_BYTES: usize = 55;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`, and `tracestate` after a blank where there is one.
    text: Box<str>,
    trace_id: [u8; 16],
    sampled: bool,
}

impl TraceContext {
    /// The place of a span in a new trace.
    #[must_use]
    pub fn new(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) -> Self {
        Self::written(trace_id, span_id, sampled, None)
    }

    fn written(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool, state: Option<&str>) -> Self {
        let (trace, span) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
        let mut text = format!("00-{trace:032x}-{span:016x}-{:02x}", u8::from(sampled));
        if let Some(state) = state {
            text.push(' ');
            text.push_str(state);
        }
        Self { text: text.into(), trace_id, sampled }
    }

    /// Reads the two headers; `None` when the first is none. A second that is malformed or too long is left out.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let bytes = parent.as_bytes();
        let version = hex::<1>(bytes.get(..2)?)?[0];
        let is_whole = match version {
            0 => bytes.len() == PARENT_BYTES,
            0xff => false,
            // Later versions may only add to it.
            _ => bytes.len() == PARENT_BYTES || bytes.get(PARENT_BYTES) == Some(&b'-'),
        };
        if !is_whole || [2, 35, 52].iter().any(|dash| bytes.get(*dash) != Some(&b'-')) {
            return None;
        }
        let (trace_id, span_id) = (hex::<16>(bytes.get(3..35)?)?, hex::<8>(bytes.get(36..52)?)?);
        let sampled = hex::<1>(bytes.get(53..55)?)?[0] & 1 == 1;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self::written(trace_id, span_id, sampled, state.map(str::trim).filter(|state| is_state(state))))
    }

    /// Reads what [`TraceContext::as_str`] gives.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((parent, state)) => Self::parse(parent, Some(state)),
            None => Self::parse(text, None),
        }
    }

    /// Both headers, the second after a blank.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same trace, from another of its spans.
    #[must_use]
    pub fn at(&self, span_id: [u8; 8]) -> Self {
        Self::written(self.trace_id, span_id, self.sampled, self.state())
    }

    /// The `traceparent` header.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.text.split_once(' ').map_or(&self.text, |(parent, _)| parent)
    }

    /// The `tracestate` header.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.text.split_once(' ').map(|(_, state)| state)
    }

    /// The trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.text.get(3..35).unwrap_or_default()
    }

    /// The span, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.text.get(36..52).unwrap_or_default()
    }

    /// The last bytes of the trace's id, which are random.
    #[must_use]
    pub fn lot(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.trace_id;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The same place, to be recorded.
    #[must_use]
    pub fn sampled(self) -> Self {
        match hex::<8>(self.span_id().as_bytes()) {
            Some(span_id) if !self.sampled => Self::written(self.trace_id, span_id, true, self.state()),
            _ => self,
        }
    }

    /// Whether whoever began the trace records it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Reads a context of a message; one that is none is nothing, so that it spoils no message.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TraceContext>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(TraceContext::from_text))
}

fn is_state(state: &str) -> bool {
    let is_printable = state.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (1..=TRACE_STATE_CHARS).contains(&state.len()) && is_printable && state.split(',').all(|one| one.contains('='))
}

/// Lower-case digits only.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

const fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn headers_come_back_as_they_came() {
        let context = TraceContext::parse(PARENT, Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")).unwrap();
        assert_eq!((context.parent(), context.is_sampled()), (PARENT, true));
        assert_eq!(context.state(), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
        assert_eq!(TraceContext::from_text(context.as_str()), Some(context));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = format!("cc{}-what-else", &PARENT[2..]);
        assert_eq!(TraceContext::parse(&later, None).unwrap().parent(), PARENT);
        for wrong in ["ff", "0g"].map(|version| format!("{version}{}", &PARENT[2..])) {
            assert_eq!(TraceContext::parse(&wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_traceparent_is_nothing() {
        for wrong in [
            "",
            "00",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &PARENT.replace('-', "_"),
            &format!("{PARENT}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(TraceContext::parse(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn state_that_is_none_or_too_long_is_left_out() {
        let long = format!("a={}", "b".repeat(TRACE_STATE_CHARS));
        for wrong in ["", "no member", "a=1,,b=2", "a=\u{e9}", "a=1\r\nx: y", &long] {
            assert_eq!(TraceContext::parse(PARENT, Some(wrong)).unwrap().state(), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_stays_what_it_was(parent in ".{0,80}", state in ".{0,80}") {
            if let Some(context) = TraceContext::parse(&parent, Some(&state)) {
                prop_assert_eq!(TraceContext::from_text(context.as_str()), Some(context));
            }
        }

        #[test]
        fn any_context_survives_its_text(trace in 1u128.., span in 1u64.., sampled in any::<bool>()) {
            let context = TraceContext::new(trace.to_be_bytes(), span.to_be_bytes(), sampled);
            prop_assert_eq!(TraceContext::from_text(context.as_str()), Some(context));
        }
    }
}
