//! Spans of the work on orders, and where they belong: the trace context travels with messages and rows.
//!
//! Guarantee: a span costs nothing unless spans are exported, and then never waits: what finds no room is dropped and counted.
//! Without export a context that came in is passed on as it is, and none is begun.

use std::sync::OnceLock;
use std::time::Instant;

use tokio::sync::mpsc;
use touchstone_schema::trace::TraceContext;

use crate::clock::Clock;
use crate::random;

/// Spans that may wait to be exported.
pub(super) const WAITING_SPANS: usize = 4_096;
/// Other traces that a span names.
const LINKS: usize = 64;

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// What a span is to those that it speaks with, by its number in OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within the process.
    Internal = 1,
    /// Answers a caller.
    Server = 2,
    /// Calls another.
    Client = 3,
    /// Takes a message.
    Consumer = 5,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the caller's decision counts, where there is a caller.
    pub by_parent: bool,
    /// Share of the others.
    pub share: f64,
}

impl Sampler {
    fn records(self, parent: Option<&TraceContext>, trace: &TraceContext) -> bool {
        match parent {
            Some(parent) if self.by_parent => parent.is_sampled(),
            // Of the lower 56 bits, which every version of the standard has random, as many as a float tells apart.
            _ => ((trace.lot() & ((1 << 53) - 1)) as f64) < self.share * (1u64 << 53) as f64,
        }
    }
}

#[derive(Debug)]
struct Tracer {
    sampler: Sampler,
    finished: mpsc::Sender<FinishedSpan>,
}

/// Records spans from now on; `None` when that was so already.
pub(super) fn install(sampler: Sampler) -> Option<mpsc::Receiver<FinishedSpan>> {
    let (finished, spans) = mpsc::channel(WAITING_SPANS);
    TRACER.set(Tracer { sampler, finished }).ok().map(|()| spans)
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct FinishedSpan {
    pub(super) name: &'static str,
    pub(super) kind: SpanKind,
    pub(super) context: TraceContext,
    pub(super) parent: Option<TraceContext>,
    pub(super) links: Vec<TraceContext>,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) failed: bool,
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
}

/// Work that is going on; it ends when this is dropped.
#[derive(Debug)]
pub struct Span {
    recording: Option<Box<FinishedSpan>>,
    passed_on: Option<TraceContext>,
    began: Instant,
}

impl Span {
    /// Begins one now. Without a parent it begins a trace.
    #[must_use]
    pub fn begin(name: &'static str, kind: SpanKind, parent: Option<&TraceContext>) -> Self {
        Self::begun_at(name, kind, parent, Instant::now())
    }

    /// Begins one that began then.
    #[must_use]
    pub fn begun_at(name: &'static str, kind: SpanKind, parent: Option<&TraceContext>, began: Instant) -> Self {
        let unrecorded = Self { recording: None, passed_on: parent.cloned(), began };
        let Some(tracer) = TRACER.get() else { return unrecorded };
        let span_id = random::bytes();
        let context = parent.map_or_else(|| TraceContext::new(random::bytes(), span_id, true), |it| it.at(span_id));
        if !tracer.sampler.records(parent, &context) {
            return unrecorded;
        }
        let context = context.sampled();
        let recording = FinishedSpan {
            name,
            kind,
            context: context.clone(),
            parent: parent.cloned(),
            links: Vec::new(),
            attributes: Vec::new(),
            failed: false,
            began_ns: 0,
            ended_ns: 0,
        };
        Self { recording: Some(Box::new(recording)), passed_on: Some(context), began }
    }

    /// What the work that follows from this one is given.
    #[must_use]
    pub const fn context(&self) -> Option<&TraceContext> {
        self.passed_on.as_ref()
    }

    /// Names another trace that this work was done for too.
    pub fn link(&mut self, other: &TraceContext) {
        if let Some(recording) = self.recording.as_mut().filter(|recording| recording.links.len() < LINKS) {
            recording.links.push(other.clone());
        }
    }

    /// Says something of it; the text is only made when it is recorded.
    pub fn set(&mut self, name: &'static str, value: &(impl ToString + ?Sized)) {
        if let Some(recording) = &mut self.recording {
            recording.attributes.push((name, value.to_string()));
        }
    }

    /// It did not do what it should.
    pub fn fail(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.failed = true;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let (Some(mut recording), Some(tracer)) = (self.recording.take(), TRACER.get()) else { return };
        let ended_ms = u64::try_from(Clock::system().now().as_millis()).unwrap_or_default();
        let took_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        recording.ended_ns = ended_ms.saturating_mul(1_000_000);
        recording.began_ns = recording.ended_ns.saturating_sub(took_ns);
        if tracer.finished.try_send(*recording).is_err() {
            metrics::counter!("touchstone_spans_dropped_total").increment(1);
        }
    }
}

/// A span of work that was done for several at once: part of the first of their traces, linked to the others.
#[must_use]
pub fn span_of_many<'a>(
    name: &'static str,
    kind: SpanKind,
    began: Instant,
    mut parents: impl Iterator<Item = &'a TraceContext>,
) -> Option<Span> {
    let mut span = Span::begun_at(name, kind, Some(parents.next()?), began);
    parents.for_each(|other| span.link(other));
    Some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_export_a_context_is_passed_on_and_none_is_begun() {
        let came = TraceContext::new([1; 16], [2; 8], true);
        assert_eq!(Span::begin("x", SpanKind::Internal, Some(&came)).context(), Some(&came));
        assert_eq!(Span::begin("x", SpanKind::Internal, None).context(), None);
    }

    #[test]
    fn sampler_goes_by_the_caller_or_by_share() {
        let (yes, no) = (TraceContext::new([1; 16], [2; 8], true), TraceContext::new([0xff; 16], [2; 8], false));
        let records = |by_parent, share, parent, trace| Sampler { by_parent, share }.records(parent, trace);
        assert!(records(true, 0.0, Some(&yes), &yes) && !records(true, 1.0, Some(&no), &no));
        assert!(records(false, 1.0, Some(&no), &no) && !records(false, 0.0, Some(&yes), &yes));
        assert!(records(true, 0.5, None, &yes) && !records(true, 0.5, None, &no));
    }
}
