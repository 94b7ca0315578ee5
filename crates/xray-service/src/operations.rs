//! What services are asked for, over any number of traces: each service's operations with counts and latencies.
//!
//! An operation of a service that answers HTTP is its method and path, with what looks like an id of something in the path
//! written as `{id}`; of AWS's services what the SDK called (`PutItem`); of a database the first word of the statement.
//! Without any of these, all that a service does is one operation without a name.

use std::collections::HashMap;

use super::digest::{Digest, Part, ServiceKey};
use super::graph::Statistics;

/// The most operations in one answer, the busiest first: more than that nobody reads, and a path that has a name in it that
/// does not look like an id makes one of each name.
const MAX_OPERATIONS: usize = 500;

/// A part of a path of so many characters with digits in it is an id.
const LONG: usize = 16;

/// Which operation of which service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperationKey {
    /// As the service map has it.
    pub service: ServiceKey,
    /// Empty where nothing tells them apart.
    pub operation: String,
}

impl OperationKey {
    /// What the work of a service in a trace was; `None` for clients, who do nothing that is known.
    #[must_use]
    pub fn of(part: &Part) -> Option<Self> {
        (part.service.kind != "client").then(|| Self {
            service: part.service.clone(),
            operation: operation(part),
        })
    }

    /// Whether a service in the trace did this.
    #[must_use]
    pub fn is_in(&self, digest: &Digest) -> bool {
        let same_service = |part: &&Part| part.service == self.service;
        digest
            .parts
            .iter()
            .filter(same_service)
            .any(|part| operation(part) == self.operation)
    }
}

/// All operations, and how many were left out of them.
#[derive(Debug, Default)]
pub struct Operations {
    all: HashMap<OperationKey, Statistics>,
}

impl Operations {
    /// Adds a trace.
    pub fn add(&mut self, digest: &Digest) {
        for part in &digest.parts {
            if let Some(key) = OperationKey::of(part) {
                let statistics = self.all.entry(key).or_default();
                statistics.add(part.start, part.end, part.in_progress, part.marks);
            }
        }
    }

    /// The busiest, and how many more there are.
    #[must_use]
    pub fn busiest(self) -> (Vec<(OperationKey, Statistics)>, usize) {
        let mut all: Vec<_> = self.all.into_iter().collect();
        all.sort_by(|(a, some), (b, others)| {
            let by_count = others.count().cmp(&some.count());
            by_count.then_with(|| (&a.service, &a.operation).cmp(&(&b.service, &b.operation)))
        });
        let more = all.len().saturating_sub(MAX_OPERATIONS);
        all.truncate(MAX_OPERATIONS);
        (all, more)
    }
}

fn operation(part: &Part) -> String {
    let path = part.http.url.as_deref().map(path);
    match (&part.operation, &part.http.method, path) {
        (Some(operation), _, _) => operation.to_string(),
        (None, Some(method), Some(path)) => format!("{method} {}", without_ids(path)),
        (None, None, Some(path)) => without_ids(path),
        (None, Some(method), None) => method.clone(),
        (None, None, None) => String::new(),
    }
}

/// The path of a URL, also of one without scheme and host.
fn path(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    url.split_once("://")
        .map_or(url, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]))
}

fn without_ids(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Numbers, UUIDs and hashes.
fn is_id(part: &str) -> bool {
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    let hex = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let number = part.bytes().all(|byte| byte.is_ascii_digit());
    has_digit && (number || (hex && part.len() >= 8) || part.len() >= LONG)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Tree;

    fn digest(documents: &[Value]) -> Digest {
        let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
        Digest::of("t", &Tree::build(texts.iter().map(String::as_str)))
    }

    fn names(digests: &[Digest]) -> Vec<(String, String, u64)> {
        let mut operations = Operations::default();
        digests.iter().for_each(|digest| operations.add(digest));
        let (busiest, more) = operations.busiest();
        assert_eq!(more, 0);
        let name = |(key, statistics): &(OperationKey, Statistics)| {
            (
                key.service.name.clone(),
                key.operation.clone(),
                statistics.count(),
            )
        };
        busiest.iter().map(name).collect()
    }

    #[test]
    fn operations_are_of_services_and_what_they_call() {
        let request = |id: u32| {
            digest(&[json!({
                "id": "01", "name": "shop", "start_time": 1, "end_time": 2,
                "http": {"request": {"method": "GET", "url": format!("https://shop.test/items/{id}?page=1")}},
                "subsegments": [
                    {"id": "02", "name": "DynamoDB", "namespace": "aws", "start_time": 1, "end_time": 2,
                     "aws": {"operation": "GetItem", "table_name": "items"}},
                    {"id": "03", "name": "db@host", "namespace": "remote", "start_time": 1, "end_time": 2,
                     "sql": {"database_type": "PostgreSQL", "sanitized_query": "select * from items"}},
                    {"id": "04", "name": "prices", "namespace": "remote", "start_time": 1, "end_time": 2,
                     "http": {"request": {"method": "POST", "url": "http://prices"}}},
                    {"id": "05", "name": "render", "start_time": 1, "end_time": 2}
                ]
            })])
        };
        let all = [request(17), request(18)];
        let expected = [
            ("db@host", "SELECT"),
            ("items", "GetItem"),
            ("prices", "POST /"),
            ("shop", "GET /items/{id}"),
        ];
        assert_eq!(
            names(&all),
            expected.map(|(service, operation)| (service.to_owned(), operation.to_owned(), 2))
        );
        let shop = OperationKey::of(&all[0].parts[0]).unwrap();
        assert!(shop.is_in(&all[1]));
        let other = OperationKey {
            operation: "GET /items".to_owned(),
            ..shop
        };
        assert!(!other.is_in(&all[1]));
    }

    #[test]
    fn what_looks_like_an_id_is_none_of_the_operations_name() {
        for (url, expected) in [
            ("https://a.test", "/"),
            ("https://a.test/users/42/orders/7", "/users/{id}/orders/{id}"),
            ("/v2/9f1c0a7e-7d0b-4c55-9f5e-0a1b2c3d4e5f", "/v2/{id}"),
            ("/files/deadbeef00", "/files/{id}"),
            ("/facade/added", "/facade/added"),
            ("/s3/report-2026-11-26T10.csv", "/s3/{id}"),
            ("not a url", "not a url"),
            ("http://a.test?x=/1/2", "/"),
            ("", ""),
        ] {
            assert_eq!(without_ids(path(url)), expected, "{url}");
        }
    }

    #[test]
    fn the_busiest_are_shown_and_the_rest_is_counted() {
        let mut operations = Operations::default();
        for n in 0..=MAX_OPERATIONS {
            let name = format!("{}-x", "a".repeat(n + 1));
            operations.add(&digest(&[
                json!({"id": "01", "name": name, "start_time": 1, "end_time": 2}),
            ]));
        }
        let (busiest, more) = operations.busiest();
        assert_eq!((busiest.len(), more), (MAX_OPERATIONS, 1));
    }
}
