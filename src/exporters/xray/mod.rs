//! X-Ray as a destination: the `PutTraceSegments` call and other signed ones, and what their answers mean.
//!
//! [`XRay`] resolves endpoint, credentials, TLS and proxies once. The AWS SDK makes a call and signs it; the HTTP client
//! of [`crate::net::client`] sends it.
//!
//! | module | its one job |
//! |---|---|
//! | `prepared` | the SDK's call, with all that is the same in each made once |
//! | `request` | the request's headers as the official daemon's, and the finished body |
//! | `signer` | its signature, and `clock` what is wrong with ours |
//! | `answer` | what an answer or a failure means, as an [`ErrorClass`] |
//! | `forward` | other calls on X-Ray: a new, signed request around a finished body |
//! | `probe` | one connection, one question, one empty call: for `xray doctor` |
//! | `spans` | spans as they are, to X-Ray's OTLP endpoint |
//! | [`encoding`] | how segment documents stand in a body |
//! | [`telemetry`] | what the daemon tells X-Ray about itself |

mod answer;
mod clock;
pub mod encoding;
mod forward;
mod prepared;
mod probe;
mod request;
mod signer;
mod spans;
pub mod telemetry;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use self::answer::Raw;
use self::prepared::Prepared;
use crate::aws::credentials::{CachedCredentials, CredentialsSource};
use crate::aws::{Endpoint, Limits, endpoint};
use crate::config::{Environment, Warning, XRayConfig};
use crate::exporters::Exporter;
use crate::exporters::alarm::Alarm;
use crate::exporters::answer::Answer;
use crate::exporters::bodies::Bodies;
use crate::exporters::error::PutError;
use crate::exporters::transport;
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Signal;
use crate::logs::Reminder;
use crate::net::client::SettingError;
use crate::net::client::pooled::PooledClient;
use crate::net::client::proxy::{ProxyInForce, ProxyRules};
use crate::net::client::tls::{Tls, Trust};
use crate::pipeline::batch::kind::Kind;

/// X-Ray as this run sees it. Cheap to clone; all clones share connections and credentials.
#[derive(Debug, Clone)]
pub struct XRay {
    shared: Arc<Connected>,
}

#[derive(Debug)]
struct Connected {
    segments: Prepared,
    endpoint: Endpoint,
    credentials: CachedCredentials,
    warnings: Vec<Warning>,
    proxy: Option<ProxyInForce>,
    attempt_timeout: Duration,
    /// Under the limits of all calls.
    alarm: Alarm,
    client: PooledClient,
    region: String,
    user_agent: HeaderValue,
    remarks: Mutex<Remarks>,
}

/// What was said of calls with spans.
#[derive(Debug, Default)]
struct Remarks {
    of_service: Reminder,
    long_resources: Reminder,
}

impl Connected {
    fn remarks(&self) -> MutexGuard<'_, Remarks> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl XRay {
    /// Resolves everything for `region`, with the time-outs of `config` and the default [`Limits`] for the rest.
    ///
    /// Reads the AWS profile files and `AWS_CA_BUNDLE`; makes no network call. Credentials are looked for by the
    /// first call that needs them.
    ///
    /// # Errors
    /// A setting with which no call could succeed.
    pub async fn connect(
        config: &XRayConfig,
        environment: &Environment,
        region: &str,
    ) -> Result<Self, SettingError> {
        let limits = Limits {
            connect_timeout: config.connect_timeout,
            attempt_timeout: config.call_timeout,
            ..Limits::default()
        };
        Self::connect_within(config, environment, region, limits).await
    }

    /// Reads what [`XRay::connect`] would refuse for good, while nothing has been received yet: `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    /// [`SettingError::CaBundle`].
    pub fn check_files(environment: &Environment) -> Result<(), SettingError> {
        Trust::from_environment(environment).map(drop)
    }

    /// As [`XRay::connect`], with other limits.
    ///
    /// # Errors
    /// A setting with which no call could succeed.
    pub async fn connect_within(
        config: &XRayConfig,
        environment: &Environment,
        region: &str,
        limits: Limits,
    ) -> Result<Self, SettingError> {
        let proxies = ProxyRules::for_xray(config.proxy_address.as_ref(), environment)?;
        let trust = trust(environment).await?;
        let xray_trust = if config.no_verify_ssl {
            Trust::Anything
        } else {
            trust.clone()
        };
        let source = CredentialsSource {
            environment: environment.clone(),
            region: Region::new(region.to_owned()),
            role_arn: config.role_arn.as_ref().map(|role| role.value.clone()),
            // Web identity tokens and SSO sessions go to STS and SSO: NoVerifySSL is not for them.
            client: PooledClient::new(
                proxies.sparing_loopback(),
                Tls::new(trust),
                limits.connect_timeout,
            ),
            limits: limits.clone(),
        };
        let loader = source.loader().await;
        let credentials = CachedCredentials::new(source);
        let provider = SharedCredentialsProvider::new(credentials.clone());
        let sdk_config = Box::pin(loader.credentials_provider(provider).load()).await;

        let (endpoint, mut warnings) =
            endpoint::resolve(config.endpoint.as_ref(), environment, &sdk_config, region).await?;
        proxies.check(endpoint.url())?;
        if endpoint.is_in_clear() {
            let text = format!(
                "{} is a plain http:// endpoint on another machine: anyone on the way can read the segments and the \
                 session tokens of credentials. Use https:// if it has that",
                endpoint.url()
            );
            warnings.push(Warning::at(endpoint.source(), text).value(endpoint.url()));
        }
        let proxy = proxies.description(endpoint.url());

        let client = PooledClient::new(proxies, Tls::new(xray_trust), limits.connect_timeout);
        let user_agent = request::user_agent(environment);
        let connect_timeout = limits.connect_timeout;
        let segments = Prepared::new(
            endpoint.url(),
            region,
            &user_agent,
            client.clone(),
            connect_timeout,
        );
        Ok(Self {
            shared: Arc::new(Connected {
                segments,
                endpoint,
                credentials,
                warnings,
                proxy,
                attempt_timeout: limits.attempt_timeout,
                alarm: Alarm::default(),
                client,
                region: region.to_owned(),
                user_agent,
                remarks: Mutex::default(),
            }),
        })
    }

    /// The base URL that X-Ray is called at, for the log.
    #[must_use]
    pub fn endpoint_description(&self) -> String {
        self.resolved_endpoint().url().to_owned()
    }

    /// The base URL that X-Ray is called at, and which setting gave it.
    #[must_use]
    pub fn resolved_endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// What the user should know about the settings, to be logged at Warn.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.shared.warnings
    }

    /// The proxy on the way there, if any, and which setting named it; without a password.
    #[must_use]
    pub fn proxy_description(&self) -> Option<&ProxyInForce> {
        self.shared.proxy.as_ref()
    }

    /// Sends `body`, a finished `{"TraceSegmentDocuments":[...]}`, once.
    ///
    /// The body is not copied. Dropping the future ends the call.
    ///
    /// # Errors
    /// Why the service did not take it, and by its class what to do about that.
    #[expect(clippy::disallowed_methods, reason = "a call has a deadline")]
    pub async fn put_trace_segments(&self, body: Bytes) -> Result<Answer, PutError> {
        let limit = self.shared.attempt_timeout;
        let deadline = Instant::now() + limit;
        self.shared.alarm.set(deadline);
        // Waited for here and not by the SDK, which would say of a search that takes long that X-Ray did not answer.
        let keys = self.credentials_before(deadline, limit).await?;
        let segments = &self.shared.segments;
        let sending = segments.begin(keys, body)?;
        let answer = async {
            let head = sending.await.map_err(|error| transport::without_head(&error))?;
            transport::whole(head).await.map(Raw::of)
        };
        let result = match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => {
                answer.tell(segments.clock());
                answer.meaning()
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(transport::timed_out(limit)),
        };
        if let Err(error) = &result
            && answer::says_bad_key(error)
        {
            self.shared.credentials.replace();
        }
        result
    }

    /// Where the credentials come from, in words and without secrets; loads them if need be, which is waited for some
    /// seconds ([`Limits::credentials_patience`]).
    ///
    /// # Errors
    /// Why there are none, and what to do, in one line.
    pub async fn credentials_description(&self) -> Result<String, String> {
        match self.shared.credentials.get_patiently().await {
            Ok(found) => Ok(found.description.to_string()),
            Err(failure) => Err(failure.0),
        }
    }

    /// Waits until somebody's search has found credentials, and says where they come from.
    pub async fn credentials_arrival(&self) -> String {
        self.shared.credentials.arrival().await.description.to_string()
    }
}

/// Whom to trust; read on a thread that may wait for disks.
async fn trust(environment: &Environment) -> Result<Trust, SettingError> {
    let environment = environment.clone();
    let reading = tokio::task::spawn_blocking(move || Trust::from_environment(&environment));
    // It does not panic; and when the runtime ends there is nobody left to trust.
    reading.await.unwrap_or(Ok(Trust::System(None)))
}

impl Exporter for XRay {
    type Encoding = Bodies;

    async fn put(&self, kind: Kind, body: Bytes) -> Result<Answer, PutError> {
        match kind {
            Kind::Segments => self.put_trace_segments(body).await,
            // Boxed, as is what is rare elsewhere on the way of a call: each is as large as the largest of its branches.
            Kind::Requests(Signal::Traces, form) => Box::pin(self.put_spans(form, body)).await,
            Kind::Requests(signal, _) => Err(PutError {
                whole: true,
                ..PutError::new(ErrorClass::Refused, format!("X-Ray takes no {}", signal.label()))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
