//! Who and where this daemon is at AWS: region, credentials, endpoint.
//!
//! Below it is the AWS SDK for endpoint rules and the credential chain, over the HTTP client of [`crate::net::client`].
//!
//! | module | its one job |
//! |---|---|
//! | [`region`], `metadata` | where this daemon runs, asked before all else |
//! | `endpoint` | the base URL, and which setting gave it |
//! | `credentials` | the SDK's chain and the role, loaded by a task of their own and read again when that may help |
//! | `sdk_view` | what the SDK gets to see of the environment, and the files that it must not open |
//! | `imds_v1` | EC2 metadata where it speaks version 1 only |

pub(crate) mod credentials;
pub(crate) mod endpoint;
mod imds_v1;
mod metadata;
pub mod region;
mod sdk_view;

use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use self::endpoint::Endpoint;
pub use self::metadata::ec2_instance;

use self::imds_v1::WithVersion1;
use crate::config::{DEFAULT_CALL_TIMEOUT, DEFAULT_CONNECT_TIMEOUT, Environment};
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
    /// One run of the credential chain, on no call's time. Default 60 s, as long as a credential process may take.
    pub credentials_timeout: Duration,
    /// How long a search for credentials is waited for where no call sets a limit. Default 10 s, within which the chain
    /// can try a metadata address that swallows packets.
    pub credentials_patience: Duration,
    /// The pause after a run of the chain that gave nothing, in which no other is started. Default 5 s.
    pub credentials_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            attempt_timeout: DEFAULT_CALL_TIMEOUT,
            credentials_timeout: Duration::from_secs(60),
            credentials_patience: Duration::from_secs(10),
            credentials_pause: Duration::from_secs(5),
        }
    }
}

/// An HTTP client for [`region::resolve`], which comes before the first call: without proxies, since metadata
/// addresses answer for the machine that asks. It speaks version 1 of EC2's where there is no other, unless `environment`
/// says not to.
#[must_use]
pub fn metadata_client(environment: &Environment) -> SharedHttpClient {
    let client = PooledClient::new(
        ProxyRules::default(),
        Tls::new(Trust::System(None)),
        Limits::default().connect_timeout,
    );
    SharedHttpClient::new(WithVersion1::new(client, environment))
}
