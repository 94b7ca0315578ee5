//! What the body of a batch is made of.

use std::fmt;

use crate::ledger::signal::{Content, Signal};
use crate::pipeline::intake::Form;

/// The kind of a body: with its bytes, all that a destination needs to know to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Kind {
    /// Segment documents, as the lane's [`Encoding`](super::encoding::Encoding) writes them.
    #[default]
    Segments,
    /// OTLP export requests of this signal: in protobuf any number, one behind the other, which is one request; in JSON
    /// exactly one.
    Requests(Signal, Form),
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Segments,
        Self::Requests(Signal::Traces, Form::Protobuf),
        Self::Requests(Signal::Traces, Form::Json),
        Self::Requests(Signal::Metrics, Form::Protobuf),
        Self::Requests(Signal::Metrics, Form::Json),
        Self::Requests(Signal::Logs, Form::Protobuf),
        Self::Requests(Signal::Logs, Form::Json),
    ];

    /// What is counted of it.
    #[must_use]
    pub const fn content(self) -> Content {
        match self {
            Self::Segments => Content::Segments,
            Self::Requests(signal, _) => Content::of(signal),
        }
    }

    /// Whether two bodies of this kind that hold requests are one when they stand one behind the other.
    #[must_use]
    pub const fn concatenates(self) -> bool {
        matches!(self, Self::Requests(_, Form::Protobuf))
    }

    /// How the name of a spool file of this kind ends.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Segments => ".json",
            Self::Requests(Signal::Traces, Form::Protobuf) => ".traces",
            Self::Requests(Signal::Metrics, Form::Protobuf) => ".metrics",
            Self::Requests(Signal::Logs, Form::Protobuf) => ".logs",
            Self::Requests(Signal::Traces, Form::Json) => ".traces.json",
            Self::Requests(Signal::Metrics, Form::Json) => ".metrics.json",
            Self::Requests(Signal::Logs, Form::Json) => ".logs.json",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.content().label())
    }
}
