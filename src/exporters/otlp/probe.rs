//! Questions that change nothing: whether there is a way to the endpoint, and whether it takes a request with nothing in it.

use std::time::Duration;

use bytes::Bytes;

use super::Otlp;
use crate::exporters::error::PutError;
use crate::ledger::signal::Signal;
use crate::net::client::connector::ConnectError;
use crate::pipeline::intake::Form;

impl Otlp {
    /// Makes a connection as calls with traces do, and closes it.
    pub(crate) async fn connect_once(&self) -> Result<(), ConnectError> {
        let way = self.shared.way(Signal::Traces);
        way.client.connect(way.uri.clone()).await
    }

    /// Sends a request of `signal` with nothing in it, in protobuf, which OTLP wants to be taken; gives what the endpoint
    /// remarks on it. Within `limit`, or the endpoint's own if that is shorter.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn put_nothing(&self, signal: Signal, limit: Duration) -> Result<Option<String>, PutError> {
        let way = self.shared.way(signal);
        let limit = limit.min(way.timeout);
        let reply = way.ask(Form::Protobuf, Bytes::new(), limit).await?;
        reply.meaning(signal).map(|taken| taken.remark)
    }
}
