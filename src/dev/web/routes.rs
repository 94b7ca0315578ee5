//! Which request gets which answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use xray_service::answer::Answer;
use xray_service::console::{self, News, Query, Wrong};
use xray_service::service::{self, Operation};
use xray_service::traces::Snapshot;
use xray_service::work::Work;

use super::Shared;
use super::body::AnswerBody;
use crate::dev::page;
use crate::net::server::guard::Refusal;
use crate::net::server::limits::{BODY_TIMEOUT, INGEST_BODY_MAX_BYTES as MAX_BODY_BYTES};

/// How long changes gather before the page hears of them: faster than anyone reads, and few enough to draw.
const GATHER: Duration = Duration::from_millis(100);

/// Pieces of events that may wait for a browser that reads slowly; then it is the store that is asked less often.
const PIECES: usize = 4;

pub(super) type Reply = Response<AnswerBody>;

pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    if let Err(refusal) = shared.guard.check(&head)
        && !(refusal == Refusal::CrossSite && is_link_to_page(&head))
    {
        tracing::warn!(
            "Refused {} on the TCP port: {refusal}",
            crate::logs::sanitize(head.uri.path().as_bytes(), 100)
        );
        return last(error(StatusCode::FORBIDDEN, "Forbidden", &refusal.to_string()));
    }
    let path = head.uri.path();
    match head.method {
        Method::POST => match read(body).await {
            Ok(body) => api(shared, path, body).await,
            Err(reply) => last(reply),
        },
        Method::GET | Method::HEAD if path.starts_with("/-/") => asked(shared, &head).await,
        Method::GET | Method::HEAD if path == "/healthz" => {
            json_reply(StatusCode::OK, &json!({"status": "ok"}))
        }
        Method::GET | Method::HEAD if path == "/readyz" => {
            json_reply(StatusCode::OK, &json!({"status": "ready"}))
        }
        Method::GET | Method::HEAD => match page::asset(path) {
            Some(asset) => asset_reply(&asset),
            None => unknown(path),
        },
        Method::DELETE if path == "/-/traces" => {
            shared.clear();
            let mut reply = Response::new(AnswerBody::Whole(Bytes::new()));
            *reply.status_mut() = StatusCode::NO_CONTENT;
            reply
        }
        _ => unknown(path),
    }
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

async fn read(body: Incoming) -> Result<Bytes, Reply> {
    let reading = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(broken)) if broken.is::<LengthLimitError>() => Err(error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            &format!("the body is longer than {MAX_BODY_BYTES} bytes"),
        )),
        Ok(Err(_)) => Err(error(
            StatusCode::BAD_REQUEST,
            "SerializationException",
            "the body ended early",
        )),
        Err(_) => Err(error(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            "the body did not come in time",
        )),
    }
}

async fn api(shared: &Arc<Shared>, path: &str, body: Bytes) -> Reply {
    let Some(operation) = Operation::of("POST", path) else {
        return unknown(path);
    };
    let answer = if operation.reads_traces() {
        let now = SystemTime::now();
        let read = move |traces: &Snapshot, work: &Work| service::read(operation, traces, &body, now, work);
        shared.ask(read).await
    } else {
        Some(shared.handle(path, &body))
    };
    let Some(Answer {
        status,
        error_type,
        body,
    }) = answer
    else {
        return failed();
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = json_text(status, body);
    if let Some(error_type) = error_type {
        let name = HeaderName::from_static("x-amzn-errortype");
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static(error_type));
    }
    reply
}

/// What the page asks.
async fn asked(shared: &Arc<Shared>, head: &Parts) -> Reply {
    let query = console::query(head.uri.query().unwrap_or_default());
    let path = head.uri.path();
    let answer = match path {
        "/-/stats" => Ok(console::stats(&shared.service(), &shared.about).to_string()),
        "/-/events" => match events(shared, &query) {
            Ok(reply) => return reply,
            Err(wrong) => Err(wrong),
        },
        _ => {
            let asked = path.to_owned();
            let question =
                move |traces: &Snapshot, work: &Work| console::answer(&asked, &query, traces, work);
            match shared.ask(question).await {
                None => return failed(),
                Some(None) => return unknown(path),
                Some(Some(answer)) => answer,
            }
        }
    };
    match answer {
        Ok(text) => json_text(StatusCode::OK, text),
        Err(Wrong::Missing) => json_reply(StatusCode::NOT_FOUND, &json!({"message": "not in the store"})),
        Err(Wrong::Request { message, position }) => json_reply(
            StatusCode::BAD_REQUEST,
            &json!({"message": message, "position": position}),
        ),
    }
}

/// Server-sent events about what changes from now on, until the browser leaves.
fn events(shared: &Arc<Shared>, query: &Query) -> Result<Reply, Wrong> {
    let filter = Arc::new(console::filter(query)?);
    let only = query.get("trace").filter(|id| !id.is_empty()).cloned();
    let (pieces, stream) = mpsc::channel(PIECES);
    let mut changes = shared.changes();
    let mut revision = shared.service().traces().revision();
    let away = shared.away.clone();
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
                let filter = Arc::clone(&filter);
                let events = away.run(move |work| news.events(&filter, work)).await;
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
    let mut reply = Response::new(AnswerBody::Stream(stream));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

fn asset_reply(asset: &page::Asset) -> Reply {
    let mut reply = Response::new(AnswerBody::Whole(Bytes::from_static(asset.body)));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    for (name, value) in page::HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    reply
}

/// The work has panicked, which has shown itself.
fn failed() -> Reply {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalFailure",
        "this could not be answered",
    )
}

fn unknown(path: &str) -> Reply {
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

fn error(status: StatusCode, code: &'static str, message: &str) -> Reply {
    let mut reply = json_reply(status, &json!({"__type": code, "message": message}));
    let name = HeaderName::from_static("x-amzn-errortype");
    reply.headers_mut().insert(name, HeaderValue::from_static(code));
    reply
}

/// The last one on its connection: the rest of the request was not read.
fn last(mut reply: Reply) -> Reply {
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn json_reply(status: StatusCode, value: &Value) -> Reply {
    json_text(status, value.to_string())
}

fn json_text(status: StatusCode, text: String) -> Reply {
    let mut reply = Response::new(AnswerBody::Whole(Bytes::from(text)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nosniff = HeaderName::from_static("x-content-type-options");
    headers.insert(nosniff, HeaderValue::from_static("nosniff"));
    reply
}
