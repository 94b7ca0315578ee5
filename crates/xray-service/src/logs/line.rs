//! What a line of a log tells, whatever wrote it: which traces, when, how bad. Looks at the first bytes of a line only.

use xray_document::clock;

/// So much of a line is looked at: ids stand at its beginning, or in the fields of an object.
const LOOKED_AT_BYTES: usize = 16 << 10;

/// So much of it for a time and a level.
const HEAD_BYTES: usize = 2 << 10;

/// Traces in one line.
const MAX_IDS: usize = 4;

/// Seconds of a quarter of an hour: zones differ by that.
const QUARTER_S: f64 = 900.0;

/// The largest difference of a zone from UTC, in seconds.
const MAX_ZONE_S: f64 = 14.0 * 3600.0;

/// Levels as logs write them, and what they mean.
const LEVELS: [(&str, &str); 11] = [
    ("CRITICAL", "FATAL"),
    ("FATAL", "FATAL"),
    ("PANIC", "FATAL"),
    ("SEVERE", "ERROR"),
    ("ERROR", "ERROR"),
    ("ERR", "ERROR"),
    ("WARNING", "WARN"),
    ("WARN", "WARN"),
    ("INFO", "INFO"),
    ("DEBUG", "DEBUG"),
    ("TRACE", "TRACE"),
];

/// What a line tells.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// The traces that it names, each once.
    pub traces: Vec<String>,
    /// When it was written, in seconds since 1970.
    pub time: Option<f64>,
    /// Its level.
    pub level: Option<&'static str>,
}

/// Reads a line that came at `arrived`, in seconds since 1970.
#[must_use]
pub fn read(line: &str, arrived: f64) -> Told {
    let traces = ids(beginning(line, LOOKED_AT_BYTES));
    if traces.is_empty() {
        return Told::default();
    }
    let head = beginning(line, HEAD_BYTES);
    Told {
        traces,
        time: written_time(head, arrived).or_else(|| number_of_time(head)),
        level: level(head),
    }
}

/// Whether a line goes on from the one before it: a stack does, and the rest of an object.
#[must_use]
pub fn goes_on(line: &str) -> bool {
    let starts = [
        "Traceback ",
        "Caused by:",
        "During handling of",
        "The above exception",
        "}",
        "]",
        "...",
    ];
    line.starts_with([' ', '\t'])
        || starts.iter().any(|start| line.starts_with(start))
        || is_end_of_stack(line)
}

/// `ValueError: no money`, the last line of a stack of Python.
fn is_end_of_stack(line: &str) -> bool {
    let name = line.split([':', ' ']).next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    (last.ends_with("Error") || last.ends_with("Exception"))
        && last.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Trace ids in a text: `1-<8 hex>-<24 hex>`, or 32 hex digits that stand by themselves.
fn ids(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() && found.len() < MAX_IDS {
        if !bytes[at].is_ascii_hexdigit() {
            at += 1;
            continue;
        }
        // A run of what ids are made of.
        let length = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit() || **byte == b'-')
            .count();
        let run = &text[at..at + length];
        let is_apart = |at: Option<usize>| at.is_none_or(|at| !bytes[at].is_ascii_alphanumeric());
        if is_apart(at.checked_sub(1)) && is_apart(Some(at + length).filter(|at| *at < bytes.len())) {
            let id = crate::filter::trace_id(run.trim_matches('-'));
            found.extend(id.filter(|id| !id.ends_with("-000000000000000000000000") && !found.contains(id)));
        }
        at += length;
    }
    found
}

/// A date and a time in the text: `2026-11-21T02:19:55.120Z`, `2026-11-21 02:19:55,120`. Where no zone stands behind it, it
/// is the one in which it was written just now.
fn written_time(text: &str, arrived: f64) -> Option<f64> {
    let bytes = text.as_bytes();
    let number = |from: usize, digits: usize| -> Option<u32> {
        let text = text.get(from..from + digits)?;
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
    let starts = (0..bytes.len().saturating_sub(18)).filter(|&at| {
        is(at + 4, b"-/")
            && is(at + 7, b"-/")
            && is(at + 10, b"T t")
            && is(at + 13, b":")
            && is(at + 16, b":")
    });
    for at in starts {
        let (Some(year), Some(month), Some(day)) = (number(at, 4), number(at + 5, 2), number(at + 8, 2))
        else {
            continue;
        };
        let (Some(hour), Some(minute), Some(second)) =
            (number(at + 11, 2), number(at + 14, 2), number(at + 17, 2))
        else {
            continue;
        };
        if !(1970..=9999).contains(&year)
            || !(1..=12).contains(&month)
            || !(1..=31).contains(&day)
            || hour > 23
        {
            continue;
        }
        let mut rest = at + 19;
        let mut fraction = 0.0;
        if is(rest, b".,") {
            let digits = bytes[rest + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            fraction = format!("0.{}", &text[rest + 1..rest + 1 + digits.min(9)])
                .parse()
                .unwrap_or(0.0);
            rest += 1 + digits;
        }
        let days = days_from_1970(i64::from(year), i64::from(month), i64::from(day));
        let seconds = f64::from(hour * 3600 + minute.min(59) * 60 + second.min(60)) + fraction;
        let local = days as f64 * 86_400.0 + seconds;
        return Some(local - zone(text, rest).unwrap_or_else(|| likely_zone(local, arrived)));
    }
    None
}

/// `Z`, `+01:00` or `+0100` at this place, in seconds.
fn zone(text: &str, at: usize) -> Option<f64> {
    let rest = text.get(at..)?.trim_start_matches(' ');
    if rest.starts_with(['Z', 'z']) || rest.starts_with("UTC") {
        return Some(0.0);
    }
    let sign = match rest.as_bytes().first()? {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let digits: String = rest[1..].chars().filter(|c| *c != ':').take(4).collect();
    let number: u32 = (digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())??;
    Some(sign * f64::from(number / 100 * 3600 + number % 100 * 60))
}

/// How far a time without a zone is from UTC: what is written just now arrives at once.
fn likely_zone(local: f64, arrived: f64) -> f64 {
    let zone = ((local - arrived) / QUARTER_S).round() * QUARTER_S;
    if zone.abs() <= MAX_ZONE_S { zone } else { 0.0 }
}

/// Howard Hinnant's days of the civil calendar.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A number of a field for the time in an object: `"time":1795227595120`, `"ts":1795227595.12`.
fn number_of_time(text: &str) -> Option<f64> {
    ["\"time\":", "\"ts\":", "\"timestamp\":", "\"@timestamp\":"]
        .iter()
        .find_map(|key| {
            let rest = text.split_once(key)?.1.trim_start();
            let digits = rest
                .bytes()
                .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
                .count();
            let number: f64 = rest[..digits].parse().ok()?;
            let seconds = clock::seconds(number);
            // Since 2001: a smaller number counts something else.
            (seconds > 1e9).then_some(seconds)
        })
}

/// The first word that is a level.
fn level(text: &str) -> Option<&'static str> {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    words.filter(|word| word.len() >= 3).find_map(|word| {
        // As a word of the log and not of its message: all in capitals, or the value of a field.
        let is_field = || {
            let at = word.as_ptr() as usize - text.as_ptr() as usize;
            let before = text[..at]
                .trim_end_matches(['"', '=', ':', ' '])
                .to_ascii_lowercase();
            before.ends_with("level") || before.ends_with("severity") || before.ends_with("lvl")
        };
        let known = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
        (word.bytes().all(|byte| byte.is_ascii_uppercase()) || is_field()).then_some(known.1)
    })
}

/// The first bytes of a text, no character cut in half.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "1-581cf771-a006649127e371903a2de979";
    const NOW: f64 = 1_795_227_596.0;

    #[test]
    fn a_line_tells_its_trace_in_whatever_form_its_logger_writes_it() {
        for line in [
            "INFO trace=1-581cf771-a006649127e371903a2de979 paid",
            "[Root=1-581cf771-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1] paid",
            r#"{"level":"info","trace_id":"581cf771a006649127e371903a2de979","msg":"paid"}"#,
            "paid trace_id=581CF771A006649127E371903A2DE979 span_id=53995c3f42cd8ad8",
            "00-581cf771a006649127e371903a2de979-53995c3f42cd8ad8-01",
            "1-581cf771-a006649127e371903a2de979@53995c3f42cd8ad8",
        ] {
            assert_eq!(read(line, NOW).traces, [ID], "{line}");
        }
        for line in [
            "paid",
            "sha 581cf771a006649127e371903a2de979581cf771a006649127e371903a2de979",
            "x581cf771a006649127e371903a2de979",
            "00000000000000000000000000000000",
            "0e4a1b2c-1234-5678-9abc-def012345678",
        ] {
            assert_eq!(read(line, NOW), Told::default(), "{line}");
        }
        let two = format!("{ID} {ID} 1-581cf771-a006649127e371903a2de97a");
        assert_eq!(
            read(&two, NOW).traces,
            [ID, "1-581cf771-a006649127e371903a2de97a"]
        );
    }

    #[test]
    fn the_time_is_the_one_that_is_written_in_the_zone_that_is_written_or_the_one_of_the_machine() {
        let time = |line: &str| read(&format!("{line} {ID}"), NOW).time;
        let written = Some(1_795_227_595.12);
        assert_eq!(time("2026-11-21T02:19:55.120Z"), written);
        assert_eq!(time("[2026-11-21T03:19:55.12+01:00]"), written);
        assert_eq!(time("2026-11-20 21:19:55,120 -0500"), written);
        assert_eq!(time("2026/11/21 02:19:55.120"), written);
        assert_eq!(time("2026-11-21 07:49:55,120"), written, "a laptop in India");
        assert_eq!(time("{\"time\":1795227595120}"), written);
        assert_eq!(time("{\"ts\": 1795227595.12}"), written);
        assert_eq!(time("2026-13-21T02:19:55Z"), None);
        assert_eq!(time("{\"time\":17}"), None);
        assert_eq!(time("paid"), None);
        assert_eq!(days_from_1970(1970, 1, 1), 0);
        assert_eq!(days_from_1970(2024, 2, 29), 19_782);
    }

    #[test]
    fn the_level_is_a_word_of_the_log_and_not_of_its_message() {
        let level = |line: &str| read(&format!("{line} {ID}"), NOW).level;
        assert_eq!(level("2026-11-21 WARNING:shop: error in cart"), Some("WARN"));
        assert_eq!(level("{\"level\":\"error\",\"msg\":\"info\"}"), Some("ERROR"));
        assert_eq!(level("level=debug no error"), Some("DEBUG"));
        assert_eq!(level("no error at all, for your info"), None);
    }

    #[test]
    fn a_stack_goes_on_from_the_line_above_it() {
        for line in [
            "  File \"app.py\", line 5, in pay",
            "\tat com.example.Pay",
            "Traceback (most recent call last):",
            "ValueError: no money",
            "psycopg.errors.QueryCanceledError: timeout",
            "Caused by: java.io.IOException",
            "}",
        ] {
            assert!(goes_on(line), "{line}");
        }
        for line in ["2026-11-21 INFO next", "Errors: 5", "paid", ""] {
            assert!(!goes_on(line), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_line_makes_it_stumble(line in "[-/0-9a-fT:., Z+\"é{}]{0,200}", arrived in 0.0..4e9_f64) {
            let told = read(&line, arrived);
            prop_assert!(told.traces.len() <= MAX_IDS);
            prop_assert!(told.time.is_none_or(f64::is_finite));
            let _ = goes_on(&line);
        }
    }
}
