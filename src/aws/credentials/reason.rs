//! Why the SDK has no credentials, in sentences: what it says of an answer is the answer as its own types print it.

use std::error::Error;

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::error::ErrorMetadata;
use http_body_util::LengthLimitError;

use crate::logs::sanitize_lines;
use crate::net::client::connector::ConnectError;
use crate::net::client::error::{causes, find_cause, told};

/// The longest answer of STS that a message shows, in characters.
const SHOWN_REASON_MAX_CHARS: usize = 400;

/// What the SDK writes before the status of an answer of a container's endpoint.
const OF_CONTAINER: &str = "Non-success status from HTTP credential provider: StatusCode(";

/// How the sentence begins that no source has any, and how it ends.
pub(super) const NONE: &str = "no AWS credentials: ";
pub(super) const SET_UP: &str = "; set one of these up";

/// Why there are none, for who says by himself that there are none, and what to set up.
pub(crate) fn alone(reason: &str) -> &str {
    let reason = reason.strip_prefix(NONE).unwrap_or(reason);
    reason.strip_suffix(SET_UP).unwrap_or(reason)
}

/// What the SDK or AWS said, without the layers of the SDK where they add nothing.
pub(super) fn reason(error: &CredentialsError) -> String {
    if let Some(answer) = find_cause::<ErrorMetadata>(error)
        && let (Some(code), Some(message)) = (answer.code(), answer.message())
    {
        return sanitize_lines(&format!("{code}: {message}"), SHOWN_REASON_MAX_CHARS);
    }
    if let Some(connecting) = find_cause::<ConnectError>(error) {
        return connecting.to_string();
    }
    if let Some(error) = find_cause::<ImdsError>(error) {
        return of_metadata(error);
    }
    // A profile wraps the error of what it uses in one of its own that only says that there is one.
    let innermost = causes(error)
        .filter_map(|error| error.downcast_ref::<CredentialsError>())
        .last()
        .unwrap_or(error);
    let said = told(innermost.source().unwrap_or(innermost));
    of_container(&said).unwrap_or(said)
}

/// Whether nobody answered at the metadata address, the last of the sources: that is no failure of a source, but none.
pub(super) fn is_without_metadata(error: &CredentialsError) -> bool {
    // One that answers without an end is there.
    let has_no_end = find_cause::<LengthLimitError>(error).is_some();
    matches!(find_cause::<ImdsError>(error), Some(ImdsError::IoError(_))) && !has_no_end
}

/// What EC2 metadata did. Nothing of an answer is shown but its status: it may be anybody's page, and it may be a token.
fn of_metadata(error: &ImdsError) -> String {
    match error {
        ImdsError::ErrorResponse(answer) => of_status(answer.response().status().as_u16()),
        // Its words for a 400 call that a fault of the SDK.
        ImdsError::FailedToLoadToken(failed) if !failed.is_dispatch_failure() => {
            "EC2 metadata gave no session token; see what answers at its address, or set AWS_EC2_METADATA_DISABLED=true where \
             there is no EC2"
                .to_owned()
        }
        _ => format!(
            "EC2 metadata did not answer as it should ({}); see what answers at its address, or set \
             AWS_EC2_METADATA_DISABLED=true where there is no EC2",
            cause_of(error)
        ),
    }
}

/// What an error of EC2 metadata wraps, without its own words.
fn cause_of(error: &ImdsError) -> String {
    error.source().map(told).unwrap_or_default()
}

/// An answer of EC2 metadata that is none of those that have credentials.
fn of_status(status: u16) -> String {
    let (meaning, remedy) = match status {
        401 | 403 => (
            "it is switched off for this instance, or refuses this process",
            "switch it on (aws ec2 modify-instance-metadata-options --http-endpoint enabled), or set \
             AWS_EC2_METADATA_DISABLED=true and give keys another way",
        ),
        404 => (
            "it has no keys for this instance's role",
            "see whether the instance profile has a role, and whether that is still there",
        ),
        500.. => ("it fails", "nothing need be done: it is asked again"),
        _ => (
            "that is none of its answers",
            "see what answers at its address, or set AWS_EC2_METADATA_DISABLED=true where there is no EC2",
        ),
    };
    format!("EC2 metadata answered with status {status}: {meaning}; {remedy}")
}

/// What the SDK says of an answer of a container's endpoint, in words.
fn of_container(said: &str) -> Option<String> {
    let (_, rest) = said.split_once(OF_CONTAINER)?;
    let status = rest.split_once(')')?.0;
    Some(format!(
        "the container's endpoint for credentials answered with status {status}; see whether the task or pod has a role, and \
         whether its authorization token is the one that the platform gave"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_ec2_metadata_has_its_remedy() {
        for (status, remedy) in [
            (401, "--http-endpoint enabled"),
            (403, "--http-endpoint enabled"),
            (404, "whether the instance profile has a role"),
            (418, "see what answers at its address"),
            (500, "it is asked again"),
            (503, "it is asked again"),
        ] {
            let said = of_status(status);
            assert!(
                said.starts_with(&format!("EC2 metadata answered with status {status}: ")),
                "{said}"
            );
            assert!(said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn an_answer_of_a_containers_endpoint_is_told_by_its_status() {
        let error = CredentialsError::provider_error(format!("{OF_CONTAINER}403)"));
        let said = reason(&error);
        assert!(
            said.starts_with(
                "the container's endpoint for credentials answered with status 403; see whether"
            ),
            "{said}"
        );
        let other = CredentialsError::provider_error("no such thing");
        assert_eq!(reason(&other), "no such thing");
    }
}
