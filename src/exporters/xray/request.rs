//! The form of a `PutTraceSegments` request: what makes it look to X-Ray like a daemon's, with a finished body.
//!
//! The headers on the wire are those of the official daemon: `User-Agent`, `X-Amzn-Xray-Timestamp`, `Content-Type`,
//! `Content-Length`, `Host`, `X-Amz-Date`, `Authorization`, and `X-Amz-Security-Token` with temporary credentials.
//! The SDK's own `amz-sdk-request`, `amz-sdk-invocation-id` and `x-amz-user-agent` are left out.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_runtime::user_agent::{ApiMetadata, AwsUserAgent};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::EndpointResolverParams;
use aws_smithy_runtime_api::client::identity::{IdentityFuture, ResolveIdentity};
use aws_smithy_runtime_api::client::interceptors::context::{BeforeTransmitInterceptorContextMut, Input};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::ser_de::SerializeRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::os_shim_internal::Env;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::aws::credentials::Found;
use crate::config::Environment;
use crate::exporters::error::PutError;
use crate::ledger::outcome::ErrorClass;
use crate::net::client::error::told;

/// The path of the call, below the endpoint's own.
pub(super) const PATH: &str = "/TraceSegments";

/// The `Content-Type` of a body.
pub(super) const JSON: &str = "application/json";

/// When the request is sent, in a form of X-Ray's own.
pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("x-amzn-xray-timestamp");

/// The `User-Agent` of every call: the SDK's own first part, then what the official daemon adds.
pub(super) fn user_agent(environment: &Environment) -> HeaderValue {
    HeaderValue::try_from(user_agent_text(environment))
        .unwrap_or_else(|_| HeaderValue::from_static("xray-agent/xray-daemon"))
}

fn user_agent_text(environment: &Environment) -> String {
    // Without variables, since the SDK would write AWS_EXECUTION_ENV a second time.
    let sdk = AwsUserAgent::new_from_environment(
        Env::from_slice(&[]),
        ApiMetadata::new("xray", aws_sdk_xray::meta::PKG_VERSION),
    )
    .ua_header();
    let execution_environment = environment
        .get("AWS_EXECUTION_ENV")
        .filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or("UNKNOWN");
    format!(
        "{} xray-agent/xray-daemon/{} exec-env/{execution_environment} OS/{}-{}",
        sdk.trim(),
        env!("CARGO_PKG_VERSION"),
        go_os(std::env::consts::OS),
        go_architecture(std::env::consts::ARCH),
    )
}

/// Go's name for an operating system; most are the same.
fn go_os(name: &str) -> &str {
    match name {
        "macos" => "darwin",
        other => other,
    }
}

/// Go's name for a processor architecture.
fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Makes a request of a body that is finished. The rest of it is [`Signer`](super::signer::Signer)'s, or [`GeneralForm`]'s.
#[derive(Debug)]
pub(super) struct Written {
    /// Method and path; cloned, since they would be parsed each time.
    blank: HttpRequest,
    /// Whether the request gets the body. One that is not sent does without, and cannot be copied then, which the SDK would
    /// do for a retry.
    has_body: bool,
}

impl Written {
    pub(super) fn new(has_body: bool) -> Self {
        let mut blank = HttpRequest::empty();
        // They are a method and a path.
        let _ = blank.set_method("POST");
        let _ = blank.set_uri(PATH);
        Self { blank, has_body }
    }
}

impl SerializeRequest for Written {
    fn serialize_input(&self, _input: Input, config: &mut ConfigBag) -> Result<HttpRequest, BoxError> {
        // The SDK looks for them there alone.
        config
            .interceptor_state()
            .store_put(EndpointResolverParams::new(NoParameters));
        let mut request = self.blank.try_clone().ok_or("an empty request is cloned")?;
        *request.body_mut() = if self.has_body {
            SdkBody::from(of_call(|call| call.body.clone())?)
        } else {
            SdkBody::taken()
        };
        Ok(request)
    }
}

/// Neither an endpoint's rules nor the operation get parameters: there is one endpoint, and the body is finished.
#[derive(Debug)]
pub(super) struct NoParameters;

/// The headers of a request that the SDK's own signer signs.
#[derive(Debug)]
pub(super) struct GeneralForm {
    user_agent: HeaderValue,
}

impl GeneralForm {
    pub(super) fn new(user_agent: HeaderValue) -> Self {
        Self { user_agent }
    }
}

#[dyn_dispatch_hint]
impl Intercept for GeneralForm {
    fn name(&self) -> &'static str {
        "GeneralForm"
    }

    #[expect(clippy::disallowed_methods, reason = "a call says when it is sent")]
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Ours, right or wrong. The signature has the service's.
        let now = SystemTime::now();
        let length = context.request().body().content_length();
        let headers = context.request_mut().headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(CONTENT_LENGTH, length.unwrap_or_default().to_string());
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(TIMESTAMP, timestamp(now));
        Ok(())
    }
}

/// `now` in seconds since 1970 with nine decimals.
pub(super) fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut text = since.as_secs().to_string();
    text.push('.');
    let mut digits = [b'0'; 9];
    let mut left = since.subsec_nanos();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    text.extend(digits.map(char::from));
    text
}

/// The keys that the call was given.
#[derive(Debug)]
pub(super) struct KeysOfCall;

impl ResolveIdentity for KeysOfCall {
    fn resolve_identity<'a>(
        &'a self,
        _components: &'a RuntimeComponents,
        _config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::ready(of_call(|call| call.keys.identity.clone()))
    }
}

thread_local! {
    /// The call whose request this thread is making.
    static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// What the SDK is not to look for, and what it is not to copy.
#[derive(Debug)]
pub(super) struct Call {
    keys: Found,
    pub(super) body: Bytes,
    /// What the call was signed with, if it was [`sign`] that signed it.
    pub(super) headers: Option<HeaderMap>,
}

impl Call {
    pub(super) fn new(keys: Found, body: Bytes) -> Self {
        let headers = None;
        Self { keys, body, headers }
    }

    /// Has `make` make something of the request, without waiting. Gives back the call, signed.
    ///
    /// The SDK's components are the same for all calls. Some for each would need a configuration for each besides.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn during<T>(self, make: impl FnOnce() -> Result<T, BoxError>) -> Result<(T, Self), BoxError> {
        CALL.set(Some(self));
        let made = make();
        let call = CALL.take().ok_or(NO_CALL)?;
        Ok((made?, call))
    }
}

/// Signs the call of this thread: `sign` makes all its headers of its keys and its body.
pub(super) fn sign(sign: impl FnOnce(&Found, &[u8]) -> Result<HeaderMap, BoxError>) -> Result<(), BoxError> {
    CALL.with_borrow_mut(|call| {
        let call = call.as_mut().ok_or(NO_CALL)?;
        call.headers = Some(sign(&call.keys, &call.body)?);
        Ok(())
    })
}

/// Something of the call of this thread.
fn of_call<T>(take: impl FnOnce(&Call) -> T) -> Result<T, BoxError> {
    CALL.with_borrow(|call| call.as_ref().map(take))
        .ok_or_else(|| NO_CALL.into())
}

const NO_CALL: &str = "there is no call on this thread";

/// Why a request cannot be made.
pub(super) fn unsignable(error: &(dyn std::error::Error + 'static)) -> PutError {
    PutError::new(
        ErrorClass::Other,
        format!("cannot sign the request: {}", told(error)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_has_the_official_form_after_the_sdks() {
        let agent = |value: Option<&str>| {
            let variables = value.map(|value| ("AWS_EXECUTION_ENV".to_owned(), value.to_owned()));
            user_agent_text(&Environment(variables.into_iter().collect()))
        };
        let unknown = agent(None);
        let (sdk, daemon) = unknown.split_once(" xray-agent/").unwrap();
        assert!(
            sdk.starts_with("aws-sdk-rust/") && !sdk.contains("exec-env"),
            "{sdk}"
        );
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            daemon.starts_with(&format!("xray-daemon/{version} exec-env/UNKNOWN OS/")),
            "{daemon}"
        );
        assert!(agent(Some("AWS_ECS_FARGATE")).contains(" exec-env/AWS_ECS_FARGATE OS/"));
        assert!(agent(Some("a\nb c")).contains(" exec-env/UNKNOWN OS/"));
    }

    #[test]
    fn systems_and_architectures_have_gos_names() {
        assert_eq!(
            (go_os("linux"), go_os("macos"), go_os("windows")),
            ("linux", "darwin", "windows")
        );
        assert_eq!(
            (go_architecture("x86_64"), go_architecture("aarch64")),
            ("amd64", "arm64")
        );
    }

    #[test]
    fn the_timestamp_has_nine_decimals() {
        assert_eq!(
            timestamp(UNIX_EPOCH + Duration::new(1_795_227_595, 34_205_914)),
            "1795227595.034205914"
        );
    }
}
