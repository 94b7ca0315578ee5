//! Who and where this daemon is at AWS: region, credentials, endpoint.
//!
//! Below it is the AWS SDK for endpoint rules and the credential chain, over the HTTP client of [`crate::net::client`].
//!
//! | module | its one job |
//! |---|---|
//! | [`region`], `metadata` | where this daemon runs, asked before all else |
//! | `endpoint` | the base URL, and which setting gave it |
//! | `credentials` | the SDK's chain and the role, cached and read again when that may help |

pub(crate) mod credentials;
pub(crate) mod endpoint;
mod metadata;
pub mod region;

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use self::endpoint::Endpoint;
pub use self::metadata::ec2_instance;

use crate::config::{DEFAULT_CALL_TIMEOUT, DEFAULT_CONNECT_TIMEOUT};
use crate::net::client::pooled::PooledClient;
use crate::net::client::proxy::ProxyRules;
use crate::net::client::tls::{Tls, Trust};

/// How long things may take. The defaults are for production; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The TCP connection; name resolution, proxy and TLS get as much again. `--connect-timeout`, default
    /// [`DEFAULT_CONNECT_TIMEOUT`]. Metadata endpoints have the SDK's own, shorter ones.
    pub connect_timeout: Duration,
    /// One call from credentials to the end of the answer. `--call-timeout`, default [`DEFAULT_CALL_TIMEOUT`].
    pub attempt_timeout: Duration,
    /// One run of the credential chain. Default 10 s, within which it can try a metadata address that swallows
    /// packets, and still leave a call some time.
    pub credentials_timeout: Duration,
    /// The pause after a run of the chain that gave nothing, in which no other is started. Default 5 s.
    pub credentials_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            attempt_timeout: DEFAULT_CALL_TIMEOUT,
            credentials_timeout: Duration::from_secs(10),
            credentials_pause: Duration::from_secs(5),
        }
    }
}

/// An HTTP client for [`region::resolve`], which comes before the first call: without proxies, since metadata
/// addresses answer for the machine that asks.
#[must_use]
pub fn metadata_client() -> SharedHttpClient {
    SharedHttpClient::new(PooledClient::new(
        ProxyRules::default(),
        Tls::new(Trust::System),
        Limits::default().connect_timeout,
    ))
}
