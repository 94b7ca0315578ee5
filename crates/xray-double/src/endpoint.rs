//! What answers behind the double's port: the X-Ray service, and every document that it took, verbatim.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde_json::json;
use xray_service::answer::Answer;
use xray_service::service::{self, Operation, Overseer, Service};
use xray_service::telemetry::TelemetryReport;
use xray_service::traces::Limits;

use crate::store::Store;

/// Which documents are refused, besides those that the service finds at fault: position in the call and text in, code
/// and message out.
pub(crate) type Refuse<'a> = &'a dyn Fn(usize, &str) -> Option<(String, String)>;

/// How much is done with documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Documents {
    /// Each is checked, and kept inside this many bytes, oldest out; as traces besides, inside as many again.
    Keep {
        /// The store's budget.
        budget_bytes: usize,
    },
    /// They are counted, not looked at: for load.
    Count,
}

/// Telemetry reports that are kept; the oldest are forgotten.
const MAX_TELEMETRY: usize = 1_000;

/// Service and store.
#[derive(Debug)]
pub(crate) struct Endpoint {
    documents: Documents,
    pub(crate) service: Service,
    pub(crate) store: Store,
    /// The telemetry reports that were taken, oldest first.
    pub(crate) telemetry: VecDeque<TelemetryReport>,
}

/// Refuses what it is told to, and keeps what was taken.
struct Keeper<'a> {
    refuse: Refuse<'a>,
    store: &'a mut Store,
    telemetry: &'a mut VecDeque<TelemetryReport>,
    now: SystemTime,
}

impl Overseer for Keeper<'_> {
    fn refuse(&mut self, position: usize, document: &str) -> Option<(String, String)> {
        (self.refuse)(position, document)
    }

    fn taken(&mut self, document: String) {
        self.store.push(document, self.now);
    }

    fn reported(&mut self, report: TelemetryReport) {
        if self.telemetry.len() == MAX_TELEMETRY {
            self.telemetry.pop_front();
        }
        self.telemetry.push_back(report);
    }
}

impl Endpoint {
    pub(crate) fn new(documents: Documents) -> Self {
        let (budget_bytes, limits) = match documents {
            Documents::Keep { budget_bytes } => (
                budget_bytes,
                Limits {
                    max_bytes: budget_bytes,
                    ..Limits::default()
                },
            ),
            Documents::Count => (0, Limits::default()),
        };
        Self {
            documents,
            service: Service::new(limits),
            store: Store::new(budget_bytes),
            telemetry: VecDeque::new(),
        }
    }

    /// Answers one request. `path` is below the endpoint's own path, without a query.
    pub(crate) fn handle(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        refuse: Refuse<'_>,
        now: SystemTime,
    ) -> Answer {
        if self.documents == Documents::Count
            && Operation::of(method, path) == Some(Operation::PutTraceSegments)
        {
            return self.count(body);
        }
        let mut keeper = Keeper {
            refuse,
            store: &mut self.store,
            telemetry: &mut self.telemetry,
            now,
        };
        self.service.handle_overseen(method, path, body, &mut keeper, now)
    }

    fn count(&mut self, body: &[u8]) -> Answer {
        match service::count_documents(body) {
            Ok(documents) => {
                self.store.count(documents, body.len());
                Answer {
                    status: 200,
                    error_type: None,
                    body: json!({ "UnprocessedTraceSegments": [] }).to_string(),
                }
            }
            Err(answer) => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &str = r#"{"name":"backend-flask","id":"70de5b6f19ff9a0a","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1.5,"end_time":2.5}"#;

    fn put(endpoint: &mut Endpoint, documents: &[&str]) -> Answer {
        let body = json!({"TraceSegmentDocuments": documents}).to_string();
        endpoint.handle(
            "POST",
            "/TraceSegments",
            body.as_bytes(),
            &|_, _| None,
            SystemTime::UNIX_EPOCH,
        )
    }

    fn stored(endpoint: &Endpoint) -> Vec<&str> {
        endpoint
            .store
            .iter()
            .map(|stored| stored.document.as_str())
            .collect()
    }

    #[test]
    fn accepted_documents_are_stored_verbatim_in_order() {
        let mut endpoint = Endpoint::new(Documents::Keep {
            budget_bytes: 1 << 20,
        });
        let spaced = SEGMENT
            .replace(':', " : ")
            .replace("backend-flask", "é\u{2028}\\u00e9");
        put(&mut endpoint, &[SEGMENT, "x", &spaced, "T1SCgA="]);
        put(&mut endpoint, &[SEGMENT]);
        assert_eq!(stored(&endpoint), [SEGMENT, &spaced, "T1SCgA=", SEGMENT]);
        assert_eq!(endpoint.store.accepted(), 4);
    }

    #[test]
    fn a_counting_endpoint_counts_documents_without_looking() {
        let mut endpoint = Endpoint::new(Documents::Count);
        let answer = put(&mut endpoint, &["x", SEGMENT]);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"UnprocessedTraceSegments":[]}"#)
        );
        assert_eq!(endpoint.store.accepted(), 2);
        assert_eq!(stored(&endpoint), Vec::<&str>::new());
        assert_eq!(put(&mut endpoint, &["x"; 51]).status, 400);
    }
}
