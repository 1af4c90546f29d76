//! Logs, metrics, traces, and the probe door that shows them to operators.
//!
//! Logs go to standard error, for people or as JSON lines. Metrics are collected in the process and rendered in
//! Prometheus text form on the probe door only, never on the public one.

use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use touchstone_schema::visible::visible;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::LogSettings;

mod endpoints;
mod export;
mod probes;
mod traces;

pub use endpoints::{Endpoints, endpoints};
pub use export::TraceExport;
pub use probes::{Readiness, serve_probes};
pub use traces::{Sampler, Span, SpanKind, span_of_many};

/// Upper bounds of latency histograms, in seconds.
const LATENCY_BUCKETS_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Silences what would log whole messages: the AMQP client writes out those that come back unroutable. Errors of the
/// broker reach the log through the queue adapter. A filter that names `lapin` itself wins.
const QUIET: &str = "lapin=off";

/// Upper bounds of size histograms.
const SIZE_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// How often histograms are folded, so that an unread recorder does not grow.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Sends logs to standard error. A second call in one process changes nothing.
pub fn log_to_stderr(settings: &LogSettings) {
    let filter = format!("{QUIET},{}", settings.filter);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_ansi(has_colours()).with_writer(std::io::stderr);
    // An installed subscriber stays: the demo and tests start several roles in one process.
    let _ = if settings.json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_target(false).fmt_fields(VisibleFields)).try_init()
    };
}

/// Whether the log goes to a person at a terminal who has not asked for plain text (no-color.org).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Fields of a log for people: what a caller sent can neither steer the terminal nor begin a line.
#[derive(Debug)]
struct VisibleFields;

impl<'w> FormatFields<'w> for VisibleFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> std::fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&visible(&text))
    }
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Installs the recorder; when the process has one already, metrics go there and this handle shows nothing.
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY_BUCKETS_S)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_orders".to_owned()), SIZE_BUCKETS))
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("a metrics recorder is installed already");
        }
        Self(handle)
    }

    /// All metrics in Prometheus text form.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        text.push_str(&endpoints().render());
        text
    }

    /// Folds what histograms have collected, until shutdown.
    pub async fn upkeep(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = interval.tick() => self.0.run_upkeep(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What a log has written.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    const HOSTILE: &str = "1001\u{1b}[2J\r\n2026-01-01T00:00:00Z  INFO forged\u{202e}\u{2066}\u{200b}";

    fn log_hostile() {
        let span = tracing::info_span!("batch", order = %HOSTILE);
        let _entered = span.enter();
        tracing::warn!(order = %HOSTILE, reviewer = HOSTILE, note = ?HOSTILE, "refused: {HOSTILE}");
    }

    #[test]
    fn texts_of_others_begin_no_line_of_a_log_for_people() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(VisibleFields));
        tracing::subscriber::with_default(subscriber, log_hostile);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}', '\u{2066}', '\u{200b}']), "{text:?}");
        assert!(text.contains("refused: 1001") && text.contains("forged\\u{202e}"), "{text}");
    }

    #[test]
    fn a_log_for_programs_is_exact() {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(written.clone()).json().flatten_event(true);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log_hostile);
        let text = written.0.lock().unwrap().clone();
        let line: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(line["reviewer"], HOSTILE);
    }
}
