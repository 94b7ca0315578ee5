//! EC2 metadata of version 1, for where there is no other: old emulators and proxies of the metadata address, and
//! containers that the answer with a token of version 2 does not reach (a hop limit of 1 lets only that one answer expire).
//!
//! The AWS SDK speaks version 2 only: first a token by `PUT`, then the question with it. The SDK of the official daemon goes
//! on without one where the token is refused. So does this client, for everything that is asked through it: it answers the
//! `PUT` itself, with a token that it takes off the questions again. `AWS_EC2_METADATA_V1_DISABLED` switches it off.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Response;
use tokio::time::timeout;

use crate::config::Environment;
use crate::net::client::connector::ConnectError;
use crate::net::client::error::find_cause;

const TOKEN_PATH: &str = "/latest/api/token";

const TOKEN: &str = "x-aws-ec2-metadata-token";

const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// In place of a token.
const NO_TOKEN: &str = "none-imdsv1";

/// How long a token is waited for. The address is on this very machine; the search for the region takes two seconds in all,
/// and the question itself needs some of them.
const TOKEN_TIMEOUT: Duration = Duration::from_millis(1200);

/// An HTTP client that goes on without a token where none is given.
#[derive(Debug, Clone)]
pub(super) struct WithVersion1<C> {
    inner: C,
    is_allowed: bool,
}

impl<C> WithVersion1<C> {
    /// Over `inner`; as `inner` alone, when `environment` says so.
    pub(super) fn new(inner: C, environment: &Environment) -> Self {
        let disabled = environment.get("AWS_EC2_METADATA_V1_DISABLED");
        Self {
            inner,
            is_allowed: !disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }
}

impl<C: HttpClient> HttpClient for WithVersion1<C> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        if self.is_allowed {
            SharedHttpConnector::new(GoingOn { inner })
        } else {
            inner
        }
    }
}

#[derive(Debug)]
struct GoingOn {
    inner: SharedHttpConnector,
}

impl HttpConnector for GoingOn {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        if request.method() == "PUT" && request.uri().ends_with(TOKEN_PATH) {
            let ttl = request.headers().get(TOKEN_TTL).unwrap_or_default().to_owned();
            let asking = self.inner.call(request);
            return HttpConnectorFuture::new(token(asking, ttl));
        }
        if request.headers().get(TOKEN) == Some(NO_TOKEN) {
            request.headers_mut().remove(TOKEN);
        }
        self.inner.call(request)
    }
}

/// The answer with a token, or the one that stands for none, by the rules of the official daemon's SDK: only 400, which is
/// about the question, is an answer.
async fn token(asking: HttpConnectorFuture, ttl: String) -> Result<HttpResponse, ConnectorError> {
    let why = match timeout(TOKEN_TIMEOUT, asking).await {
        Ok(Ok(response)) if response.status().as_u16() == 400 || has_token(&response) => {
            return Ok(response);
        }
        // Nobody is there to be asked anything else.
        Ok(Err(error)) if find_cause::<ConnectError>(&error).is_some() => return Err(error),
        Ok(Ok(response)) => format!("status {}", response.status().as_u16()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {TOKEN_TIMEOUT:?}"),
    };
    tracing::debug!(
        why,
        "EC2 metadata gives no token ({why}); asking it without one, as version 1"
    );
    Response::builder()
        .header(TOKEN_TTL, ttl)
        .body(SdkBody::from(NO_TOKEN))
        .map_err(|error| ConnectorError::other(error.into(), None))
        .and_then(|response| {
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
}

fn has_token(response: &HttpResponse) -> bool {
    let ttl = response.headers().get(TOKEN_TTL);
    response.status().is_success() && ttl.is_some_and(|ttl| ttl.parse::<u64>().is_ok())
}
