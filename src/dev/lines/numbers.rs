//! Durations and times in words, as the page has them: `src/dev/page/format.js` writes the same, and
//! `times.json` has what both must say: the tests of the page read it too.

use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Three digits that count: `123 µs`, `1.23 ms`, `12.3 s`, `2 m 03 s`, `1 h 00 m`.
#[must_use]
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    if seconds < 0.0 {
        return format!("-{}", duration(-seconds));
    }
    if seconds == 0.0 {
        "0 ms".to_owned()
    } else if seconds < 0.000_999_5 {
        format!("{} µs", three_digits(seconds * 1e6))
    } else if seconds < 0.999_5 {
        format!("{} ms", three_digits(seconds * 1e3))
    } else if seconds < 59.95 {
        format!("{} s", three_digits(seconds))
    } else {
        let whole = (seconds + 0.5).floor();
        let (minutes, hours) = ((whole / 60.0).floor(), (whole / 3600.0).floor());
        if whole < 3600.0 {
            format!("{minutes:.0} m {:02.0} s", whole % 60.0)
        } else {
            format!("{hours:.0} h {:02.0} m", minutes % 60.0)
        }
    }
}

fn three_digits(value: f64) -> String {
    if value >= 99.95 {
        format!("{:.0}", (value + 0.5).floor())
    } else if value >= 9.995 {
        fixed(value, 1)
    } else {
        fixed(value, 2)
    }
}

/// With so many decimals. What lies in the middle of two goes up, as in JavaScript; Rust takes the even one.
fn fixed(value: f64, decimals: u32) -> String {
    let doubled = value * f64::from(2_u32.pow(decimals + 1));
    // Only then is it in the middle: ten is two times an odd number.
    if doubled.fract() == 0.0 && doubled % 2.0 == 1.0 {
        let shift = 10_f64.powi(decimals as i32);
        let up = (value * shift + 0.5).floor() / shift;
        return format!("{up:.*}", decimals as usize);
    }
    format!("{value:.*}", decimals as usize)
}

/// `2026-11-21T01:02:03.123Z`, between 1970 and the year 9999.
#[must_use]
pub(crate) fn date_time(seconds: f64) -> String {
    // To whole milliseconds, so that the text has always as many digits. What does not fit is cut to what does.
    let millis = (seconds * 1e3 + 0.5).floor().clamp(0.0, 253_402_300_799_999.0) as u64;
    let time = DateTime::from(UNIX_EPOCH + Duration::from_millis(millis));
    let text = time.fmt(Format::DateTime).unwrap_or_default();
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((before, fraction)) => format!("{before}.{fraction:0<3}Z"),
        None => text.replace('Z', ".000Z"),
    }
}

/// `01:02:03.123Z`, with the date before it where that is not the one of `now`. In UTC, as its Z says: what a server logs
/// is, and no file of time zones has to be there.
#[must_use]
pub(crate) fn moment(seconds: f64, now: f64) -> String {
    let (text, today) = (date_time(seconds), date_time(now));
    match text.split_once('T') {
        Some((date, time)) if today.starts_with(date) => time.to_owned(),
        Some((date, time)) => format!("{date} {time}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn durations_and_times_are_those_of_the_page() {
        let cases: Value = serde_json::from_str(include_str!("times.json")).unwrap();
        let durations = cases["durations"].as_array().unwrap();
        assert!(durations.len() > 20);
        for case in durations {
            assert_eq!(duration(case[0].as_f64().unwrap()), case[1], "{case}");
        }
        for case in cases["moments"].as_array().unwrap() {
            assert_eq!(
                moment(case[0].as_f64().unwrap(), case[1].as_f64().unwrap()),
                case[2],
                "{case}"
            );
        }
    }
}
