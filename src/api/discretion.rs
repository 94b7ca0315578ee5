//! What strangers need not know: whoever reaches the port is told what is wrong, and not the accounts and roles in it.

use std::borrow::Cow;

use http::request::Parts;

use crate::net::server::Caller;

/// In place of an ARN.
const LEFT_OUT: &str = "(an ARN: see the daemon's log)";

/// What ends an ARN in a sentence.
const ENDS: [char; 7] = ['"', '\'', ',', ';', ')', ']', '}'];

/// `text` for who sent the request with this `head`: whole for this machine, and for all when the log is at debug.
pub(super) fn told<'t>(text: &'t str, head: &Parts) -> Cow<'t, str> {
    let caller = head.extensions.get::<Caller>();
    if caller.is_some_and(|caller| caller.is_this_machine) || tracing::event_enabled!(tracing::Level::DEBUG) {
        Cow::Borrowed(text)
    } else {
        without_arns(text)
    }
}

fn without_arns(text: &str) -> Cow<'_, str> {
    if !text.contains("arn:") {
        return Cow::Borrowed(text);
    }
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("arn:") {
        left.push_str(&rest[..start]);
        left.push_str(LEFT_OUT);
        let arn = &rest[start..];
        let end = arn.find(|c: char| c.is_whitespace() || ENDS.contains(&c));
        rest = &arn[end.unwrap_or(arn.len())..];
    }
    left.push_str(rest);
    Cow::Owned(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_left_out_wherever_they_stand() {
        for (text, left) in [
            ("no AWS credentials", "no AWS credentials"),
            (
                "the role arn:aws:iam::123456789012:role/xray with the keys: AccessDenied: User: \
                 arn:aws:sts::1:assumed-role/a/b is not authorized on resource: arn:aws:iam::123456789012:role/xray",
                "the role ARN with the keys: AccessDenied: User: ARN is not authorized on resource: ARN",
            ),
            (
                "\"arn:aws-cn:iam::1:role/r\", (arn:a:b) and é",
                "\"ARN\", (ARN) and é",
            ),
        ] {
            assert_eq!(without_arns(text).replace(LEFT_OUT, "ARN"), left);
        }
    }
}
