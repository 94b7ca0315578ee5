//! Which request gets which answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use xray_service::console::{self, News, Query, Selection, Wrong};
use xray_service::service::{Operation, View};
use xray_service::work::Work;

use super::limits::SMALL_CALLS;
use super::{Sender, Site, key};
use crate::dev::{DAEMON_KEY_ID, page};
use crate::ledger::http::Route;
use crate::net::server::answer::{self, Answer, Body};
use crate::net::server::body;
use crate::net::server::connection::RequestBody;
use crate::net::server::guard::Refusal;

/// Brings back what was cleared.
const UNDO: &str = "/-/traces/undo";

/// Takes a file with traces.
const FILES: &str = "/-/traces";

/// How long changes gather before the page hears of them: faster than anyone reads, and few enough to draw.
const GATHER: Duration = Duration::from_millis(100);

/// Pieces of events that may wait for a browser that reads slowly; then it is the store that is asked less often.
const PIECES: usize = 4;

pub(super) async fn answer(shared: &Arc<Site>, request: Request<RequestBody>) -> Answer {
    let (head, body) = request.into_parts();
    let route = route(&head);
    let answer = match checked(shared, route, &head) {
        Err(refusal) => {
            shared.refused.say_refused(&head, refusal);
            body::discard(&head, body).await;
            error(StatusCode::FORBIDDEN, "Forbidden", &refusal.to_string())
        }
        Ok(()) => answer_to(shared, route, &head, body).await,
    };
    let counters = &shared.metrics.ledger().http;
    counters.add_request(route, answer.status().as_u16());
    answer
}

/// Whether a request with this head is let in.
fn checked(shared: &Site, route: Route, head: &Parts) -> Result<(), Refusal> {
    match shared.guard.check(head) {
        Err(Refusal::CrossSite) if is_link_to_page(head) => {}
        checked => checked?,
    }
    if route == Route::Page {
        shared.guard.check_page(head)
    } else {
        Ok(())
    }
}

/// What a request is for, as the metrics have it.
fn route(head: &Parts) -> Route {
    let path = head.uri.path();
    match head.method {
        Method::POST if path == UNDO || path == FILES => Route::Page,
        Method::POST => match path {
            "/GetSamplingRules" => Route::GetSamplingRules,
            "/SamplingTargets" => Route::SamplingTargets,
            "/SamplingStatisticSummaries" => Route::SamplingStatisticSummaries,
            "/TraceSegments" => Route::TraceSegments,
            _ if Operation::of("POST", path).is_some() => Route::Api,
            _ => Route::Unknown,
        },
        Method::GET | Method::HEAD => match path {
            "/healthz" => Route::Healthz,
            "/readyz" => Route::Readyz,
            "/metrics" => Route::Metrics,
            _ if path == "/" || path.starts_with("/-/") || page::asset(path).is_some() => Route::Page,
            _ => Route::Unknown,
        },
        Method::DELETE if path == "/-/traces" => Route::Page,
        _ => Route::Unknown,
    }
}

async fn answer_to(shared: &Arc<Site>, route: Route, head: &Parts, body: RequestBody) -> Answer {
    let path = head.uri.path();
    match route {
        Route::Healthz => json(StatusCode::OK, &json!({"status": "ok"})),
        Route::Readyz => json(StatusCode::OK, &json!({"status": "ready"})),
        Route::Metrics => shared.metrics.answer(),
        Route::Page if path == "/" => page_answer(page::HTML, shared.index.clone()),
        Route::Page if path.starts_with("/-/") && !has_key(shared, head) => error(
            StatusCode::FORBIDDEN,
            "PageKey",
            "This is for the page of xray dev, which has a key. Open / in a browser, or ask the X-Ray API.",
        ),
        Route::Page if head.method == Method::DELETE => {
            shared.clear();
            done()
        }
        Route::Page if head.method == Method::POST && path == FILES => opened(shared, head, body).await,
        Route::Page if head.method == Method::POST => {
            body::discard(head, body).await;
            if shared.bring_back() {
                done()
            } else {
                let message =
                    "What was cleared is gone: it is kept for ten seconds, and while its room is not needed.";
                json(StatusCode::NOT_FOUND, &json!({"message": message}))
            }
        }
        Route::Page => match page::asset(path) {
            Some(asset) => page_answer(asset.content_type, asset.body()),
            None => asked(shared, head).await,
        },
        Route::Unknown | Route::ProxyAllow | Route::Otlp(_) => {
            body::discard(head, body).await;
            unknown(path)
        }
        Route::GetSamplingRules
        | Route::SamplingTargets
        | Route::SamplingStatisticSummaries
        | Route::TraceSegments
        | Route::Api => called(shared, head, body).await,
    }
}

/// A file that was dropped on the page.
async fn opened(shared: &Arc<Site>, head: &Parts, body: RequestBody) -> Answer {
    let busy = || answer::try_again("Busy", "Another file is being read.");
    let body = match shared.files.read(head, body, busy).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    // Held until it is answered.
    let Some(found) = shared.open(body.bytes()).await else {
        return failed();
    };
    let status = if found.documents > 0 {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    let message = match (found.documents, found.examples.first()) {
        (0, Some(example)) => format!("No trace is in this file: {example}"),
        (0, None) => "The file is empty".to_owned(),
        _ => String::new(),
    };
    json(
        status,
        &json!({
            "documents": found.documents, "traces": found.traces, "wrong": found.wrong, "examples": found.examples,
            "message": message
        }),
    )
}

fn done() -> Answer {
    let mut answer = Response::new(Body::from(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Somebody follows a link to the page: the browser shows it in a window of its own.
fn is_link_to_page(head: &Parts) -> bool {
    let is = |name: &'static str, value: &str| {
        let name = HeaderName::from_static(name);
        head.headers
            .get(name)
            .is_some_and(|own| own.as_bytes() == value.as_bytes())
    };
    head.method == Method::GET
        && head.uri.path() == "/"
        && is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
}

/// A call of the API.
async fn called(shared: &Arc<Site>, head: &Parts, body: RequestBody) -> Answer {
    let path = head.uri.path();
    let small = |bytes| bytes <= SMALL_CALLS.max_bytes as u64;
    let bodies = if body.size_hint().upper().is_some_and(small) {
        &shared.small_calls
    } else {
        &shared.calls
    };
    let busy = || answer::try_again("Busy", "Too many large calls are being received.");
    match bodies.read(head, body, busy).await {
        // Held until it is answered.
        Ok(body) => api(shared, path, body.bytes(), sender(head)).await,
        Err(refusal) => refusal,
    }
}

/// The daemon in this process signs with a key that nobody else has a reason to use. What depends on it is only who logs.
fn sender(head: &Parts) -> Sender {
    let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let signed = format!("Credential={DAEMON_KEY_ID}/");
    let is_daemon = authorization.is_some_and(|text| String::from_utf8_lossy(text).contains(&signed));
    if is_daemon { Sender::Daemon } else { Sender::Client }
}

async fn api(shared: &Arc<Site>, path: &str, body: Bytes, sender: Sender) -> Answer {
    let Some(operation) = Operation::of("POST", path) else {
        return unknown(path);
    };
    let answer = if operation.reads_traces() {
        let now = SystemTime::now();
        let read = move |view: &View, work: &Work| view.read(operation, &body, now, work);
        shared.ask(read).await
    } else if operation == Operation::PutTraceSegments || body.len() > SMALL_CALLS.max_bytes {
        shared.take(operation, body, sender).await
    } else {
        Some(shared.handle(path, &body))
    };
    let Some(xray_service::answer::Answer {
        status,
        error_type,
        body,
    }) = answer
    else {
        return failed();
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = own(answer::json_text(status, body));
    match error_type {
        Some(error_type) => with_error_type(answer, error_type),
        None => answer,
    }
}

/// What the page asks.
async fn asked(shared: &Arc<Site>, head: &Parts) -> Answer {
    let query = console::query(head.uri.query().unwrap_or_default());
    let path = head.uri.path();
    let answer = match path {
        "/-/stats" => Ok(console::stats(&shared.service(), &shared.about).to_string()),
        "/-/events" => match events(shared, &query) {
            Ok(answer) => return answer,
            Err(wrong) => Err(wrong),
        },
        _ => {
            let asked = path.to_owned();
            let now = SystemTime::now();
            let logs = console::trace_of(path).map(|id| shared.service().logs().of(&id));
            let logs = logs.unwrap_or_default();
            let question =
                move |view: &View, work: &Work| console::answer(&asked, &query, view, &logs, now, work);
            match shared.ask(question).await {
                None => return failed(),
                Some(None) => return unknown(path),
                Some(Some(answer)) => answer,
            }
        }
    };
    match answer {
        Ok(text) => own(answer::json_text(StatusCode::OK, text)),
        Err(Wrong::Missing) => json(StatusCode::NOT_FOUND, &json!({"message": "not in the store"})),
        Err(Wrong::Request { message, position }) => json(
            StatusCode::BAD_REQUEST,
            &json!({"message": message, "position": position}),
        ),
    }
}

/// Server-sent events about what changes from now on, until the browser leaves.
fn events(shared: &Arc<Site>, query: &Query) -> Result<Answer, Wrong> {
    let selection = Arc::new(Selection::of_service(&shared.service(), query)?);
    let only = query.get("trace").filter(|id| !id.is_empty()).cloned();
    let (pieces, stream) = mpsc::channel(PIECES);
    let mut changes = shared.changes();
    let mut revision = shared.service().traces().revision();
    let away = shared.questions.clone();
    let shared = Arc::downgrade(shared);
    // Makes the browser see the connection as open.
    let _ = pieces.try_send(Bytes::from_static(b": hello\n\n"));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = pieces.closed() => return,
            }
            tokio::time::sleep(GATHER).await;
            changes.mark_unchanged();
            loop {
                let Some(shared) = shared.upgrade() else { return };
                let news = News::since(&shared.service(), revision, only.as_deref());
                drop(shared);
                let reached = news.revision();
                let selection = Arc::clone(&selection);
                let events = away.run(move |work| news.events(&selection, work)).await;
                // A filter that is too much work for what changed tells nothing of it.
                let text = events.and_then(Result::ok).unwrap_or_default();
                let is_all = reached == revision;
                revision = reached;
                if !text.is_empty() && pieces.send(Bytes::from(text)).await.is_err() {
                    return;
                }
                if is_all {
                    break;
                }
            }
        }
    });
    let mut answer = answer::of_type("text/event-stream", Body::Stream(stream));
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Whether it comes from the page of this run.
fn has_key(shared: &Site, head: &Parts) -> bool {
    let query = console::query(head.uri.query().unwrap_or_default());
    shared.key.is(query.get(key::PARAMETER).map(String::as_str))
}

fn page_answer(content_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut answer = answer::of_type(content_type, body);
    for (name, value) in page::HEADERS {
        answer
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// The work has panicked, which has shown itself.
fn failed() -> Answer {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalFailure",
        "this could not be answered",
    )
}

fn unknown(path: &str) -> Answer {
    let paths: Vec<&str> = Operation::ALL.iter().map(|operation| operation.path()).collect();
    error(
        StatusCode::NOT_FOUND,
        "UnknownOperationException",
        &format!(
            "{} is not answered here. The page is at /; POST is answered on {}",
            crate::logs::sanitize(path.as_bytes(), 100),
            paths.join(", ")
        ),
    )
}

fn error(status: StatusCode, code: &'static str, message: &str) -> Answer {
    with_error_type(own(answer::error(status, code, message)), code)
}

/// The error's code where SDKs look for it first.
fn with_error_type(mut answer: Answer, code: &'static str) -> Answer {
    let name = HeaderName::from_static("x-amzn-errortype");
    answer.headers_mut().insert(name, HeaderValue::from_static(code));
    answer
}

fn json(status: StatusCode, value: &Value) -> Answer {
    own(answer::json(status, value))
}

/// An answer for a browser too: not to be kept, nor taken for anything else.
fn own(mut answer: Answer) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
