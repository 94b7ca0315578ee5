//! Every path of the `xray` crates that a target uses, so that a move is followed here and nowhere else.

pub(crate) mod body {
    pub(crate) use xray::exporters::xray::encoding::Segments;
    pub(crate) use xray::exporters::xray::encoding::escape::escape;
    pub(crate) use xray::pipeline::batch::Batch;
    pub(crate) use xray::pipeline::batch::encoding::Encoding;

    pub(crate) type OpenBatch = xray::pipeline::batch::OpenBatch<Segments>;
}

pub(crate) mod config {
    pub(crate) use xray::cli::{Invocation, UsageError, parse};
    pub(crate) use xray::config::tcp::{allowed_host, proxy_path};
    pub(crate) use xray::config::url::{endpoint, proxy};
    pub(crate) use xray::config::{Config, ConfigError, Environment, Files, Flags, Sourced, load};
}

pub(crate) mod datagram {
    pub(crate) use xray::ledger::RejectReason;
    pub(crate) use xray::receivers::udp::datagram::document;
}

pub(crate) mod filter {
    pub(crate) use xray_service::filter::{Filter, FilterError, GroupRef, MAX_CHARS};
}

pub(crate) mod http {
    pub(crate) use xray::api::health::Health;
    pub(crate) use xray::api::limits::{EXCHANGE_TIMEOUT, HEAD_TIMEOUT, INGEST};
    pub(crate) use xray::api::summary::Summary;
    pub(crate) use xray::api::{App, Upstream};
    pub(crate) use xray::exporters::error::PutError;
    pub(crate) use xray::fuzzing::serve_http;
    pub(crate) use xray::ledger::Ledger;
    pub(crate) use xray::net::server::guard::Guard;
    pub(crate) use xray::pipeline::budget::Budget;
    pub(crate) use xray::pipeline::fanout::Fanout;
    pub(crate) use xray::pipeline::lane::Lane;
}

pub(crate) mod otlp {
    pub(crate) use xray_document::otlp::count::count;
    pub(crate) use xray_document::otlp::split::halves;
    pub(crate) use xray_document::otlp::to_segment::{Options, segments_of};
    pub(crate) use xray_document::otlp::to_span::{Context, Converted, spans_of};
    pub(crate) use xray_document::otlp::{Signal, documents, json};
    pub(crate) use xray_document::segment::MAX_DOCUMENT_BYTES;
}

pub(crate) mod spool {
    pub(crate) use xray::pipeline::batch::kind::Kind as Made;
    pub(crate) use xray::pipeline::batch::origin::FileId;
    pub(crate) use xray::pipeline::spool::disk::Disk;
    pub(crate) use xray::pipeline::spool::index::{MAX_DAMAGED, cost_bytes};
    pub(crate) use xray::pipeline::spool::name::{FileName, Kind, MAX_BODY_BYTES};
    pub(crate) use xray::pipeline::spool::store::{Moment, Taken};

    pub(crate) type Store<D> = xray::pipeline::spool::store::Store<D, super::body::Segments>;
}

pub(crate) mod trace {
    pub(crate) use xray_service::digest::Digest;
    pub(crate) use xray_service::model::Tree;
}
