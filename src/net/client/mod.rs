//! Connections to what answers elsewhere: HTTP/1.1 in pools, for X-Ray, OTLP and the AWS SDK, through proxies, over TLS.
//!
//! | module | its one job |
//! |---|---|
//! | `pooled` | the client that the SDK and requests of our own share |
//! | `pool` | which connection a request goes out on, and how long one is kept |
//! | `http1` | requests on one connection, by hyper |
//! | `body` | the body of a request, as small as it can be |
//! | `connector`, `proxy`, `tls` | how a connection is made |
//! | `error` | settings that can't work, and texts of foreign errors |

pub(crate) mod body;
pub(crate) mod connector;
pub(crate) mod error;
mod http1;
pub(crate) mod pool;
pub(crate) mod pooled;
pub(crate) mod proxy;
pub(crate) mod tls;

pub use error::SettingError;
