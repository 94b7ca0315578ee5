//! Region, credentials, endpoint, TLS, proxies; the `PutTraceSegments` call.

mod metadata;
pub mod region;
