//! The SDK's `PutTraceSegments`, with all that is the same in each call made once.
//!
//! `aws_sdk_xray::Client` makes anew for each call what its settings say: eleven layers of configuration, the lists of
//! seventeen interceptors and of what judges retries, the endpoint by the service's rules for it, the way to sign. Most of
//! a call's instructions were that. So the SDK's orchestrator gets the SDK's operation (what it is, how it is signed, how
//! an answer is read) and components that are finished: docs/adr/0018-prepared-call.md has the figures.
//!
//! Left out is what a daemon has no use for, since the sender does it or the official daemon sends no such header: retries,
//! time limits, the SDK's own headers, and what counts which features of the SDK are used.

use std::sync::Arc;
use std::time::Duration;

use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::service_clock_skew::ServiceClockSkewInterceptor;
use aws_sdk_xray::config::auth::{DefaultAuthSchemeResolver, ResolveAuthScheme as _};
use aws_sdk_xray::operation::put_trace_segments::PutTraceSegments;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::{AuthSchemeAndEndpointOrchestrationV2, invoke};
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::endpoint::{EndpointFuture, EndpointResolverParams, ResolveEndpoint};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Input};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_runtime_api::client::runtime_plugin::{
    RuntimePlugin as _, RuntimePlugins, StaticRuntimePlugin,
};
use aws_smithy_runtime_api::client::ser_de::SharedRequestSerializer;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use bytes::Bytes;
use http::Uri;

use super::request::{self, AsItIs, FinishedBody, GeneralForm, KeysOfCall, PATH, RequestForm};
use super::signer::{SERVICE, Signer};
use crate::net::client::pooled::{PooledClient, Target, for_the_sdk};

const NAME: &str = "xray";

/// Calls of `PutTraceSegments` at one endpoint.
#[derive(Debug)]
pub(super) struct Prepared {
    plugins: RuntimePlugins,
}

impl Prepared {
    /// Calls at `endpoint`, a base URL without a trailing slash, signed for `region`, in the form that `form` gives them.
    pub(super) fn new(
        endpoint: &str,
        region: &str,
        client: PooledClient,
        connect_timeout: Duration,
        form: RequestForm,
    ) -> Self {
        // What the SDK says of the operation. Nobody else has it yet, so that it can be added to.
        let model = PutTraceSegments::new().config().and_then(FrozenLayer::try_modify);
        let mut layer = model.unwrap_or_else(|| Layer::new(NAME));
        layer
            .store_put(AuthSchemeAndEndpointOrchestrationV2)
            .store_put(SigningName::from_static(SERVICE))
            .store_put(SigningRegion::from(Region::new(region.to_owned())))
            .store_put(RetryConfig::disabled())
            .store_put(SharedRequestSerializer::new(AsItIs::new()))
            .store_put(TimeoutConfig::builder().connect_timeout(connect_timeout).build());
        let components = RuntimeComponentsBuilder::new(NAME)
            .with_endpoint_resolver(Some(Resolved(
                Endpoint::builder().url(endpoint.to_owned()).build(),
            )))
            .with_auth_scheme_option_resolver(Some(
                DefaultAuthSchemeResolver::default().into_shared_resolver(),
            ))
            .with_identity_resolver(SCHEME_ID, KeysOfCall)
            .with_identity_cache(Some(IdentityCache::no_cache()))
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_time_source(Some(SystemTimeSource::new()))
            .with_sleep_impl(Some(TokioSleep::new()));
        let url = format!("{endpoint}{PATH}").parse::<Uri>().ok();
        let target = url.and_then(|url| client.target(&url, connect_timeout).ok());
        let components = match (Signer::new(endpoint, region, &form), target) {
            (Some(signer), Some(target)) => components
                .with_auth_scheme(signer)
                .with_http_client(Some(Way::new(target))),
            _ => components
                .with_auth_scheme(SigV4AuthScheme::new())
                .with_http_client(Some(client))
                .with_interceptor(SharedInterceptor::permanent(GeneralForm::new(&form)))
                // What the SDK's signer corrects a wrong clock by.
                .with_interceptor(SharedInterceptor::permanent(ServiceClockSkewInterceptor::new())),
        };
        let components = components.with_interceptor(SharedInterceptor::permanent(form));
        let plugin = StaticRuntimePlugin::new()
            .with_config(layer.freeze())
            .with_runtime_components(components);
        Self {
            plugins: RuntimePlugins::new().with_client_plugin(plugin),
        }
    }

    /// One call with `body`, a finished one, of the task that [`with_keys`](super::request::with_keys) gives its keys.
    pub(super) async fn call(&self, body: Bytes) -> Result<(), Box<SdkError<Error, HttpResponse>>> {
        let input = Input::erase(FinishedBody(body));
        let called = invoke("XRay", "PutTraceSegments", input, &self.plugins).await;
        // An error is large, and what returns one is as large without it.
        called.map(drop).map_err(Box::new)
    }
}

/// The endpoint, to which the service's rules were applied once.
#[derive(Debug)]
struct Resolved(Endpoint);

impl ResolveEndpoint for Resolved {
    fn resolve_endpoint<'a>(&'a self, _params: &'a EndpointResolverParams) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(self.0.clone()))
    }
}

/// Sends calls to the one place with the headers that the signer made: neither goes through the SDK's request, in which a
/// URL is put together of parts for each call, and headers are copied three times.
#[derive(Debug)]
struct Way {
    connector: SharedHttpConnector,
}

impl Way {
    fn new(target: Target) -> Self {
        Self {
            connector: SharedHttpConnector::new(ToEndpoint(Arc::new(target))),
        }
    }
}

impl HttpClient for Way {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.clone()
    }
}

#[derive(Debug)]
struct ToEndpoint(Arc<Target>);

impl HttpConnector for ToEndpoint {
    fn call(&self, mut signed: HttpRequest) -> HttpConnectorFuture {
        let Some(headers) = request::headers() else {
            return HttpConnectorFuture::ready(Err(ConnectorError::user("a call is signed".into())));
        };
        let target = Arc::clone(&self.0);
        HttpConnectorFuture::new(
            async move { for_the_sdk(target.post(headers, signed.take_body().into()).await) },
        )
    }
}
