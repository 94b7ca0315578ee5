//! The SDK's `PutTraceSegments`, with all that is the same in each call made once.
//!
//! `aws_sdk_xray::Client` makes anew for each call what its settings say: eleven layers of configuration, the lists of
//! seventeen interceptors and of what judges retries, the endpoint by the service's rules for it, the way to sign. Most of
//! a call's instructions were that. So the SDK's orchestrator gets the SDK's operation (what it is, how it is signed) and
//! components that are finished: docs/adr/0018-prepared-call.md has the figures.
//!
//! It is stopped before it would send the request, as the SDK stops it to presign one: the rest of what it does is to copy
//! the request, to watch a connection that the sender watches as well, and to read an answer that
//! [`Raw`](super::answer::Raw) reads too. Left out besides is what a daemon has no use for, since the sender does it or the
//! official daemon sends no such header: retries, time limits, the SDK's own headers, and what counts which features of the
//! SDK are used.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_sdk_xray::config::auth::{DefaultAuthSchemeResolver, ResolveAuthScheme as _};
use aws_sdk_xray::operation::put_trace_segments::PutTraceSegments;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::orchestrator::{
    AuthSchemeAndEndpointOrchestrationV2, StopPoint, invoke_with_stop_point,
};
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::{EndpointFuture, EndpointResolverParams, ResolveEndpoint};
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::interceptors::context::{Input, InterceptorContext};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{
    RuntimePlugin as _, RuntimePlugins, StaticRuntimePlugin,
};
use aws_smithy_runtime_api::client::ser_de::SharedRequestSerializer;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::endpoint::Endpoint;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri};

use super::clock::Clock;
use super::request::{self, Call, GeneralForm, KeysOfCall, NoParameters, PATH, Written};
use super::signer::{SERVICE, Signer};
use crate::aws::credentials::Found;
use crate::exporters::error::PutError;
use crate::net::client::pool::Sending;
use crate::net::client::pooled::{PooledClient, Target};

const NAME: &str = "xray";

/// Calls of `PutTraceSegments` at one endpoint.
#[derive(Debug)]
pub(super) struct Prepared {
    plugins: RuntimePlugins,
    way: Way,
    clock: Arc<Clock>,
}

/// Who signs a call, and how it goes to the endpoint.
#[derive(Debug)]
enum Way {
    /// [`Signer`] makes all headers.
    Straight(Target),
    /// The SDK's signer, and its request.
    OfTheSdk(PooledClient),
}

/// Whole; boxed, since it is large and rare.
type RequestOfSdk = Box<Request<SdkBody>>;

impl Prepared {
    /// Calls at `endpoint`, a base URL without a trailing slash, signed for `region`, by `user_agent`.
    pub(super) fn new(
        endpoint: &str,
        region: &str,
        user_agent: &HeaderValue,
        client: PooledClient,
        connect_timeout: Duration,
    ) -> Self {
        let clock = Arc::<Clock>::default();
        let url = format!("{endpoint}{PATH}").parse::<Uri>().ok();
        let target = url.and_then(|url| client.target(&url, connect_timeout).ok());
        let straight = Signer::new(endpoint, region, user_agent, &clock).zip(target);
        // What the SDK says of the operation. Nobody else has it yet, so that it can be added to.
        let model = PutTraceSegments::new().config().and_then(FrozenLayer::try_modify);
        let mut layer = model.unwrap_or_else(|| Layer::new(NAME));
        layer
            .store_put(AuthSchemeAndEndpointOrchestrationV2)
            .store_put(SigningName::from_static(SERVICE))
            .store_put(SigningRegion::from(Region::new(region.to_owned())))
            .store_put(SharedRequestSerializer::new(Written::new(straight.is_none())));
        let components = RuntimeComponentsBuilder::new(NAME)
            .with_endpoint_resolver(Some(Resolved(
                Endpoint::builder().url(endpoint.to_owned()).build(),
            )))
            .with_auth_scheme_option_resolver(Some(
                DefaultAuthSchemeResolver::default().into_shared_resolver(),
            ))
            .with_identity_resolver(SCHEME_ID, KeysOfCall)
            .with_identity_cache(Some(IdentityCache::no_cache()))
            .with_retry_strategy(Some(NeverRetryStrategy::new()));
        let (way, components) = match straight {
            Some((signer, target)) => (Way::Straight(target), components.with_auth_scheme(signer)),
            None => (
                Way::OfTheSdk(client),
                components
                    .with_auth_scheme(SigV4AuthScheme::new())
                    .with_time_source(Some(ServiceTime(Arc::clone(&clock))))
                    .with_interceptor(SharedInterceptor::permanent(GeneralForm::new(user_agent.clone()))),
            ),
        };
        let plugin = StaticRuntimePlugin::new()
            .with_config(layer.freeze())
            .with_runtime_components(components);
        Self {
            plugins: RuntimePlugins::new().with_client_plugin(plugin),
            way,
            clock,
        }
    }

    /// What answers have shown of the service's clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Begins one call with `body`, a finished one, signed with `keys`. What it returns waits for the head of the answer,
    /// without a time limit but that on connecting.
    ///
    /// # Errors
    /// Why the SDK makes no request of it. None is known that could happen.
    pub(super) fn begin(&self, keys: Found, body: Bytes) -> Result<Sending<'_>, PutError> {
        let (request, call) = self.signed(keys, body)?;
        match (&self.way, request, call.headers) {
            (Way::Straight(target), _, Some(headers)) => Ok(target.post(headers, call.body.into())),
            (Way::OfTheSdk(client), Some(request), _) => Ok(Box::pin(client.send(*request))),
            _ => Err(request::unsignable(&*BoxError::from("it was not signed"))),
        }
    }

    // By itself, since its frame is large, and not needed while the answer is waited for.
    #[inline(never)]
    fn signed(&self, keys: Found, body: Bytes) -> Result<(Option<RequestOfSdk>, Call), PutError> {
        let signed = Call::new(keys, body).during(|| self.make());
        signed.map_err(|error| request::unsignable(error.as_ref()))
    }

    /// Runs the SDK's orchestrator up to where it would send the request of this thread's call, and gives that request if
    /// it is the SDK's.
    fn make(&self) -> Result<Option<RequestOfSdk>, BoxError> {
        let input = Input::erase(NoParameters);
        let stop = StopPoint::BeforeTransmit;
        let made = pin!(invoke_with_stop_point(
            "XRay",
            "PutTraceSegments",
            input,
            &self.plugins,
            stop
        ));
        // Nothing in it waits: keys and endpoint are at hand.
        match made.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(_)) if matches!(self.way, Way::Straight(_)) => Ok(None),
            Poll::Ready(Ok(context)) => whole(context).map(Some),
            Poll::Ready(Err(error)) => Err(error.into()),
            Poll::Pending => Err("the SDK waits for something".into()),
        }
    }
}

/// The SDK's own request.
#[cold]
fn whole(mut context: InterceptorContext) -> Result<RequestOfSdk, BoxError> {
    let request = context.take_request().ok_or("there is a request")?;
    Ok(Box::new(request.try_into_http1x()?))
}

/// The endpoint, to which the service's rules were applied once.
#[derive(Debug)]
struct Resolved(Endpoint);

impl ResolveEndpoint for Resolved {
    fn resolve_endpoint<'a>(&'a self, _params: &'a EndpointResolverParams) -> EndpointFuture<'a> {
        EndpointFuture::ready(Ok(self.0.clone()))
    }
}

/// The time that the SDK's own signer signs with.
#[derive(Debug)]
struct ServiceTime(Arc<Clock>);

impl TimeSource for ServiceTime {
    #[expect(clippy::disallowed_methods, reason = "a signature has a time")]
    fn now(&self) -> SystemTime {
        self.0.corrected(SystemTime::now())
    }
}
