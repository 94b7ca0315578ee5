//! What the platform knows about this machine: the metadata of ECS (file and address) and of EC2 (IMDSv2, unless the
//! client that is passed in goes on without a token).
//!
//! Every question here is bounded in time and every answer in size: an address that takes the connection and stays
//! silent is a common fault (a container on a bridge network, a hop limit of 1), and must not hold up the daemon.

use std::error::Error;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use aws_config::imds;
use aws_config::profile::ProfileSet;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Environment;
use crate::config::files::Kind;
use crate::logs::sanitize;

/// The longest answer that is read, in bytes. Real ones have a few thousand.
const ANSWER_MAX_BYTES: u64 = 1024 * 1024;

const METADATA_FILE: Kind = Kind {
    name: "metadata of a task",
    max_mib: 1,
};

/// The longest text from outside that a message quotes, in characters.
const QUOTED_MAX_CHARS: usize = 200;

/// One retry, for the 401 of a token that has just expired and for a 5xx; a second one would not fit the time.
const EC2_MAX_ATTEMPTS: u32 = 2;

/// How long to wait for an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the connection.
    pub(super) connect: Duration,
    /// For everything that is asked of one source, connecting and retries included.
    pub(super) source: Duration,
}

impl Limits {
    /// These addresses are on this very machine: one that has not answered by then will not.
    pub(super) const DEFAULT: Self = Self {
        connect: Duration::from_secs(1),
        source: Duration::from_secs(2),
    };
}

/// The region of the ECS task, from the file that the ECS agent keeps in containers on EC2 when told to.
///
/// # Errors
/// Why there is none, for a person.
pub(super) fn region_of_ecs_file(environment: &Environment) -> Result<String, String> {
    // The exact text, as the agent writes it and the official daemon asks for.
    if environment.get("ECS_ENABLE_CONTAINER_METADATA") != Some("true") {
        return Err("ECS_ENABLE_CONTAINER_METADATA is not \"true\"".to_owned());
    }
    let Some(path) = environment.get("ECS_CONTAINER_METADATA_FILE") else {
        return Err("ECS_CONTAINER_METADATA_FILE is not set".to_owned());
    };
    let bytes = METADATA_FILE
        .read(Path::new(path))
        .map_err(|err| format!("cannot read {}: {err}", sanitize(path, QUOTED_MAX_CHARS)))?;
    region_of_task(&bytes).map_err(|reason| format!("{}: {reason}", sanitize(path, QUOTED_MAX_CHARS)))
}

/// The region of the ECS task, from the task metadata address (version 4: agents since 2020, Fargate since 1.4.0).
///
/// # Errors
/// Why there is none, for a person.
pub(super) async fn region_of_ecs_task(environment: &Environment, limits: Limits) -> Result<String, String> {
    let Some(base) = environment.get("ECS_CONTAINER_METADATA_URI_V4") else {
        return Err("ECS_CONTAINER_METADATA_URI_V4 is not set".to_owned());
    };
    let url = format!("{}/task", base.trim_end_matches('/'));
    let ask = async {
        let request = Request::get(&url)
            .body(Empty::<Bytes>::new())
            .map_err(|err| err.to_string())?;
        let answer = exchange(request, limits).await?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        region_of_task(answer.body())
    };
    within(limits.source, ask)
        .await
        .map_err(|reason| format!("{}: {reason}", sanitize(&url, QUOTED_MAX_CHARS)))
}

/// The region of the EC2 instance.
///
/// # Errors
/// Why there is none, for a person.
pub(super) async fn region_of_ec2(
    environment: &Environment,
    profiles: Option<&ProfileSet>,
    http: &SharedHttpClient,
    limits: Limits,
) -> Result<String, String> {
    let path = "/latest/meta-data/placement/region";
    from_ec2(environment, profiles, http, limits, path).await
}

/// What IMDS has at `path`.
async fn from_ec2(
    environment: &Environment,
    profiles: Option<&ProfileSet>,
    http: &SharedHttpClient,
    limits: Limits,
    path: &str,
) -> Result<String, String> {
    let disabled = environment.get("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err("switched off by AWS_EC2_METADATA_DISABLED".to_owned());
    }
    let endpoint = ec2_endpoint(environment, profiles)?;
    let ask = async {
        let client = imds::Client::builder()
            .configure(&ProviderConfig::without_region().with_http_client(http.clone()))
            .endpoint(&endpoint)
            .map_err(|err| err.to_string())?
            .max_attempts(EC2_MAX_ATTEMPTS)
            .connect_timeout(limits.connect)
            .read_timeout(limits.source)
            .build();
        match client.get(path).await {
            Ok(text) => Ok(text.as_ref().to_owned()),
            Err(imds::client::error::ImdsError::ErrorResponse(answer)) => {
                Err(format!("status {}", answer.response().status().as_u16()))
            }
            Err(err) => Err(sanitize(with_causes(&err), QUOTED_MAX_CHARS)),
        }
    };
    within(limits.source, ask)
        .await
        .map_err(|reason| format!("{}: {reason}", sanitize(&endpoint, QUOTED_MAX_CHARS)))
}

/// The instance id and the host name of the EC2 instance, within two seconds; `Err`: why there is none, for
/// a person. `http` must not use a proxy for it.
pub async fn ec2_instance(
    environment: &Environment,
    http: &SharedHttpClient,
) -> (Result<String, String>, Result<String, String>) {
    let ask = async |path| from_ec2(environment, None, http, Limits::DEFAULT, path).await;
    tokio::join!(
        ask("/latest/meta-data/instance-id"),
        ask("/latest/meta-data/hostname")
    )
}

/// Where IMDS listens: the SDK's order of settings, over variables that are passed in.
pub(super) fn ec2_endpoint(
    environment: &Environment,
    profiles: Option<&ProfileSet>,
) -> Result<String, String> {
    let setting = |variable: &str, key: &str| {
        let of_profile = || profiles.and_then(|profiles| profiles.get(key));
        environment.get(variable).or_else(of_profile).map(str::to_owned)
    };
    if let Some(endpoint) = setting(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "ec2_metadata_service_endpoint",
    ) {
        return Ok(endpoint);
    }
    let mode = setting(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "ec2_metadata_service_endpoint_mode",
    )
    .unwrap_or_else(|| "IPv4".to_owned());
    match mode.to_ascii_lowercase().as_str() {
        "ipv4" => Ok("http://169.254.169.254".to_owned()),
        "ipv6" => Ok("http://[fd00:ec2::254]".to_owned()),
        _ => Err(format!(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is {}, not IPv4 or IPv6",
            sanitize(&mode, QUOTED_MAX_CHARS)
        )),
    }
}

/// The fourth part of the task's ARN: `arn:aws:ecs:us-west-2:123456789012:task/…`.
fn region_of_task(metadata: &[u8]) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Task {
        #[serde(rename = "TaskARN")]
        task_arn: Option<String>,
    }
    let task: Task = serde_json::from_slice(metadata).map_err(|err| {
        format!(
            "not the metadata of a task: {}",
            sanitize(err.to_string(), QUOTED_MAX_CHARS)
        )
    })?;
    let arn = task.task_arn.ok_or("no TaskARN in it")?;
    let mut parts = arn.split(':');
    match (parts.next(), parts.nth(2)) {
        (Some("arn"), Some(region)) if !region.is_empty() => Ok(region.to_owned()),
        _ => Err(format!(
            "no region in TaskARN {}",
            sanitize(&arn, QUOTED_MAX_CHARS)
        )),
    }
}

/// One request on a connection of its own: plain HTTP, no proxy, no redirect.
///
/// Link-local addresses mean this machine, so a proxy would answer for another one. That rules out a client made for
/// endpoints on the net.
pub(super) async fn exchange<B>(request: Request<B>, limits: Limits) -> Result<Response<Bytes>, String>
where
    B: hyper::body::Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut parts, body) = request.into_parts();
    let authority = match (parts.uri.scheme_str(), parts.uri.authority()) {
        (Some("http"), Some(authority)) => authority.clone(),
        _ => return Err("not an http:// URL".to_owned()),
    };
    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let stream = timeout(limits.connect, TcpStream::connect(address))
        .await
        .map_err(|_| format!("no connection within {:?}", limits.connect))?
        .map_err(|err| err.to_string())?;

    let host = header::HeaderValue::from_str(authority.as_str()).map_err(|err| err.to_string())?;
    parts.headers.insert(header::HOST, host);
    parts.uri = match parts.uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|err| with_causes(&err))?;
    let answer = async {
        let answer = sender
            .send_request(Request::from_parts(parts, body))
            .await
            .map_err(|err| with_causes(&err))?;
        let (parts, body) = answer.into_parts();
        let limit = usize::try_from(ANSWER_MAX_BYTES).unwrap_or(usize::MAX);
        let body = Limited::new(body, limit)
            .collect()
            .await
            .map_err(|err| with_causes(&*err))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    // The connection does the reading and writing. When it ends first, the answer is complete or its error is.
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        _ = &mut connection => {}
    }
    answer.await
}

async fn within<T>(limit: Duration, ask: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(limit, ask)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// What `error` and its causes say.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
