//! Which events are written, and how their fields are read.

use super::format::{self, Form, Record};
use super::queue::Queue;
use crate::config::LogLevel;
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The clock of log lines; passed in so that tests assert whole lines.
pub(super) type Clock = fn() -> SystemTime;

/// Renders events and hands the lines to the writer's queue.
#[derive(Debug)]
pub(super) struct LineLayer {
    pub(super) level: LogLevel,
    pub(super) form: Form,
    pub(super) clock: Clock,
    pub(super) queue: Arc<Queue>,
}

impl LineLayer {
    /// Events of this crate at the configured level. From dependencies errors, and from `debug` on warnings: what they
    /// warn of (credentials that are missing, at each try) has a line of our own. Never more, at whatever level: below
    /// that the AWS SDK logs requests, answers and signing steps, which hold segments and credentials.
    ///
    /// Spans are not recorded: every line stands for itself.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let configured = level_filter(self.level);
        let filter = if is_own(metadata.target()) {
            configured
        } else {
            configured.min(if configured >= LevelFilter::DEBUG {
                LevelFilter::WARN
            } else {
                LevelFilter::ERROR
            })
        };
        metadata.is_event() && *metadata.level() <= filter
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level_filter(self.level))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = Record {
            dependency: (!is_own(metadata.target())).then(|| crate_name(metadata.target())),
            ..Record::default()
        };
        // There is a line for each batch: what it does not show is not copied.
        if self.form.shows_fields(&record) {
            event.record(&mut Reader(&mut record));
        } else {
            event.record(&mut MessageReader(&mut record));
            if record.message.is_empty() {
                event.record(&mut Reader(&mut record));
            }
        }
        let level = *metadata.level();
        self.queue
            .push(format::line(self.form, (self.clock)(), level, &record));
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    LevelFilter::from_level(match level {
        LogLevel::Trace => Level::TRACE,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    })
}

fn crate_name(target: &str) -> &str {
    target.split("::").next().unwrap_or_default()
}

fn is_own(target: &str) -> bool {
    crate_name(target) == env!("CARGO_CRATE_NAME")
}

/// Reads an event's fields into a [`Record`].
struct Reader<'a>(&'a mut Record);

impl Reader<'_> {
    fn text(&mut self, field: &Field, mut text: String) {
        if self.0.dependency.is_some() {
            text.truncate(end_of_display(&text));
        }
        if field.name() == "message" {
            self.0.message = text;
        } else {
            self.0.fields.push((field.name(), text.into()));
        }
    }

    fn value(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.fields.push((field.name(), value.into()));
    }
}

/// The AWS SDK shows an error as its chain of messages followed by ` (` and the Debug form of the whole, which may
/// hold headers and bodies of an answer. The chain says what happened; the rest stays out of the log.
fn end_of_display(text: &str) -> usize {
    text.match_indices(" (")
        .find(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_uppercase()))
        .map_or(text.len(), |(at, _)| at)
}

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A Debug implementation that fails leaves what it wrote so far.
        let _ = write!(text, "{value:?}");
        self.text(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }
}

/// Reads an event's message alone.
struct MessageReader<'a>(&'a mut Record);

impl Visit for MessageReader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            Reader(self.0).record_debug(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            Reader(self.0).record_str(field, value);
        }
    }

    fn record_error(&mut self, _: &Field, _: &(dyn std::error::Error + 'static)) {}

    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_bool(&mut self, _: &Field, _: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dependency_shows_of_an_error_ends_where_its_insides_begin() {
        for (text, shown) in [
            (
                "dispatch failure: io error: refused (os error 111) (DispatchFailure { body: \"secret\" })",
                "dispatch failure: io error: refused (os error 111)",
            ),
            ("no insides", "no insides"),
            ("", ""),
            ("ends with (", "ends with ("),
        ] {
            assert_eq!(&text[..end_of_display(text)], shown);
        }
    }

    #[test]
    fn only_this_crates_modules_are_its_own() {
        assert!(is_own("xray"));
        assert!(is_own("xray::exporters::sender"));
        assert!(!is_own("xray_other::sender"));
        assert!(!is_own("aws_config::imds"));
        assert!(!is_own(""));
    }
}
