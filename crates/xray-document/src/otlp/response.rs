//! What a server says of an export request that it has taken, in protobuf: the response of each signal has the same numbers
//! (`trace_service.proto`, `metrics_service.proto`, `logs_service.proto`).

use prost::Message;

/// `ExportTraceServiceResponse`, and those of the other signals.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Response {
    /// What was not taken; `None` when all was.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`, and those of the other signals.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PartialSuccess {
    /// How many items were not taken; 0 with a message is a warning.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why, in words.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
