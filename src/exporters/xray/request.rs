//! The form of a `PutTraceSegments` request: what makes it look to X-Ray like a daemon's, with a finished body.
//!
//! The headers on the wire are those of the official daemon: `User-Agent`, `X-Amzn-Xray-Timestamp`, `Content-Type`,
//! `Content-Length`, `Host`, `X-Amz-Date`, `Authorization`, and `X-Amz-Security-Token` with temporary credentials.
//! The SDK's own `amz-sdk-request`, `amz-sdk-invocation-id` and `x-amz-user-agent` are left out.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::{ApiMetadata, AwsUserAgent, UserAgentInterceptor};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
    BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, disable_interceptor, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::os_shim_internal::Env;
use bytes::Bytes;
use http::HeaderValue;
use tokio::task_local;

use super::answer::Raw;
use crate::config::Environment;

const TIMESTAMP_HEADER: &str = "x-amzn-xray-timestamp";

/// The `User-Agent` of every call: the SDK's own first part, then what the official daemon adds.
pub(super) fn user_agent(environment: &Environment) -> String {
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

/// The headers of all calls; one for the client.
#[derive(Debug)]
pub(super) struct RequestForm {
    user_agent: HeaderValue,
}

impl RequestForm {
    pub(super) fn new(environment: &Environment) -> Self {
        Self {
            user_agent: HeaderValue::try_from(user_agent(environment))
                .unwrap_or_else(|_| HeaderValue::from_static("xray-agent/xray-daemon")),
        }
    }

    pub(super) fn user_agent(&self) -> HeaderValue {
        self.user_agent.clone()
    }
}

#[dyn_dispatch_hint]
impl Intercept for RequestForm {
    fn name(&self) -> &'static str {
        "RequestForm"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const CAUSE: &str = "the official daemon sends no such header";
        let state = config.interceptor_state();
        state.store_put(disable_interceptor::<UserAgentInterceptor>(CAUSE));
        state.store_put(disable_interceptor::<RequestInfoInterceptor>(CAUSE));
        state.store_put(disable_interceptor::<InvocationIdInterceptor>(CAUSE));
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the time of the request, where the SDK gives none"
    )]
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let now = components
            .time_source()
            .map_or_else(SystemTime::now, |clock| clock.now());
        let headers = context.request_mut().headers_mut();
        headers.insert(http::header::USER_AGENT, self.user_agent.clone());
        headers.insert(TIMESTAMP_HEADER, timestamp(now));
        Ok(())
    }
}

/// `now` in seconds since 1970 with nine decimals.
fn timestamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

task_local! {
    /// The call that this task is making.
    static CALL: RefCell<Exchange>;
}

/// What the SDK is not to make, and what it is not to read: the finished body of one call, and the answer as it came.
#[derive(Default)]
struct Exchange {
    body: Bytes,
    answer: Option<Raw>,
}

/// Makes `call`, a call of a client that has [`FinishedBody`], with `body`. Returns what the SDK makes of it, and the
/// answer if one has come whole.
pub(super) async fn with_body<T>(body: Bytes, call: impl Future<Output = T>) -> (T, Option<Raw>) {
    let exchange = Exchange { body, answer: None };
    CALL.scope(RefCell::new(exchange), async {
        let result = call.await;
        let answer = CALL.with(|exchange| exchange.borrow_mut().answer.take());
        (result, answer)
    })
    .await
}

/// Puts the finished body into a call in place of the SDK's, and takes the answer.
///
/// One for the client. An interceptor for each call would need a configuration for each call besides, which the SDK
/// merges with the client's anew.
#[derive(Debug)]
pub(super) struct FinishedBody;

#[dyn_dispatch_hint]
impl Intercept for FinishedBody {
    fn name(&self) -> &'static str {
        "FinishedBody"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Taken, not shared: with the end of the request the buffer is free again.
        let body = CALL.try_with(|exchange| std::mem::take(&mut exchange.borrow_mut().body))?;
        let request = context.request_mut();
        request
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = Raw::of(context.response());
        CALL.try_with(|exchange| exchange.borrow_mut().answer = answer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_has_the_official_form_after_the_sdks() {
        let agent = |value: Option<&str>| {
            let variables = value.map(|value| ("AWS_EXECUTION_ENV".to_owned(), value.to_owned()));
            user_agent(&Environment(variables.into_iter().collect()))
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
