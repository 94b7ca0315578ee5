//! Every path of the `xray` crate that a target uses, so that a move is followed here and nowhere else.

pub(crate) mod body {
    pub(crate) use xray::batch::body::documents;
    pub(crate) use xray::batch::escape::escape;
    pub(crate) use xray::batch::{Batch, MAX_DOCUMENTS, OpenBatch};
}

pub(crate) mod config {
    pub(crate) use xray::cli::{Flags, Invocation, UsageError, parse};
    pub(crate) use xray::config::tcp::{allowed_host, proxy_path};
    pub(crate) use xray::config::url::{endpoint, proxy};
    pub(crate) use xray::config::{Config, ConfigError, Environment, Files, Sourced, load};
}

pub(crate) mod datagram {
    pub(crate) use xray::datagram::document;
    pub(crate) use xray::ledger::RejectReason;
}

pub(crate) mod filter {
    pub(crate) use xray::dev::filter::{Filter, MAX_CHARS};
}

pub(crate) mod http {
    pub(crate) use xray::aws::PutError;
    pub(crate) use xray::budget::Budget;
    pub(crate) use xray::fuzzing::serve_http;
    pub(crate) use xray::health::Health;
    pub(crate) use xray::http::limits::{BODY_TIMEOUT, DISCARD_TIMEOUT, EXCHANGE_TIMEOUT, HEAD_TIMEOUT};
    pub(crate) use xray::http::{App, Guard, Upstream};
    pub(crate) use xray::intake::Intake;
    pub(crate) use xray::ledger::Ledger;
    pub(crate) use xray::summary::Summary;
}

pub(crate) mod otlp {
    pub(crate) use xray::fuzzing::otlp_documents;
}

pub(crate) mod spool {
    pub(crate) use xray::spool::disk::Disk;
    pub(crate) use xray::spool::index::{MAX_DAMAGED, cost_bytes};
    pub(crate) use xray::spool::name::{FileId, FileName, Kind, MAX_BODY_BYTES};
    pub(crate) use xray::spool::store::{Moment, Store, Taken};
}

pub(crate) mod trace {
    pub(crate) use xray::dev::digest::Digest;
    pub(crate) use xray::dev::model::Tree;
}
