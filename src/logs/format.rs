//! How one event becomes one line: the official daemon's form, or one JSON object.

use super::sanitize::{is_unsafe, sanitize_message};
use crate::config::LogFormat;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::Value;
use std::cell::Cell;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::Level;

/// The most characters of one message or text field. Own lines are far below; the bound is for what dependencies
/// say, so that the queue's bound in bytes is also one in lines.
const MAX_TEXT_CHARS: usize = 4096;

/// What an event says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    /// The crate that speaks, when it is not this one.
    pub(super) dependency: Option<&'static str>,
    /// The whole line for a person.
    pub(super) message: String,
    /// The same for machines, in the order of the call site.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// A line of the log about itself.
    pub(super) fn notice(message: String, field: &'static str, value: impl Into<Value>) -> Self {
        Self {
            dependency: None,
            message,
            fields: vec![(field, value.into())],
        }
    }
}

/// How lines look where this log goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) format: LogFormat,
    /// Each line begins with its severity as `<3>`, which systemd's journal takes off and keeps with the line.
    pub(super) with_priority: bool,
}

impl Form {
    /// Whether a line of such an event has its fields, even where it has a message.
    pub(super) fn shows_fields(self, record: &Record) -> bool {
        self.format == LogFormat::Json || record.dependency.is_some()
    }
}

impl From<LogFormat> for Form {
    fn from(format: LogFormat) -> Self {
        Self {
            format,
            with_priority: false,
        }
    }
}

/// One whole line with its newline, safe to write as it is.
pub(super) fn line(form: impl Into<Form>, now: SystemTime, level: Level, record: &Record) -> String {
    let form = form.into();
    let mut text = String::with_capacity(record.message.len() + 128);
    if form.with_priority {
        let _ = write!(text, "<{}>", priority(level));
    }
    match form.format {
        LogFormat::Text => push_text_line(&mut text, now, level, record),
        LogFormat::Json => push_json_line(&mut text, now, level, record),
    }
    text
}

/// Messages of this crate carry everything themselves, in the official texts, so their fields are for JSON only.
/// Others do not: there the fields follow.
fn push_text_line(text: &mut String, now: SystemTime, level: Level, record: &Record) {
    let mut message = sanitize_message(&record.message, MAX_TEXT_CHARS);
    if record.dependency.is_some() || record.message.is_empty() {
        for (name, value) in &record.fields {
            let value = match value {
                Value::String(value) => sanitize_message(value, MAX_TEXT_CHARS),
                other => other.to_string().into(),
            };
            let _ = write!(message.to_mut(), " {name}={value}");
        }
    }
    let colon = if record.dependency.is_some() { ": " } else { "" };
    for part in [
        &date_time(now, false),
        " [",
        level_name(level),
        "] ",
        record.dependency.unwrap_or_default(),
        colon,
        message.trim_start(),
        "\n",
    ] {
        text.push_str(part);
    }
}

fn push_json_line(text: &mut String, now: SystemTime, level: Level, record: &Record) {
    text.push('{');
    push_member(text, "timestamp", &date_time(now, true).into());
    push_member(text, "level", &level_name(level).to_ascii_lowercase().into());
    if let Some(dependency) = record.dependency {
        push_member(text, "dependency", &dependency.into());
    }
    push_member(text, "message", &shortened(&record.message));
    for (name, value) in &record.fields {
        // A field may not shadow the line's own members: parsers differ in which of two equal keys they take.
        let name = match *name {
            "timestamp" => "field_timestamp",
            "level" => "field_level",
            "dependency" => "field_dependency",
            name => name,
        };
        match value {
            Value::String(value) => push_member(text, name, &shortened(value)),
            value => push_member(text, name, value),
        }
    }
    text.push_str("}\n");
}

/// JSON keeps the text itself, so only its length is bounded here.
fn shortened(text: &str) -> Value {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()).into(),
        None => text.into(),
    }
}

/// Adds one member, escaping more than JSON asks for: a terminal or a viewer may act on C1 controls, on line
/// separators and on bidirectional marks, which JSON lets through raw.
fn push_member(text: &mut String, name: &str, value: &Value) {
    if !text.ends_with('{') {
        text.push(',');
    }
    let _ = write!(text, "\"{name}\":");
    for c in value.to_string().chars() {
        if is_unsafe(c) {
            // Outside strings JSON is ASCII without controls, so this is inside one.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
}

thread_local! {
    /// The second that the last line was of, and its text: a busy daemon has twenty lines a second.
    static SECOND: Cell<(i64, [u8; 20])> = const { Cell::new((i64::MIN, [0; 20])) };
}

/// RFC 3339 in UTC. The official daemon writes local time with its offset; in containers that is UTC, and elsewhere
/// lines from several hosts sort and compare.
fn date_time(now: SystemTime, with_ms: bool) -> String {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let secs = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let (last, shown) = SECOND.get();
    let mut text = match std::str::from_utf8(&shown) {
        Ok(text) if last == secs => text.to_owned(),
        _ => DateTime::from_secs(secs)
            .fmt(Format::DateTime)
            .unwrap_or_else(|_| format!("{secs}Z")),
    };
    if let Ok(shown) = text.as_bytes().try_into() {
        SECOND.set((secs, shown));
    }
    if with_ms && text.pop().is_some() {
        let _ = write!(text, ".{:03}Z", since_epoch.subsec_millis());
    }
    text
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "Trace",
        Level::DEBUG => "Debug",
        Level::INFO => "Info",
        Level::WARN => "Warn",
        Level::ERROR => "Error",
    }
}

/// A severity as syslog numbers it; systemd's sd-daemon(3).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    /// 2026-11-21T01:02:03.004Z
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_795_222_923_004)
    }

    fn says(message: &str) -> Record {
        Record {
            message: message.to_owned(),
            ..Record::default()
        }
    }

    #[test]
    fn a_text_line_is_the_official_daemons_line_in_utc() {
        let record = says("Successfully sent batch of 50 segments (0.123 seconds)");
        assert_eq!(
            line(LogFormat::Text, now(), Level::INFO, &record),
            "2026-11-21T01:02:03Z [Info] Successfully sent batch of 50 segments (0.123 seconds)\n"
        );
        for (level, name) in [
            (Level::TRACE, "Trace"),
            (Level::DEBUG, "Debug"),
            (Level::WARN, "Warn"),
            (Level::ERROR, "Error"),
        ] {
            assert_eq!(
                line(LogFormat::Text, now(), level, &says("x")),
                format!("2026-11-21T01:02:03Z [{name}] x\n")
            );
        }
    }

    #[test]
    fn a_line_for_the_journal_begins_with_its_severity() {
        let form = |format| Form {
            format,
            with_priority: true,
        };
        for (level, priority, name) in [
            (Level::TRACE, 7, "Trace"),
            (Level::DEBUG, 7, "Debug"),
            (Level::INFO, 6, "Info"),
            (Level::WARN, 4, "Warn"),
            (Level::ERROR, 3, "Error"),
        ] {
            assert_eq!(
                line(form(LogFormat::Text), now(), level, &says("x")),
                format!("<{priority}>2026-11-21T01:02:03Z [{name}] x\n")
            );
        }
        let json = line(form(LogFormat::Json), now(), Level::WARN, &says("x"));
        assert_eq!(
            json,
            "<4>{\"timestamp\":\"2026-11-21T01:02:03.004Z\",\"level\":\"warn\",\"message\":\"x\"}\n"
        );
    }

    #[test]
    fn a_text_line_shows_fields_only_when_the_message_does_not_carry_them() {
        let mut record = says("sent");
        record.fields = vec![("segments", 50.into()), ("note", "a\nb".into())];
        let text = |record: &Record| line(LogFormat::Text, now(), Level::INFO, record);
        assert_eq!(text(&record), "2026-11-21T01:02:03Z [Info] sent\n");
        record.dependency = Some("aws_config");
        assert_eq!(
            text(&record),
            "2026-11-21T01:02:03Z [Info] aws_config: sent segments=50 note=a\\nb\n"
        );
        record.dependency = None;
        record.message.clear();
        assert_eq!(
            text(&record),
            "2026-11-21T01:02:03Z [Info] segments=50 note=a\\nb\n"
        );
    }

    #[test]
    fn a_json_line_has_its_members_in_a_fixed_order() {
        let mut record = says("sent \"50\"");
        record.fields = vec![
            ("segments", 50.into()),
            ("seconds", 0.5.into()),
            ("retry", false.into()),
        ];
        assert_eq!(
            line(LogFormat::Json, now(), Level::WARN, &record),
            "{\"timestamp\":\"2026-11-21T01:02:03.004Z\",\"level\":\"warn\",\"message\":\"sent \\\"50\\\"\",\
             \"segments\":50,\"seconds\":0.5,\"retry\":false}\n"
        );
        record.dependency = Some("hyper");
        record.fields = vec![("level", "x".into()), ("timestamp", 1.into())];
        assert_eq!(
            line(LogFormat::Json, now(), Level::WARN, &record),
            "{\"timestamp\":\"2026-11-21T01:02:03.004Z\",\"level\":\"warn\",\"dependency\":\"hyper\",\
             \"message\":\"sent \\\"50\\\"\",\"field_level\":\"x\",\"field_timestamp\":1}\n"
        );
    }

    #[test]
    fn no_message_can_forge_a_second_line_or_steer_a_terminal() {
        for (message, text) in [
            (
                "a\n2026-11-21T01:02:03Z [Error] forged",
                "a\\n2026-11-21T01:02:03Z [Error] forged",
            ),
            ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
            ("a\rb\0c\x08", "a\\rb\\x00c\\x08"),
            (
                "\u{9b}2J \u{2028}\u{2029}\u{85}",
                "\\u{9b}2J \\u{2028}\\u{2029}\\u{85}",
            ),
            ("\u{202e}\u{2066}\u{200f}", "\\u{202e}\\u{2066}\\u{200f}"),
        ] {
            assert_eq!(
                line(LogFormat::Text, now(), Level::INFO, &says(message)),
                format!("2026-11-21T01:02:03Z [Info] {text}\n")
            );
            let mut record = says(message);
            record.fields = vec![("f", message.into())];
            let json = line(LogFormat::Json, now(), Level::INFO, &record);
            assert!(!json.trim_end_matches('\n').chars().any(is_unsafe), "{json}");
            let value: Value = serde_json::from_str(&json).expect("a JSON line");
            assert_eq!(value["message"], message);
            assert_eq!(value["f"], message);
        }
        assert_eq!(
            line(LogFormat::Json, now(), Level::INFO, &says("\u{e0041}\u{9b}")),
            "{\"timestamp\":\"2026-11-21T01:02:03.004Z\",\"level\":\"info\",\"message\":\"\\udb40\\udc41\\u009b\"}\n"
        );
    }

    #[test]
    fn an_endless_message_is_cut_and_its_size_told() {
        let record = says(&"é".repeat(5000));
        let kept = "é".repeat(4096);
        assert_eq!(
            line(LogFormat::Text, now(), Level::INFO, &record),
            format!("2026-11-21T01:02:03Z [Info] {kept}… (10000 bytes)\n")
        );
        let json: Value =
            serde_json::from_str(&line(LogFormat::Json, now(), Level::INFO, &record)).expect("a JSON line");
        assert_eq!(json["message"], format!("{kept}… (10000 bytes)"));
    }

    #[test]
    fn a_clock_before_1970_is_no_reason_to_fail() {
        let then = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(date_time(then, false), "1970-01-01T00:00:00Z");
        assert_eq!(date_time(then, true), "1970-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn any_record_is_one_line_and_json_gives_it_back(
            message in proptest::collection::vec(any::<char>(), 0..60),
            field in proptest::collection::vec(any::<char>(), 0..60),
            dependency in any::<bool>(),
        ) {
            let message: String = message.into_iter().collect();
            let field: String = field.into_iter().collect();
            let record = Record {
                dependency: dependency.then_some("aws_config"),
                message: message.clone(),
                fields: vec![("f", field.clone().into())],
            };
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = line(format, now(), Level::WARN, &record);
                let body = line.strip_suffix('\n').expect("a line ends with a newline");
                prop_assert!(!body.chars().any(is_unsafe));
            }
            let json: Value = serde_json::from_str(&line(LogFormat::Json, now(), Level::WARN, &record))?;
            prop_assert_eq!(&json["message"], &Value::from(message));
            prop_assert_eq!(&json["f"], &Value::from(field));
        }
    }
}
