//! What the answer to an empty call means for whoever has to mend it, and what the clock has to do with it.

use super::report::{OTLP_TO_XRAY, Verdict};
use crate::exporters::answer::Answer;
use crate::exporters::error::PutError;
use crate::ledger::outcome::ErrorClass;

/// From here on AWS takes no signature (five minutes).
const SKEW_REFUSED_S: i64 = 300;

/// From here on a clock is not one that somebody keeps right.
const SKEW_ODD_S: i64 = 30;

/// The action that a daemon needs first.
const ACTION: &str = "xray:PutTraceSegments";

/// What to say of a clock that is so many seconds ahead of the endpoint's.
pub(super) fn clock(off_s: Option<i64>) -> Verdict {
    const CHECK: &str = "clock";
    let Some(off_s) = off_s else {
        return Verdict::skip(CHECK, "the endpoint did not say its time");
    };
    let told = match off_s {
        ..0 => format!(
            "this machine's clock is {} s behind the endpoint's",
            off_s.unsigned_abs()
        ),
        0..=1 => return Verdict::ok(CHECK, "this machine's clock agrees with the endpoint's"),
        _ => format!("this machine's clock is {off_s} s ahead of the endpoint's"),
    };
    let remedy =
        "set the clock, and keep it right: chrony, systemd-timesyncd; in a virtual machine, its host";
    match off_s.unsigned_abs() {
        off if off >= SKEW_REFUSED_S.unsigned_abs() => Verdict::fail(
            CHECK,
            format!("{told}: AWS takes no signature that is five minutes off"),
            remedy,
        ),
        off if off >= SKEW_ODD_S.unsigned_abs() => Verdict::warn(CHECK, told, remedy),
        _ => Verdict::ok(CHECK, told),
    }
}

/// What to say of an empty call that came to `outcome`; `off_s` as for [`clock`].
pub(super) fn verdict(outcome: &Result<Answer, PutError>, off_s: Option<i64>) -> Verdict {
    const CHECK: &str = "call";
    let error = match outcome {
        Ok(_) => return Verdict::ok(CHECK, "X-Ray took a signed PutTraceSegments without segments"),
        Err(error) => error,
    };
    // The signature was looked at before the body.
    if error.class == ErrorClass::Refused {
        return Verdict::ok(
            CHECK,
            "X-Ray took the signature of a PutTraceSegments, and refused only that it has no segments",
        );
    }
    let (meaning, remedy) = explained(error, off_s);
    let message = format!("{meaning} ({error})");
    if error.class == ErrorClass::Throttled {
        return Verdict::warn(CHECK, message, remedy);
    }
    Verdict::fail(CHECK, message, remedy)
}

/// What to say of an export of no spans to X-Ray's OTLP endpoint that came to `outcome`; `off_s` as for [`clock`].
pub(super) fn of_spans(outcome: &Result<Option<String>, PutError>, off_s: Option<i64>) -> Verdict {
    const CHECK: &str = OTLP_TO_XRAY;
    let error = match outcome {
        Ok(None) => return Verdict::ok(CHECK, "X-Ray's OTLP endpoint took a signed export of no spans"),
        Ok(Some(remark)) => {
            let taken = format!("X-Ray's OTLP endpoint took a signed export of no spans, and says: {remark}");
            return Verdict::ok(CHECK, taken);
        }
        Err(error) => error,
    };
    // As for the call.
    if error.class == ErrorClass::Refused && error.status == Some(400) {
        return Verdict::ok(
            CHECK,
            "X-Ray's OTLP endpoint took the signature of an export, and refused only that it has no spans",
        );
    }
    const AS_SEGMENTS: &str = "or set XRay: segments in the section OTLP";
    let (meaning, remedy) = match error.class {
        ErrorClass::Other if error.message.contains("Transaction Search") => (
            "this account and region have no Transaction Search, which X-Ray's OTLP endpoint needs"
                .to_owned(),
            format!("switch it on (CloudWatch, Settings, X-Ray traces), {AS_SEGMENTS}"),
        ),
        ErrorClass::Credentials if is_denied(name_of(error)) => (
            may_not(denied_action(&error.message).unwrap_or("xray:PutSpans")),
            format!(
                "allow xray:PutSpans and xray:PutSpansForIndexing for that user or role, which the managed policy \
                 AWSXRayDaemonWriteAccess does not, {AS_SEGMENTS}"
            ),
        ),
        ErrorClass::Refused | ErrorClass::NotAnAnswer => (
            "what answers is no OTLP endpoint of X-Ray".to_owned(),
            format!("see whether the endpoint and the region have one, {AS_SEGMENTS}"),
        ),
        _ => explained(error, off_s),
    };
    let message = format!("{meaning} ({error})");
    match error.class {
        ErrorClass::Throttled => Verdict::warn(CHECK, message, remedy),
        _ => Verdict::fail(CHECK, message, remedy),
    }
}

/// What an error means, and what to do.
fn explained(error: &PutError, off_s: Option<i64>) -> (String, String) {
    let told = |meaning: &str, remedy: &str| (meaning.to_owned(), remedy.to_owned());
    match (name_of(error), error.class) {
        (name, _) if is_denied(name) => {
            let action = denied_action(&error.message).unwrap_or(ACTION);
            (
                may_not(action),
                format!(
                    "allow {action} for that user or role: the managed policy AWSXRayDaemonWriteAccess has it"
                ),
            )
        }
        ("ExpiredToken" | "TokenRefreshRequired", _) => told(
            "the session token of the keys is expired",
            "renew it (aws sso login, a new role session); the daemon reads the files again by itself, variables only when \
             it starts",
        ),
        ("UnrecognizedClient" | "InvalidClientTokenId" | "InvalidAccessKeyId" | "InvalidToken", _) => told(
            "AWS does not know these keys: deleted, switched off, of another partition, or without their session token",
            "see which keys `credentials` names, and replace them",
        ),
        (
            "InvalidSignature"
            | "SignatureDoesNotMatch"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "IncompleteSignature",
            _,
        ) => signature(off_s),
        ("MissingAuthenticationToken", _) => told(
            "what answers did not see the signature",
            "see whether something on the way takes the Authorization header off, and whether the endpoint is right",
        ),
        ("OptInRequired", _) => told(
            "the account has not switched this region on",
            "switch the region on in the account's settings, or give another one with -n",
        ),
        (_, ErrorClass::Throttled) => told(
            "the keys are good, and the account's quota is used up now",
            "send less, or ask AWS for a higher quota of X-Ray",
        ),
        (_, ErrorClass::ServerError) => told(
            "X-Ray or something before it fails",
            "wait; see AWS's health page, and any proxy on the way",
        ),
        (_, ErrorClass::Credentials) => told(
            "the call was refused for its keys",
            "see which keys `credentials` names; if a proxy or firewall wrote this answer, mend that",
        ),
        (_, ErrorClass::NotAnAnswer) => told(
            "what answers is not X-Ray",
            "see whether the endpoint is right, and whether a proxy or a portal is in between",
        ),
        (_, ErrorClass::Timeout) => told(
            "there was no answer in time",
            "see whether the endpoint is right and the way there open for more than the first packet (MTU, proxy)",
        ),
        _ => told("the call broke off", "see what is on the way to the endpoint"),
    }
}

fn signature(off_s: Option<i64>) -> (String, String) {
    match off_s {
        Some(off_s) if off_s.unsigned_abs() >= SKEW_REFUSED_S.unsigned_abs() => (
            format!("the signature is not current: this machine's clock is {off_s} s off"),
            "set the clock".to_owned(),
        ),
        _ => (
            "the signature is wrong, and the clock is not the reason".to_owned(),
            "the secret key is not that of the key id: set both anew, without spaces or quotes; or something on the way \
             changes requests"
                .to_owned(),
        ),
    }
}

/// The error's code, which some services end with a word.
fn name_of(error: &PutError) -> &str {
    let code = error.code.as_deref().unwrap_or_default();
    code.strip_suffix("Exception").unwrap_or(code)
}

/// Whether that is the name of what good keys get for what they may not do.
fn is_denied(name: &str) -> bool {
    matches!(name, "AccessDenied" | "NotAuthorized")
}

fn may_not(action: &str) -> String {
    format!("the keys are good, and may not do {action}")
}

/// The action that AWS names as not allowed, if it does.
fn denied_action(message: &str) -> Option<&str> {
    let named = message.split_once("perform: ").map(|(_, rest)| rest);
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, ':' | '-');
    let action = named.map(|rest| rest.split(|char| !is_part(char)).next().unwrap_or_default());
    action.filter(|action| action.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn failed(class: ErrorClass, code: Option<&str>, message: &str, off_s: Option<i64>) -> Verdict {
        let error = PutError {
            code: code.map(str::to_owned),
            ..PutError::new(class, message)
        };
        verdict(&Err(error), off_s)
    }

    #[test]
    fn an_access_denied_names_the_missing_action() {
        let message = "status 403 AccessDeniedException: User: arn:aws:iam::1:user/x is not authorized to perform: \
                       xray:PutTelemetryRecords because no policy allows it";
        let denied = failed(
            ErrorClass::Credentials,
            Some("AccessDeniedException"),
            message,
            None,
        );
        assert_eq!(denied.level, Level::Fail);
        assert!(
            denied
                .message
                .starts_with("the keys are good, and may not do xray:PutTelemetryRecords (")
        );
        assert!(
            denied
                .remedy
                .unwrap()
                .starts_with("allow xray:PutTelemetryRecords")
        );
        for message in ["", "no", "perform: nothing"] {
            assert_eq!(denied_action(message), None);
        }
    }

    #[test]
    fn each_reason_has_its_own_remedy() {
        for (class, code, remedy) in [
            (ErrorClass::Credentials, Some("ExpiredTokenException"), "renew it"),
            (
                ErrorClass::Credentials,
                Some("UnrecognizedClientException"),
                "see which keys",
            ),
            (
                ErrorClass::Credentials,
                Some("MissingAuthenticationTokenException"),
                "Authorization header",
            ),
            (
                ErrorClass::Credentials,
                Some("OptInRequired"),
                "switch the region on",
            ),
            (ErrorClass::Credentials, None, "if a proxy or firewall wrote this"),
            (ErrorClass::ServerError, None, "AWS's health page"),
            (ErrorClass::NotAnAnswer, None, "a portal is in between"),
            (ErrorClass::Timeout, None, "MTU"),
            (ErrorClass::Connection, None, "what is on the way"),
        ] {
            let verdict = failed(class, code, "no", Some(0));
            assert_eq!(verdict.level, Level::Fail, "{code:?}");
            assert!(verdict.remedy.as_ref().unwrap().contains(remedy), "{verdict:?}");
        }
        let throttled = failed(ErrorClass::Throttled, Some("ThrottledException"), "no", None);
        assert_eq!(throttled.level, Level::Warn);
    }

    #[test]
    fn a_wrong_signature_is_the_clocks_fault_or_the_keys() {
        let invalid = |off_s| {
            failed(
                ErrorClass::Credentials,
                Some("InvalidSignatureException"),
                "no",
                off_s,
            )
        };
        assert_eq!(invalid(Some(-600)).remedy.unwrap(), "set the clock");
        assert!(invalid(Some(-600)).message.contains("-600 s off"));
        for off_s in [None, Some(299)] {
            assert!(
                invalid(off_s)
                    .remedy
                    .unwrap()
                    .starts_with("the secret key is not that"),
                "{off_s:?}"
            );
        }
    }

    #[test]
    fn an_empty_call_that_is_refused_for_being_empty_was_signed_well() {
        assert_eq!(
            failed(ErrorClass::Refused, Some("InvalidRequestException"), "no", None).level,
            Level::Ok
        );
        assert_eq!(verdict(&Ok(Answer::default()), None).level, Level::Ok);
    }

    #[test]
    fn an_export_of_no_spans_is_explained_by_what_xrays_otlp_endpoint_asks_for() {
        let told = |class, status, code: Option<&str>, message: &str| {
            let error = PutError {
                code: code.map(str::to_owned),
                status,
                ..PutError::new(class, message)
            };
            of_spans(&Err(error), Some(0))
        };
        let search = "no Transaction Search";
        let denied = "not authorized to perform: xray:PutSpansForIndexing on";
        for (class, status, code, message, level, meaning, remedy) in [
            (
                ErrorClass::Refused,
                Some(400),
                None,
                "no spans",
                Level::Ok,
                "refused only",
                "",
            ),
            (
                ErrorClass::Other,
                Some(400),
                None,
                search,
                Level::Fail,
                "have no Transaction Search",
                "switch it on",
            ),
            (
                ErrorClass::Credentials,
                Some(403),
                Some("AccessDeniedException"),
                denied,
                Level::Fail,
                "may not do xray:PutSpansForIndexing",
                "allow xray:PutSpans",
            ),
            (
                ErrorClass::Credentials,
                Some(403),
                Some("AccessDeniedException"),
                "no",
                Level::Fail,
                "may not do xray:PutSpans (",
                "does not, or set XRay: segments",
            ),
            (
                ErrorClass::Credentials,
                Some(403),
                Some("NotAuthorized"),
                "no",
                Level::Fail,
                "may not do xray:PutSpans (",
                "allow xray:PutSpans",
            ),
            (
                ErrorClass::Credentials,
                Some(403),
                Some("ExpiredTokenException"),
                "no",
                Level::Fail,
                "session token",
                "renew it",
            ),
            (
                ErrorClass::Refused,
                Some(413),
                None,
                "no",
                Level::Fail,
                "no OTLP endpoint of X-Ray",
                "have one",
            ),
            (
                ErrorClass::NotAnAnswer,
                Some(404),
                None,
                "no",
                Level::Fail,
                "no OTLP endpoint of X-Ray",
                "have one",
            ),
            (
                ErrorClass::Throttled,
                Some(429),
                None,
                "no",
                Level::Warn,
                "quota",
                "higher quota",
            ),
            (
                ErrorClass::Timeout,
                None,
                None,
                "no",
                Level::Fail,
                "no answer in time",
                "MTU",
            ),
        ] {
            let verdict = told(class, status, code, message);
            assert_eq!(
                (verdict.check, verdict.level),
                (OTLP_TO_XRAY, level),
                "{verdict:?}"
            );
            assert!(verdict.message.contains(meaning), "{verdict:?}");
            assert!(verdict.remedy.unwrap_or_default().contains(remedy), "{message}");
        }
        let remarked = of_spans(&Ok(Some("kept for a day".to_owned())), None);
        assert_eq!(remarked.level, Level::Ok);
        assert!(
            remarked.message.ends_with("and says: kept for a day"),
            "{remarked:?}"
        );
        assert_eq!(of_spans(&Ok(None), None).level, Level::Ok);
    }

    #[test]
    fn a_clock_is_odd_from_half_a_minute_and_wrong_from_five_on() {
        for (off_s, level) in [
            (0, Level::Ok),
            (29, Level::Ok),
            (-29, Level::Ok),
            (30, Level::Warn),
            (-299, Level::Warn),
            (300, Level::Fail),
            (-300, Level::Fail),
            (i64::MIN, Level::Fail),
        ] {
            assert_eq!(clock(Some(off_s)).level, level, "{off_s}");
        }
        assert_eq!(clock(None).level, Level::Skip);
        assert!(clock(Some(-40)).message.contains("40 s behind"));
        assert!(clock(Some(40)).message.contains("40 s ahead"));
    }
}
