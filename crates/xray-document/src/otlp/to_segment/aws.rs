//! `aws` of a call, and `sql`.

use serde_json::{Map, Value};

use super::names;
use crate::otlp::attributes::{add, text, whole};

/// `aws` of a call, whoever the provider is said to be.
pub(super) fn of_call(attributes: &Map<String, Value>, is_from_segment: bool) -> Map<String, Value> {
    let mut aws = Map::new();
    if is_from_segment {
        add(&mut aws, "operation", text(attributes, &["rpc.method"]));
    } else if names::is_aws(attributes) {
        // Newer conventions have the service before it.
        let operation = text(attributes, &["rpc.method", "aws.operation"]);
        add(
            &mut aws,
            "operation",
            operation.map(|operation| operation.rsplit('/').next()),
        );
    } else {
        add(&mut aws, "operation", text(attributes, &["aws.operation"]));
    }
    let region: &[&str] = if names::is_aws(attributes) {
        &["aws.region", "cloud.region"]
    } else {
        &["aws.region"]
    };
    for (field, keys) in [
        ("region", region),
        ("request_id", &["aws.request_id", "aws.requestId"]),
        ("id_2", &["aws.extended_request_id"]),
        ("account_id", &["aws.account_id"]),
        (
            "queue_url",
            &["aws.sqs.queue.url", "aws.queue_url", "aws.queue.url"],
        ),
    ] {
        add(&mut aws, field, text(attributes, keys));
    }
    match attributes
        .get("aws.dynamodb.table_names")
        .and_then(Value::as_array)
    {
        Some(tables) if tables.len() == 1 => add(&mut aws, "table_name", tables[0].as_str()),
        Some(tables) => {
            aws.insert("table_names".to_owned(), Value::Array(tables.clone()));
        }
        None => add(
            &mut aws,
            "table_name",
            text(attributes, &["aws.table_name", "aws.table.name"]),
        ),
    }
    add(&mut aws, "retries", whole(attributes, &["aws.xray.retries"]));
    aws
}

/// `sql`; empty when there is nothing of it.
pub(super) fn sql(attributes: &Map<String, Value>, is_from_segment: bool) -> Map<String, Value> {
    let mut sql = Map::new();
    add(
        &mut sql,
        "sanitized_query",
        text(attributes, &["db.query.text", "db.statement"]),
    );
    let system = text(attributes, &["db.system.name", "db.system"]);
    // DynamoDB is a service of AWS in X-Ray's map, and no database with queries.
    let is_sql = system.is_some_and(|system| !system.contains("dynamodb")) || !sql.is_empty();
    if is_sql && !is_from_segment {
        add(&mut sql, "database_type", system);
        // Of older conventions; the stable ones have neither.
        add(&mut sql, "user", text(attributes, &["db.user"]));
        let connection = text(attributes, &["db.connection_string"]);
        add(&mut sql, "connection_string", connection);
    }
    sql
}
