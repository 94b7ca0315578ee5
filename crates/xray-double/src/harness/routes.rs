//! The routes that both example apps have, and the segment that each must give.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::apps::App;
use super::web::{self, Answer};

/// The segment of the caller, in the trace header of each request.
pub const PARENT_ID: &str = "53995c3f42cd8ad8";

/// A route of the apps.
pub struct Route {
    /// As in the request line.
    pub path: &'static str,
    /// What the app answers.
    pub status: u16,
    /// Annotations and subsegments, as [`shape`] gives them.
    shape: Value,
    /// The message of the exception.
    exception: Option<&'static str>,
}

/// Every route, and one path that is none.
pub fn routes() -> [Route; 4] {
    [
        Route {
            path: "/api/activities/home",
            status: 200,
            shape: json!({"subsegments": [{
                "name": "home_activities",
                "annotations": {"activity_count": 2},
                "metadata": {"home": {"handles": ["Andrew Brown", "Worf"]}},
            }]}),
            exception: None,
        },
        Route {
            path: "/api/activities/notifications",
            status: 200,
            shape: json!({"annotations": {"page": "notifications"}, "subsegments": [{
                "name": "notifications_activities",
                "subsegments": [
                    {
                        "name": "load",
                        "annotations": {"unread": 2},
                        "metadata": {"notifications": {"handles": ["coco", "Zoë", "Worf"]}},
                    },
                    {"name": "render"},
                ],
            }]}),
            exception: None,
        },
        Route {
            path: "/api/activities/broken",
            status: 500,
            shape: json!({}),
            exception: Some("the activities could not be loaded"),
        },
        Route {
            path: "/api/activities/nothing",
            status: 404,
            shape: json!({}),
            exception: None,
        },
    ]
}

impl Route {
    /// The service calls 5xx a fault.
    pub fn is_fault(&self) -> bool {
        self.status >= 500
    }

    /// The service calls 4xx an error.
    pub fn is_error(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// Asks for this route as a service that traces: the SDK in the app takes its trace id and its decision to sample.
    pub fn get(&self, app: SocketAddr, trace_id: &str) -> Answer {
        let header = format!("Root={trace_id};Parent={PARENT_ID};Sampled=1");
        let answer = web::get(app, self.path, Some(&header));
        assert_eq!(answer.status, self.status, "of {}: {}", self.path, answer.body);
        answer
    }

    /// Asserts that `document` is the segment of a request for this route.
    pub fn check(&self, app: &App, trace_id: &str, document: &Value) {
        let path = self.path;
        assert_eq!(document["name"], app.name, "name, {path}");
        assert_eq!(document["trace_id"], trace_id, "trace_id, {path}");
        assert_eq!(document["parent_id"], PARENT_ID, "parent_id, {path}");
        let request = &document["http"]["request"];
        assert_eq!(request["method"], "GET", "http.request.method, {path}");
        assert_eq!(
            request["url"],
            format!("http://{}{path}", app.address),
            "http.request.url"
        );
        assert_eq!(
            request["user_agent"], "xray-tests",
            "http.request.user_agent, {path}"
        );
        assert_eq!(
            document["http"]["response"]["status"], self.status,
            "http.response.status, {path}"
        );
        assert_eq!(document["fault"] == true, self.is_fault(), "fault, {path}");
        assert_eq!(document["error"] == true, self.is_error(), "error, {path}");
        assert_eq!(shape(document), self.shape, "annotations and subsegments, {path}");
        let exception = document["cause"]["exceptions"][0]["message"].as_str();
        assert_eq!(exception, self.exception, "cause.exceptions[0].message, {path}");
        let (start, end) = (document["start_time"].as_f64(), document["end_time"].as_f64());
        assert!(start.is_some() && start <= end, "{start:?} to {end:?}, {path}");
    }
}

/// What the app itself put into a segment: annotations, and name, annotations and metadata of the subsegments. Fields
/// that are not there are left out.
fn shape(entity: &Value) -> Value {
    let mut fields = Map::new();
    for field in ["annotations", "metadata"] {
        if let Some(value) = entity.get(field) {
            fields.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(subsegments) = entity.get("subsegments").and_then(Value::as_array) {
        let subsegments = subsegments.iter().map(|subsegment| {
            let mut inner = shape(subsegment);
            inner["name"] = subsegment["name"].clone();
            inner
        });
        fields.insert("subsegments".to_owned(), subsegments.collect());
    }
    Value::Object(fields)
}

/// The trace id of the `number`th request of a test, as of now.
pub fn trace_id(number: usize) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is past 1970");
    format!("1-{:08x}-{number:024x}", now.as_secs())
}
