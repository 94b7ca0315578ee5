//! The OTLP endpoint: where it is, each step of the way there, and what it says to exports without anything in them.

use tokio::time::Instant;

use super::report::{OF_OTLP_ENDPOINT, Verdict};
use super::service::{CALL_LIMIT, left_until};
use super::way::{self, CONNECT_LIMIT, Steps};
use crate::config::otlp::{OtlpEndpoint, RequestForm, Routes};
use crate::config::{self, Environment, OtlpConfig, XRayConfig};
use crate::exporters::error::PutError;
use crate::exporters::otlp::Otlp;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Signal;

/// What an export of nothing came to: a remark, or why it was not taken.
type Outcome = Result<Option<String>, PutError>;

/// Tells each verdict when it is found. All of it ends by `end`.
pub(super) async fn look(
    xray: &XRayConfig,
    otlp: &OtlpConfig,
    endpoint: &OtlpEndpoint,
    environment: &Environment,
    no_calls: bool,
    end: Instant,
    tell: &dyn Fn(Verdict),
) {
    const CHECK: &str = "otlp-endpoint";
    let skip_from = |at: usize, reason: &str| {
        for check in OF_OTLP_ENDPOINT.iter().skip(at) {
            tell(Verdict::skip(check, reason));
        }
    };
    let signals = signals(&otlp.routes());
    if signals.is_empty() {
        tell(Verdict::warn(
            CHECK,
            format!("nothing goes to {}", of_base(endpoint)),
            "write otlp to --segments-to, or let OTLP come in by --otlp-listen",
        ));
        skip_from(1, "nothing goes there");
        return;
    }
    let xray = XRayConfig {
        connect_timeout: xray.connect_timeout.min(CONNECT_LIMIT),
        ..xray.clone()
    };
    let connected = match Otlp::connect(endpoint, &xray, environment).await {
        Ok(connected) => connected,
        Err(error) => {
            let remedy = "mend that setting: no call can be made with it";
            tell(Verdict::fail(CHECK, error.to_string(), remedy));
            skip_from(1, "needs settings that can be used");
            return;
        }
    };
    let told = format!(
        "{}; {}; {}",
        of_base(endpoint),
        otlp.routes().in_words(&endpoint.base.value),
        of_headers(endpoint, &signals)
    );
    tell(match connected.warnings() {
        [] => Verdict::ok(CHECK, told),
        warnings => {
            let message = format!("{told}; {}", config::in_words(warnings, "; "));
            Verdict::warn(CHECK, message, "see whether that is meant")
        }
    });
    let reached = way::look(
        &Steps::TO_OTLP,
        &endpoint.base.value,
        connected.proxy_description(),
        connected.connect_once(),
        (xray.connect_timeout, end),
        tell,
    )
    .await;
    if let Err(reason) = reached {
        tell(Verdict::skip("otlp-call", format!("needs {reason}")));
        return;
    }
    if no_calls {
        tell(Verdict::skip("otlp-call", "not asked for (--no-calls)"));
        return;
    }
    let asked = |signal: Signal| {
        let (connected, is_sent) = (&connected, signals.contains(&signal));
        async move {
            let limit = CALL_LIMIT.min(left_until(end));
            let outcome = match is_sent {
                true => connected.put_nothing(signal, limit).await,
                false => return None,
            };
            Some((signal, outcome))
        }
    };
    let [traces, metrics, logs] = Signal::ALL;
    let (traces, metrics, logs) = tokio::join!(asked(traces), asked(metrics), asked(logs));
    let outcomes: Vec<_> = [traces, metrics, logs].into_iter().flatten().collect();
    tell(verdict(&outcomes, |signal| form(endpoint, signal)));
}

fn of_base(endpoint: &OtlpEndpoint) -> String {
    format!("{} (from {})", endpoint.base.value, endpoint.base.source)
}

/// The signals of which requests go out; segments go as traces.
fn signals(routes: &Routes) -> Vec<Signal> {
    let is_sent = |signal: &Signal| match signal {
        Signal::Traces => routes.segments.otlp || routes.spans.otlp,
        Signal::Metrics => routes.metrics.otlp,
        Signal::Logs => routes.logs.otlp,
    };
    Signal::ALL.into_iter().filter(is_sent).collect()
}

fn form(endpoint: &OtlpEndpoint, signal: Signal) -> &RequestForm {
    match signal {
        Signal::Traces => &endpoint.traces,
        Signal::Metrics => &endpoint.metrics,
        Signal::Logs => &endpoint.logs,
    }
}

/// The headers by their names, those of a signal beside it where they are not the same for all.
fn of_headers(endpoint: &OtlpEndpoint, signals: &[Signal]) -> String {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for &signal in signals {
        let headers = headers(form(endpoint, signal));
        match told.iter_mut().find(|(other, _)| *other == headers) {
            Some((_, signals)) => signals.push(signal.label()),
            None => told.push((headers, vec![signal.label()])),
        }
    }
    match told.as_slice() {
        [(headers, _)] => headers.clone(),
        several => {
            let parts = several
                .iter()
                .map(|(headers, signals)| format!("{} with {headers}", signals.join(" and ")));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

fn headers(form: &RequestForm) -> String {
    match &form.headers_source {
        Some(source) if !form.headers.is_empty() => {
            format!("headers {} (from {source})", form.headers.names().join(", "))
        }
        _ => "no headers of yours".to_owned(),
    }
}

/// What to say of the outcomes. Traces are what the daemon is for; a back end for traces alone takes no metrics and no logs,
/// and whoever sends them is told so.
fn verdict<'a>(outcomes: &[(Signal, Outcome)], form: impl Fn(Signal) -> &'a RequestForm) -> Verdict {
    const CHECK: &str = "otlp-call";
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for (signal, outcome) in outcomes {
        match outcome {
            Ok(None) => taken.push(signal.label().to_owned()),
            Ok(Some(remark)) => taken.push(format!("{} ({remark})", signal.label())),
            Err(error) => failed.push((*signal, error)),
        }
    }
    let all_taken = format!("the endpoint took an export of no {}", taken.join(", of no "));
    // The first is the one that matters most.
    let Some(&(signal, error)) = failed.first() else {
        return Verdict::ok(CHECK, all_taken);
    };
    let (meaning, remedy) = explained(signal, error, form(signal));
    let mut message = format!("{meaning} ({error})");
    let others: Vec<_> = failed[1..]
        .iter()
        .map(|(signal, error)| format!("{}: {error}", signal.label()))
        .collect();
    if !others.is_empty() {
        message = format!("{message}; {}", others.join("; "));
    }
    if !taken.is_empty() {
        message = format!("{message}; {all_taken}");
    }
    let is_no_fault = signal != Signal::Traces && error.class == ErrorClass::Refused;
    let may_take_others = error.class == ErrorClass::Refused && error.status == Some(400);
    if is_no_fault || may_take_others || error.class == ErrorClass::Throttled {
        return Verdict::warn(CHECK, message, remedy);
    }
    Verdict::fail(CHECK, message, remedy)
}

/// What an error means, and what to do.
fn explained(signal: Signal, error: &PutError, form: &RequestForm) -> (String, String) {
    let told = |meaning: &str, remedy: &str| (meaning.to_owned(), remedy.to_owned());
    let (name, items) = (signal.label(), signal.items());
    match (error.class, error.status) {
        (ErrorClass::Credentials, _) => match &form.headers_source {
            Some(source) if !form.headers.is_empty() => (
                "the endpoint does not take the key".to_owned(),
                format!(
                    "see whether {} has the right name and value in {source}; the daemon reads it when it starts",
                    form.headers.names().join(", ")
                ),
            ),
            _ => told(
                "the endpoint wants a key, and gets none",
                "set OTEL_EXPORTER_OTLP_HEADERS for the daemon, or Headers in the section OTLP",
            ),
        },
        (ErrorClass::Refused, Some(404 | 405)) if signal == Signal::Traces => told(
            "what answers takes no OTLP at this path",
            "give the base of the URL, to which v1/traces is appended, and the port that takes OTLP over HTTP (mostly 4318)",
        ),
        (ErrorClass::Refused, Some(400)) => (
            format!("the endpoint answers in OTLP, and refuses an export of no {name}"),
            format!("look at its reason; if {items} are refused as well, the log says so, and how many"),
        ),
        (ErrorClass::Refused, Some(415)) => told(
            "the endpoint does not take the form of the body",
            "set OTLP.Compression to none; if it takes JSON alone, put a Collector before it",
        ),
        (ErrorClass::Refused, _) if signal != Signal::Traces => (
            format!("the endpoint takes no {name}, and those that come in will be lost"),
            format!("let applications send {name} elsewhere, or send all to an endpoint that takes them"),
        ),
        (ErrorClass::Refused, _) => told(
            "the endpoint refuses what it is sent",
            "look at its reason, and whether it is the right one",
        ),
        (ErrorClass::Throttled, _) => told(
            "the key is good, and the endpoint's quota is used up now",
            "send less, or ask for a higher quota there",
        ),
        (ErrorClass::ServerError, _) => told(
            "the endpoint or something before it fails",
            "wait; see its status page or its log, and any proxy on the way",
        ),
        (ErrorClass::NotAnAnswer, _) => told(
            "what answers is no receiver of OTLP over HTTP",
            "see whether the address is right, whether its port is that of gRPC (4317; HTTP has 4318), and whether a proxy or \
             a portal is in between",
        ),
        (ErrorClass::Timeout, _) => told(
            "there was no answer in time",
            "see whether the endpoint is right and the way there open for more than the first packet (MTU, proxy)",
        ),
        _ => told(
            "the call broke off",
            "see what is on the way to the endpoint, and whether its port takes https:// or http://",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use crate::config::{self, Flags, Sourced, SystemFiles};

    /// The endpoint of a daemon with these variables.
    fn endpoint(variables: &[(&str, &str)]) -> OtlpEndpoint {
        let flags = Flags {
            otlp_endpoint: Some(Sourced {
                value: "https://otlp.example".to_owned(),
                source: "flag --otlp-endpoint".to_owned(),
            }),
            ..Flags::default()
        };
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment(variables.iter().map(owned).collect());
        let config = config::load(&flags, &environment, &SystemFiles).unwrap();
        config.otlp.unwrap().endpoint.unwrap()
    }

    fn failed(class: ErrorClass, status: Option<u16>) -> Outcome {
        Err(PutError {
            status,
            ..PutError::new(class, "why")
        })
    }

    fn said(outcomes: Vec<(Signal, Outcome)>) -> Verdict {
        let endpoint = endpoint(&[]);
        verdict(&outcomes, |signal| form(&endpoint, signal))
    }

    #[test]
    fn an_endpoint_that_takes_nothing_of_each_signal_is_well() {
        let verdict = said(vec![
            (Signal::Traces, Ok(None)),
            (Signal::Logs, Ok(Some("kept for a day".to_owned()))),
        ]);
        assert_eq!(
            (verdict.level, verdict.message.as_str()),
            (
                Level::Ok,
                "the endpoint took an export of no traces, of no logs (kept for a day)"
            )
        );
    }

    #[test]
    fn each_reason_has_its_own_remedy() {
        for (class, status, level, remedy) in [
            (
                ErrorClass::Credentials,
                Some(401),
                Level::Fail,
                "OTEL_EXPORTER_OTLP_HEADERS",
            ),
            (
                ErrorClass::Refused,
                Some(404),
                Level::Fail,
                "v1/traces is appended",
            ),
            (
                ErrorClass::Refused,
                Some(405),
                Level::Fail,
                "v1/traces is appended",
            ),
            (ErrorClass::Refused, Some(400), Level::Warn, "the log says so"),
            (ErrorClass::Refused, Some(415), Level::Fail, "OTLP.Compression"),
            (ErrorClass::Refused, Some(500), Level::Fail, "its reason"),
            (ErrorClass::Throttled, Some(429), Level::Warn, "higher quota"),
            (ErrorClass::ServerError, Some(503), Level::Fail, "status page"),
            (ErrorClass::NotAnAnswer, None, Level::Fail, "4317"),
            (ErrorClass::Timeout, None, Level::Fail, "MTU"),
            (ErrorClass::Connection, None, Level::Fail, "https:// or http://"),
        ] {
            let verdict = said(vec![(Signal::Traces, failed(class, status))]);
            assert_eq!(verdict.level, level, "{verdict:?}");
            assert!(verdict.message.ends_with(" (why)"), "{verdict:?}");
            assert!(verdict.remedy.as_ref().unwrap().contains(remedy), "{verdict:?}");
        }
    }

    #[test]
    fn a_back_end_for_traces_alone_is_told_with_what_will_be_lost() {
        let refused = || failed(ErrorClass::Refused, Some(404));
        let verdict = said(vec![
            (Signal::Traces, Ok(None)),
            (Signal::Metrics, refused()),
            (Signal::Logs, refused()),
        ]);
        assert_eq!(verdict.level, Level::Warn);
        assert_eq!(
            verdict.message,
            "the endpoint takes no metrics, and those that come in will be lost (why); logs: why; the endpoint took an \
             export of no traces"
        );
    }

    #[test]
    fn headers_are_told_by_name_and_place_and_by_signal_where_they_differ() {
        let told = |variables: &[(&str, &str)]| of_headers(&endpoint(variables), &Signal::ALL);
        assert_eq!(told(&[]), "no headers of yours");
        let for_all = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hunter1,x-team=hunter2");
        assert_eq!(
            told(&[for_all]),
            "headers x-key, x-team (from OTEL_EXPORTER_OTLP_HEADERS)"
        );
        let with_metrics = told(&[("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-metrics=hunter3")]);
        assert_eq!(
            with_metrics,
            "traces and logs with no headers of yours, metrics with headers x-metrics (from \
             OTEL_EXPORTER_OTLP_METRICS_HEADERS)"
        );
    }
}
