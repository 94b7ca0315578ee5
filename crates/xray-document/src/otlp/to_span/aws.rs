//! `aws` of a subsegment, and `sql`.

use serde_json::{Map, Value};

use super::http::Parts;
use super::rest::{copy_text, leftovers, move_text, take_object};
use crate::otlp::attributes::{Attributes, of_text, texts};
use crate::otlp::message::any_value;

/// Of a call to a service of AWS: which one, and what of it. Returns the operation, of which the span has its name.
pub(super) fn service(
    entity: &mut Map<String, Value>,
    name: &str,
    attributes: &mut Attributes,
) -> Option<String> {
    for key in ["rpc.system", "rpc.system.name"] {
        attributes.insert(key.to_owned(), of_text("aws-api"));
    }
    attributes.insert("rpc.service".to_owned(), of_text(name));
    let aws = entity.get_mut("aws")?.as_object_mut()?;
    move_text(aws, "operation", attributes, "rpc.method");
    match attributes.get("rpc.method") {
        Some(any_value::Value::Text(operation)) => Some(operation.clone()),
        _ => None,
    }
}

/// Takes `aws`; every field that is not in the conventions has a key of its own.
pub(super) fn take(entity: &mut Map<String, Value>, attributes: &mut Attributes) {
    let Some(mut aws) = take_object(entity, "aws") else {
        return;
    };
    copy_text(&aws, "region", attributes, "cloud.region");
    for (field, key) in [
        ("region", "aws.region"),
        ("request_id", "aws.request_id"),
        ("id_2", "aws.extended_request_id"),
        ("account_id", "aws.account_id"),
        ("queue_url", "aws.sqs.queue.url"),
    ] {
        move_text(&mut aws, field, attributes, key);
    }
    if let Some(tables) = tables(&aws) {
        attributes.insert("aws.dynamodb.table_names".to_owned(), texts(tables));
        // A list stays as well: only so is it told from a single table.
        if !aws.contains_key("table_names") {
            aws.remove("table_name");
        }
    }
    if let Some(retries) = aws.get("retries").and_then(Value::as_i64) {
        attributes.insert("aws.xray.retries".to_owned(), any_value::Value::Int(retries));
        aws.remove("retries");
    }
    leftovers(&["aws"], aws, attributes);
}

/// The tables of a call: of the list, or else the only one.
fn tables(aws: &Map<String, Value>) -> Option<Vec<String>> {
    let tables: Option<Vec<String>> = match aws.get("table_names") {
        Some(Value::Array(tables)) => tables
            .iter()
            .map(|table| table.as_str().map(str::to_owned))
            .collect(),
        _ => aws
            .get("table_name")
            .and_then(Value::as_str)
            .map(|table| vec![table.to_owned()]),
    };
    tables.filter(|tables| !tables.is_empty())
}

/// Takes `sql`. What stands in it is passed on as X-Ray would get it, connection strings too.
pub(super) fn sql(entity: &mut Map<String, Value>, attributes: &mut Attributes) {
    let Some(mut sql) = take_object(entity, "sql") else {
        return;
    };
    move_text(&mut sql, "sanitized_query", attributes, "db.query.text");
    if let Some(system) = sql.get("database_type").and_then(Value::as_str) {
        attributes.insert("db.system.name".to_owned(), of_text(system_name(system)));
    }
    let url = ["url", "connection_string"]
        .iter()
        .find_map(|field| sql.get(*field)?.as_str());
    if let Some(parts) = url.and_then(|url| Parts::of(url.strip_prefix("jdbc:").unwrap_or(url))) {
        attributes.insert("server.address".to_owned(), of_text(parts.host));
        if let Some(port) = parts.port {
            attributes.insert("server.port".to_owned(), any_value::Value::Int(port.into()));
        }
        let database = parts.path.trim_start_matches('/').split(['/', ';']).next();
        if let Some(database) = database.filter(|database| !database.is_empty()) {
            attributes.insert("db.namespace".to_owned(), of_text(database));
        }
    }
    leftovers(&["sql"], sql, attributes);
}

/// The name of a database in the conventions.
fn system_name(database: &str) -> String {
    let name = database.to_ascii_lowercase();
    let known = match name.as_str() {
        "postgres" | "postgresql" => "postgresql",
        "microsoft sql server" | "mssql" | "sqlserver" | "sql server" => "microsoft.sql_server",
        "oracle" => "oracle.db",
        "dynamodb" => "aws.dynamodb",
        "redshift" => "aws.redshift",
        "db2" => "ibm.db2",
        "h2" => "h2database",
        other => other,
    };
    known.replace(' ', "_")
}
