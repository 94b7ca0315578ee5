//! The keys of attributes that both conversions know, each once.

/// Keys of spans that become fields of segments. An annotation of such a key is kept under another one
/// ([`ANNOTATION`]), or it would come back as that field.
const KNOWN: [&str; 63] = [
    "aws.account_id",
    "aws.dynamodb.table_names",
    "aws.extended_request_id",
    "aws.local.service",
    "aws.operation",
    "aws.queue.url",
    "aws.queue_url",
    "aws.region",
    "aws.remote.service",
    "aws.requestId",
    "aws.request_id",
    "aws.service",
    "aws.sqs.queue.url",
    "aws.table.name",
    "aws.table_name",
    "client.address",
    "cloud.account.id",
    "cloud.region",
    "db.connection_string",
    "db.name",
    "db.namespace",
    "db.query.text",
    "db.statement",
    "db.system",
    "db.system.name",
    "db.user",
    "enduser.id",
    "http.client_ip",
    "http.host",
    "http.method",
    "http.request.method",
    "http.response.body.size",
    "http.response.status_code",
    "http.response_content_length",
    "http.scheme",
    "http.status_code",
    "http.target",
    "http.url",
    "http.user_agent",
    "messaging.destination",
    "messaging.destination.name",
    "messaging.url",
    "net.host.name",
    "net.host.port",
    "net.peer.ip",
    "net.peer.name",
    "net.peer.port",
    "net.sock.peer.addr",
    "network.peer.address",
    "peer.service",
    "rpc.method",
    "rpc.service",
    "rpc.system",
    "rpc.system.name",
    "server.address",
    "server.port",
    "service.peer.name",
    "url.full",
    "url.path",
    "url.query",
    "url.scheme",
    "user.id",
    "user_agent.original",
];

/// What begins every key that only X-Ray has a meaning for.
pub(super) const XRAY: &str = "aws.xray.";

/// Names the attributes that are annotations: a list of keys, as the exporter of the Collector reads it.
pub(super) const ANNOTATIONS: &str = "aws.xray.annotations";

/// Begins the key of an annotation whose own key means something else.
pub(super) const ANNOTATION: &str = "aws.xray.annotation.";

/// Begins the key of an attribute that its SDK wants as an annotation.
pub(super) const ANNOTATION_OF_SDK: &str = "annotation.";

/// Begins the key of a namespace of the metadata; the value is JSON text.
pub(super) const METADATA: &str = "aws.xray.metadata.";

/// Fields whose own keys would mean something else, as one object in JSON text.
pub(super) const MORE: &str = "aws.xray.more";

/// Begins the keys of an event that is an exception with fields of X-Ray.
pub(super) const EXCEPTION: &str = "aws.xray.exception.";

/// The attribute of the scope of spans that were made of a segment document.
pub(super) const FROM_SEGMENT: &str = "aws.xray.segment";

/// Objects of a segment whose fields have keys of their own below [`XRAY`], inner ones first.
pub(super) const NESTED: [&[&str]; 12] = [
    &["aws", "ec2"],
    &["aws", "ecs"],
    &["aws", "eks"],
    &["aws", "elastic_beanstalk"],
    &["aws", "xray"],
    &["http", "request"],
    &["http", "response"],
    &["aws"],
    &["cause"],
    &["http"],
    &["service"],
    &["sql"],
];

/// Names below [`XRAY`] that are no fields of a segment by that name.
const NO_FIELDS: [&str; 8] = [
    "annotation",
    "annotations",
    "exception",
    "metadata",
    "more",
    "retries",
    "sampling_rule",
    "x_forwarded_for",
];

/// Whether an attribute means something to the conversions.
pub(super) fn is_known(key: &str) -> bool {
    key.starts_with(XRAY) || key.starts_with(ANNOTATION_OF_SDK) || KNOWN.binary_search(&key).is_ok()
}

/// Whether a field of a segment can be an attribute of its own name below [`XRAY`].
pub(super) fn is_plain_field(name: &str) -> bool {
    !name.is_empty() && !name.contains('.') && !NO_FIELDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_in_their_order_and_so_found() {
        assert!(KNOWN.is_sorted());
        assert!(KNOWN.iter().all(|key| is_known(key)));
        assert!(is_known("aws.xray.origin") && is_known("annotation.x"));
        assert!(!is_known("order.id"));
    }
}
