//! Either destination as one type, so that the sender is in the program once.

use bytes::Bytes;

use super::Exporter;
use super::answer::Answer;
use super::bodies::Bodies;
use super::error::PutError;
use super::otlp::Otlp;
use super::xray::XRay;
use crate::pipeline::batch::kind::Kind;

/// Where a lane of the daemon sends.
#[derive(Debug, Clone)]
pub enum Either {
    /// X-Ray.
    XRay(XRay),
    /// An OTLP endpoint.
    Otlp(Otlp),
}

impl Exporter for Either {
    type Encoding = Bodies;

    async fn put(&self, kind: Kind, body: Bytes) -> Result<Answer, PutError> {
        match self {
            Self::XRay(xray) => xray.put(kind, body).await,
            // Boxed: in place, it would make each call to X-Ray as large as its own.
            Self::Otlp(otlp) => Box::pin(otlp.put(kind, body)).await,
        }
    }
}
