//! What the terminal says beside traces: requests that SDKs saw and left out, and what was refused. Pure: `now` is passed
//! in.
//!
//! SDKs report every ten seconds, each for itself: what they report is gathered and told once in that time at the most,
//! and only when there is something that does not show as a trace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use xray_service::sampling::Reported;
use xray_service::service::Service;

use super::lines::{self, Style};

/// The least time between two remarks about sampling.
const PAUSE: Duration = Duration::from_secs(10);

/// Refusals in one remark; how many more there were is told.
const MAX_REFUSALS: usize = 5;

/// What has been said.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    reported: BTreeMap<String, Reported>,
    refused: u64,
    said_at: Option<Instant>,
    /// There is something to say that has to wait.
    waits: bool,
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines for people.
    Text(Style),
    /// One JSON object a line.
    Json,
}

impl Remarks {
    /// The lines about what is new, each with its end. `refusals`: also those, since nothing else says them.
    pub(crate) fn say(&mut self, service: &Service, refusals: bool, form: Form, now: Instant) -> String {
        let mut text = String::new();
        if refusals {
            self.say_refused(service, form, &mut text);
        }
        if !self.waits && !self.leaves_out(service.reported()) {
            return text;
        }
        if self.said_at.is_some_and(|said_at| now < said_at + PAUSE) {
            self.waits = true;
            return text;
        }
        self.waits = false;
        self.said_at = Some(now);
        for (rule, all) in service.reported() {
            let new = self.since_said(rule, *all);
            if new.sampled < new.requests {
                text.push_str(&match form {
                    Form::Text(style) => lines::sampling(rule, new, style),
                    Form::Json => json!({"sampling": {
                        "rule": rule, "requests": new.requests, "sampled": new.sampled
                    }})
                    .to_string(),
                });
                text.push('\n');
            }
        }
        self.reported.clone_from(service.reported());
        text
    }

    /// When to ask again without anything new; `None`: not at all.
    #[must_use]
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.said_at.filter(|_| self.waits).map(|said_at| said_at + PAUSE)
    }

    fn leaves_out(&self, reported: &BTreeMap<String, Reported>) -> bool {
        reported.iter().any(|(rule, all)| {
            let new = self.since_said(rule, *all);
            new.sampled < new.requests
        })
    }

    /// What was reported about a rule since the last remark. The sums of a rule that was deleted and made again begin
    /// anew.
    fn since_said(&self, rule: &str, all: Reported) -> Reported {
        let known = self.reported.get(rule).copied().unwrap_or_default();
        let (requests, sampled) = (
            all.requests.checked_sub(known.requests),
            all.sampled.checked_sub(known.sampled),
        );
        match (requests, sampled) {
            (Some(requests), Some(sampled)) => Reported { requests, sampled },
            _ => all,
        }
    }

    fn say_refused(&mut self, service: &Service, form: Form, text: &mut String) {
        let (count, latest) = service.refused();
        let new = count.saturating_sub(self.refused);
        self.refused = count;
        let mut shown: Vec<String> = latest
            .take(usize::try_from(new).unwrap_or(usize::MAX).min(MAX_REFUSALS))
            .map(|refused| match form {
                Form::Text(style) => lines::refused(refused, style),
                Form::Json => json!({"refused": {
                    "id": refused.refusal.id, "name": refused.name, "code": refused.refusal.code,
                    "message": refused.refusal.message
                }})
                .to_string(),
            })
            .collect();
        shown.reverse();
        let more = new.saturating_sub(shown.len() as u64);
        if more > 0 {
            shown.push(match form {
                Form::Text(_) => format!("… {more} more were refused"),
                Form::Json => json!({"refused": {"more": more}}).to_string(),
            });
        }
        for line in shown {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::Value;
    use xray_service::traces::Limits;

    use super::*;

    const TEXT: Form = Form::Text(Style::Plain);

    fn service() -> Service {
        let mut service = Service::new(Limits::default());
        service.tell_causes();
        service
    }

    fn call(service: &mut Service, path: &str, body: &Value) {
        let answer = service.handle("POST", path, body.to_string().as_bytes(), SystemTime::UNIX_EPOCH);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    fn report(service: &mut Service, requests: u32, sampled: u32) {
        let body = json!({"SamplingStatisticsDocuments": [{
            "RuleName": "Default", "ClientID": "a".repeat(24), "Timestamp": 1, "RequestCount": requests,
            "SampledCount": sampled
        }]});
        call(service, "/SamplingTargets", &body);
    }

    #[test]
    fn requests_that_sdks_left_out_are_told_once_in_ten_seconds() {
        let (mut service, mut remarks, start) = (service(), Remarks::default(), Instant::now());
        let mut say = |service: &Service, after_s: u64| {
            let text = remarks.say(service, true, TEXT, start + Duration::from_secs(after_s));
            (text, remarks.next_due().map(|due| (due - start).as_secs()))
        };
        report(&mut service, 10, 10);
        assert_eq!(say(&service, 0), (String::new(), None), "all of them are traces");
        report(&mut service, 40, 5);
        let all = "SDKs saw 50 requests and sent 15: rule Default\n";
        assert_eq!(say(&service, 1), (all.to_owned(), None));
        report(&mut service, 8, 2);
        assert_eq!(say(&service, 2), (String::new(), Some(11)));
        report(&mut service, 2, 0);
        assert_eq!(say(&service, 3), (String::new(), Some(11)));
        let rest = "SDKs saw 10 requests and sent 2: rule Default\n";
        assert_eq!(say(&service, 11), (rest.to_owned(), None));
        assert_eq!(say(&service, 30), (String::new(), None));
    }

    #[test]
    fn with_json_it_is_an_object() {
        let mut service = service();
        report(&mut service, 40, 5);
        let text = Remarks::default().say(&service, false, Form::Json, Instant::now());
        assert_eq!(
            text,
            "{\"sampling\":{\"requests\":40,\"rule\":\"Default\",\"sampled\":5}}\n"
        );
    }

    #[test]
    fn what_was_refused_is_told_with_its_cause_where_nothing_else_does() {
        let (mut service, mut remarks, now) = (service(), Remarks::default(), Instant::now());
        let refuse = |service: &mut Service, number: usize| {
            let document = r#"{"id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","name":"a?\u001b"}"#;
            call(
                service,
                "/TraceSegments",
                &json!({"TraceSegmentDocuments": vec![document; number]}),
            );
        };
        refuse(&mut service, 1);
        assert_eq!(
            remarks.say(&service, true, TEXT, now),
            "REFUSED  a?\\x1b  70de5b6f19ff9a0a  Invalid segment. ErrorCode: InvalidName, Cause: name \"a?\\\\u{1b}\" has '?' \
             at character 2, which names may not have\n"
        );
        refuse(&mut service, 7);
        let text = remarks.say(&service, true, TEXT, now);
        assert_eq!(text.lines().count(), 6);
        assert!(text.ends_with("… 2 more were refused\n"), "{text}");
        service.note_refused_datagrams(1, "Missing header", SystemTime::UNIX_EPOCH);
        assert_eq!(
            remarks.say(&service, true, TEXT, now),
            "REFUSED  Missing header\n"
        );
        refuse(&mut service, 1);
        assert_eq!(Remarks::default().say(&service, false, TEXT, now), "");
    }
}
