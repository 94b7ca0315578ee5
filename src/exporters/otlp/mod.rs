//! An OTLP endpoint as a destination: any back end or Collector that takes OTLP over HTTP.
//!
//! Requests that came as OTLP go on as they came, in protobuf or JSON. Segments are made into spans in the call, so that the
//! batch, its spool file and its memory are the same as X-Ray's.
//!
//! | module | its one job |
//! |---|---|
//! | `answer` | what an answer means |
//! | `gzip` | bodies, compressed |
//! | `probe` | one connection, one request with nothing in it: for `xray doctor` |
//! | `requests` | bodies taken apart |
//! | `segments` | segment documents as spans |

pub(in crate::exporters) mod answer;
pub(in crate::exporters) mod gzip;
mod probe;
pub(in crate::exporters) mod requests;
mod segments;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout_at;
use xray_document::otlp::to_span::Names;

use self::answer::{Reply, Taken};
use self::segments::AsSpans;
use super::Exporter;
use super::alarm::Alarm;
use super::answer::Answer;
use super::bodies::Bodies;
use super::error::PutError;
use super::transport;
use crate::config::otlp::{Compression, OtlpEndpoint, RequestForm};
use crate::config::{Environment, Warning, XRayConfig};
use crate::ledger::outcome::ErrorClass;
use crate::ledger::signal::Signal;
use crate::logs::{self, LineBudget, Reminder};
use crate::net::client::SettingError;
use crate::net::client::pooled::PooledClient;
use crate::net::client::proxy::{ProxyInForce, ProxyRules, is_loopback};
use crate::net::client::tls::{ClientAuth, Tls, Trust};
use crate::pipeline::batch::encoding::Description;
use crate::pipeline::batch::kind::Kind;
use crate::pipeline::intake::Form;

/// The `User-Agent` of every request, unless a header of the settings is another.
const AGENT: &str = concat!("xray-otlp-exporter/", env!("CARGO_PKG_VERSION"));

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An OTLP endpoint as this run sees it. Cheap to clone; all clones share connections.
#[derive(Debug, Clone)]
pub struct Otlp {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: String,
    /// The way of each signal, in the order of [`Signal::ALL`].
    ways: [Way; Signal::ALL.len()],
    service_name: Option<String>,
    warnings: Vec<Warning>,
    proxy: Option<ProxyInForce>,
    seen: Mutex<Seen>,
}

/// How requests of one signal go out.
#[derive(Debug)]
struct Way {
    uri: Uri,
    headers: HeaderMap,
    /// Where those come from that settings name.
    headers_source: Option<String>,
    compression: Compression,
    timeout: Duration,
    /// Under the limits of all calls.
    alarm: Alarm,
    client: PooledClient,
}

/// What calls have seen, and what was said of it.
#[derive(Debug, Default)]
struct Seen {
    names: Names,
    unconvertible_lines: LineBudget,
    remark: Reminder,
}

impl Otlp {
    /// Resolves everything for `endpoint`. `xray` has what is the same for every destination: the proxy and the time to
    /// connect. Reads the files of certificates; makes no network call.
    ///
    /// # Errors
    /// A setting with which no call could succeed.
    pub async fn connect(
        endpoint: &OtlpEndpoint,
        xray: &XRayConfig,
        environment: &Environment,
    ) -> Result<Self, SettingError> {
        let proxies = ProxyRules::for_xray(xray.proxy_address.as_ref(), environment)?.sparing_loopback();
        let base = &endpoint.base.value;
        proxies.check(base)?;
        let forms = endpoint.forms().map(Clone::clone);
        let environment = environment.clone();
        let reading = tokio::task::spawn_blocking(move || read_files(&forms, &environment));
        // It does not panic; and when the runtime ends there is nobody left to trust.
        let trusted = reading.await.unwrap_or_else(|_| Ok(Vec::new()))?;
        let clients: Vec<PooledClient> = trusted
            .into_iter()
            .map(|(trust, client)| {
                let tls = Tls::with_client(trust, client);
                PooledClient::new(proxies.clone(), tls, xray.connect_timeout)
            })
            .collect();
        let places = client_places(endpoint.forms());
        let mut ways = Vec::new();
        for ((signal, form), place) in Signal::ALL.into_iter().zip(endpoint.forms()).zip(places) {
            let Some(client) = clients.get(place).or(clients.first()) else {
                continue;
            };
            ways.push(Way::new(
                base,
                signal,
                form,
                client.clone(),
                &endpoint.base.source,
            )?);
        }
        let Ok(ways) = <[Way; Signal::ALL.len()]>::try_from(ways) else {
            return Err(unusable(base, &endpoint.base.source));
        };
        Ok(Self {
            shared: Arc::new(Shared {
                warnings: warnings(endpoint),
                proxy: proxies.description(base),
                base: base.clone(),
                ways,
                service_name: endpoint.service_name.as_ref().map(|name| name.value.clone()),
                seen: Mutex::default(),
            }),
        })
    }

    /// Reads what [`Otlp::connect`] would refuse for good, while nothing has been received yet: certificates and keys.
    ///
    /// # Errors
    /// [`SettingError::CertificateFile`] and [`SettingError::CaBundle`].
    pub fn check_files(endpoint: &OtlpEndpoint, environment: &Environment) -> Result<(), SettingError> {
        read_files(&endpoint.forms().map(Clone::clone), environment).map(drop)
    }

    /// The base URL of the endpoint, for the log.
    #[must_use]
    pub fn endpoint_description(&self) -> &str {
        &self.shared.base
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

    async fn put_segments(&self, body: Bytes) -> Result<Answer, PutError> {
        let Some(mut spans) = self.as_spans(&body) else {
            return Err(PutError {
                whole: true,
                ..PutError::new(ErrorClass::Refused, "it is no body of segments")
            });
        };
        let request = std::mem::take(&mut spans.request);
        let answer = if request.is_empty() {
            Answer {
                not_called: true,
                ..Answer::default()
            }
        } else {
            self.send(Signal::Traces, Form::Protobuf, request.into())
                .await?
                .answer()
        };
        let answer = Answer {
            left_out: spans.left_out.clone(),
            ..answer
        };
        // Now, and not before: a call that fails converts again.
        self.say_unconvertible(&spans, &body);
        Ok(answer)
    }

    #[expect(clippy::disallowed_methods, reason = "names are remembered for a while")]
    fn as_spans(&self, body: &[u8]) -> Option<AsSpans> {
        let configured = self.shared.service_name.as_deref();
        segments::as_spans(body, &mut self.seen().names, configured, Instant::now())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "lines are counted by the second")]
    fn say_unconvertible(&self, spans: &AsSpans, body: &[u8]) {
        for (segment, reason) in spans.described(body) {
            let Some(left_out) = self.seen().unconvertible_lines.allow(Instant::now()) else {
                continue;
            };
            tracing::warn!(
                id = Description::field(&segment.id),
                trace_id = Description::field(&segment.trace_id),
                name = Description::field(&segment.name),
                bytes = segment.bytes,
                error = reason,
                left_out,
                "A segment cannot be made into spans, so the OTLP endpoint does not get it: {reason}; {segment}{}",
                logs::more(left_out)
            );
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a remark that is made always is said once a minute"
    )]
    fn say_remark(&self, remark: &str) {
        if self.seen().remark.is_due(Instant::now()) {
            tracing::warn!(remark, "The OTLP endpoint took what was sent, and says: {remark}");
        }
    }

    async fn send(&self, signal: Signal, form: Form, body: Bytes) -> Result<Taken, PutError> {
        let way = self.shared.way(signal);
        let taken = way.call(signal, form, body).await?;
        if let Some(remark) = &taken.remark {
            self.say_remark(remark);
        }
        Ok(taken)
    }
}

impl Exporter for Otlp {
    type Encoding = Bodies;

    async fn put(&self, kind: Kind, body: Bytes) -> Result<Answer, PutError> {
        match kind {
            Kind::Segments => self.put_segments(body).await,
            Kind::Requests(signal, form) => self.send(signal, form, body).await.map(Taken::answer),
        }
    }
}

impl Shared {
    fn way(&self, signal: Signal) -> &Way {
        let [traces, metrics, logs] = &self.ways;
        match signal {
            Signal::Traces => traces,
            Signal::Metrics => metrics,
            Signal::Logs => logs,
        }
    }
}

impl Way {
    fn new(
        base: &str,
        signal: Signal,
        form: &RequestForm,
        client: PooledClient,
        source: &str,
    ) -> Result<Self, SettingError> {
        let uri = format!("{base}/v1/{}", signal.label());
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in form.headers.iter() {
            headers.insert(name, value.clone());
        }
        Ok(Self {
            alarm: Alarm::default(),
            uri: uri.parse().map_err(|_| unusable(base, source))?,
            headers,
            headers_source: form.headers_source.clone(),
            compression: form.compression.value,
            timeout: form.timeout.value,
            client,
        })
    }

    fn request(&self, form: Form, body: Bytes) -> Request<SdkBody> {
        let body = match self.compression {
            Compression::Gzip => gzip::compressed(&body).into(),
            Compression::None => body,
        };
        let content_length = HeaderValue::from(body.len());
        let mut request = Request::new(SdkBody::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        let content_type = match form {
            Form::Protobuf => PROTOBUF,
            Form::Json => JSON,
        };
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CONTENT_LENGTH, content_length);
        if self.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        request
    }

    async fn call(&self, signal: Signal, form: Form, body: Bytes) -> Result<Taken, PutError> {
        let reply = self.ask(form, body, self.timeout).await?;
        reply
            .meaning(signal)
            .map_err(|error| self.explained(error, signal))
    }

    #[expect(clippy::disallowed_methods, reason = "a call has a deadline")]
    async fn ask(&self, form: Form, body: Bytes, limit: Duration) -> Result<Reply, PutError> {
        let deadline = tokio::time::Instant::now() + limit;
        self.alarm.set(deadline);
        let request = self.request(form, body);
        let call = async {
            let response = self.client.send(request).await;
            let response = response.map_err(|error| transport::without_head(&error))?;
            Ok(reply(response, deadline).await)
        };
        timeout_at(deadline, call)
            .await
            .unwrap_or_else(|_| Err(transport::timed_out(limit)))
    }

    /// With what the user can do about it.
    fn explained(&self, mut error: PutError, signal: Signal) -> PutError {
        let remedy = match (error.status, &self.headers_source) {
            (Some(401 | 403), Some(source)) => format!("is the key in {source} right?"),
            (Some(401 | 403), None) => {
                "it wants a key: set OTEL_EXPORTER_OTLP_HEADERS, or Headers in the section OTLP".to_owned()
            }
            _ if error.whole => format!("does {} take {} by OTLP over HTTP?", self.uri, signal.items()),
            _ => return error,
        };
        error.message = format!("{}; {remedy}", error.message);
        error
    }
}

/// The answer, with as much of its body as is read by `deadline`. Its status is what counts: a body that stops in the middle
/// must not make a request that was taken go out again.
pub(super) async fn reply<B>(response: Response<B>, deadline: tokio::time::Instant) -> Reply
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    while read.len() < answer::MAX_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
    }
    read.truncate(answer::MAX_BYTES);
    #[expect(
        clippy::disallowed_methods,
        reason = "Retry-After counts from when the answer came"
    )]
    let came_at = SystemTime::now();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        body: read.freeze(),
        came_at,
    }
}

/// What each distinct pair of trust and identity of the forms is, in order of [`client_places`].
fn read_files(
    forms: &[RequestForm; Signal::ALL.len()],
    environment: &Environment,
) -> Result<Vec<(Trust, Option<ClientAuth>)>, SettingError> {
    let places = client_places(forms.each_ref());
    let mut read = Vec::new();
    for (form, place) in forms.iter().zip(places) {
        if place < read.len() {
            continue;
        }
        let trust = match &form.certificate {
            Some(file) => Trust::from_file(file)?,
            None => Trust::from_environment(environment)?,
        };
        read.push((trust, form.client.as_ref().map(ClientAuth::read).transpose()?));
    }
    Ok(read)
}

/// Which connections each signal uses: signals whose certificates are the same share them.
fn client_places(forms: [&RequestForm; Signal::ALL.len()]) -> [usize; Signal::ALL.len()] {
    let mut distinct: Vec<&RequestForm> = Vec::new();
    forms.map(|form| {
        let is_same =
            |other: &&RequestForm| other.certificate == form.certificate && other.client == form.client;
        distinct.iter().position(is_same).unwrap_or_else(|| {
            distinct.push(form);
            distinct.len() - 1
        })
    })
}

/// Keys that anyone on the way can read.
fn warnings(endpoint: &OtlpEndpoint) -> Vec<Warning> {
    let base = &endpoint.base.value;
    let is_here = base
        .parse::<Uri>()
        .is_ok_and(|uri| uri.host().is_some_and(is_loopback));
    let has_keys = endpoint.forms().iter().any(|form| !form.headers.is_empty());
    if base.starts_with("http://") && has_keys && !is_here {
        let text = format!(
            "{base} is a plain http:// endpoint on another machine: anyone on the way can read the headers that go there with \
             every request, and what is sent. Use https:// if it has that"
        );
        return vec![Warning::at(&endpoint.base.source, text).value(base)];
    }
    Vec::new()
}

fn unusable(base: &str, source: &str) -> SettingError {
    SettingError::Endpoint {
        source: source.to_owned(),
        reason: format!("{base:?} is not a URL"),
    }
}

#[cfg(test)]
mod tests;
