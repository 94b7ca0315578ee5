//! The TCP port of `xray dev`: the API, the page, and what the page asks, for clients that are let in.
//!
//! | request | answer |
//! |---|---|
//! | `POST` of a path of the API | the service; any signature, or none |
//! | `GET /`, `/assets/…` | the page |
//! | `GET /healthz`, `/readyz` | 200 while it serves: all it needs is in this process |
//! | `GET /metrics` | the counters of the daemon in this process, and of this port |
//! | `GET /-/…`, `DELETE` and `POST /-/traces` | what the page asks ([`xray_service::console`]) |
//! | anything else | 404 `UnknownOperationException` |
//!
//! A page that somebody visits must not reach it: [`Guard`] refuses foreign origins and hosts that could be rebound.
//! Only a link to the page itself may be followed from elsewhere, which shows its reader the page and tells the other
//! site nothing.
//!
//! The page and what it asks are for a browser, and so a host that nobody on the local network could have either is asked
//! for there ([`Guard::check_page`]), and a key from the page for what tells of traces ([`key`]). Calls of the API are for
//! programs, under any name that a container may have; what keeps pages from these is that browsers send `Origin` with
//! every POST.
//!
//! What it may be asked for at one time is in [`limits`].

mod away;
mod key;
mod limits;
mod routes;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use xray_service::answer::Answer;
use xray_service::console::About;
use xray_service::import::{self, Found};
use xray_service::logs::Line;
use xray_service::service::put::{self, Checked};
use xray_service::service::{Operation, Refusal, Service, View};
use xray_service::work::Work;

use self::key::Key;
use super::page;
use crate::api::metrics::Source;
use crate::ledger::RefusedDatagrams;
use crate::ledger::http::Ending;
use crate::logs::sanitize;
use crate::net::server::body::Reader;
use crate::net::server::guard::Guard;
use crate::net::server::limits::open_files;
use crate::net::server::refusals::{Bounded, and_more};
use crate::net::server::{self, Function, Watch};
use away::Away;

/// What all connections share.
pub(super) struct Site {
    service: Arc<Mutex<Service>>,
    changed: watch::Sender<()>,
    guard: Guard,
    key: Key,
    /// The page, with the key.
    index: Bytes,
    about: About,
    metrics: Source,
    /// Reads calls of the API.
    calls: Reader,
    /// Reads those that say that they are small.
    small_calls: Reader,
    /// Reads files that the page sends.
    files: Reader,
    refused: Bounded,
    /// Documents of calls that are not of the daemon in this process, which says its own.
    refused_documents: Bounded,
    worked: watch::Sender<()>,
    /// Where questions are answered.
    questions: Away,
    /// Where documents are read: one call at a time, so that they go into the store in the order they came.
    documents: Away,
    /// How often traces were cleared.
    clearings: AtomicU64,
}

/// How long what was cleared can be brought back; the page says so.
const UNDO_FOR: Duration = Duration::from_secs(10);

/// Who makes a call with documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// The daemon in this process: it logs what is refused, with what it knows of the segment.
    Daemon,
    /// Anybody else.
    Client,
}

/// The longest text of a refusal in a line of the log, in characters, as for those that the daemon logs.
const SHOWN_MAX_CHARS: usize = 200;

impl Site {
    /// `metrics` are those of the daemon in this process; the port counts with it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn new(
        service: Arc<Mutex<Service>>,
        guard: Guard,
        about: About,
        metrics: Source,
    ) -> io::Result<Self> {
        let key = Key::new()?;
        let worked = watch::Sender::new(());
        Ok(Self {
            service,
            changed: watch::Sender::new(()),
            guard,
            index: key.written_into(page::INDEX).into(),
            key,
            about,
            metrics,
            calls: Reader::new(limits::CALLS),
            small_calls: Reader::new(limits::SMALL_CALLS),
            files: Reader::new(limits::FILES),
            refused: Bounded::default(),
            refused_documents: Bounded::default(),
            questions: Away::new(limits::QUESTIONS_AT_ONCE, worked.clone()),
            documents: Away::new(1, worked.clone()),
            clearings: AtomicU64::new(0),
            worked,
        })
    }

    /// Hears of each change of the store, and of each refusal and report.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Hears of each question and each call with documents when it is answered.
    pub(super) fn work(&self) -> watch::Receiver<()> {
        self.worked.subscribe()
    }

    /// The service under its lock, which nobody holds over a wait.
    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question about this moment away from this thread ([`Away::run`]).
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&View, &Work) -> T + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(self);
        // The view is of the moment when there is a place, so that none is held by those who wait.
        self.questions
            .run(move |work| {
                let view = shared.service().view();
                drop(shared);
                question(&view, work)
            })
            .await
    }

    /// Takes the documents of a call of `sender`, or does what else a long call asks for, away from this thread; calls in the order
    /// they came. `None` when it has panicked, which has shown itself.
    async fn take(self: &Arc<Self>, operation: Operation, body: Bytes, sender: Sender) -> Option<Answer> {
        let shared = Arc::clone(self);
        let take = move |_: &Work| match operation {
            Operation::PutTraceSegments => shared.put(&body, sender),
            _ => shared.handle(operation.path(), &body),
        };
        self.documents.run(take).await
    }

    /// Takes documents. The service is locked for each of them, while it is put into its trace.
    fn put(&self, body: &[u8], sender: Sender) -> Answer {
        let now = SystemTime::now();
        let causes = self.service().tells_causes();
        let answer = put::answer(body, |_, document| {
            let checked = Checked::of(document, causes);
            let taken = self.service().put(checked, now).map(drop);
            if sender == Sender::Client
                && let Err(refusal) = &taken
            {
                self.say_refused(refusal);
            }
            taken
        });
        self.changed.send_replace(());
        answer
    }

    /// Takes what is in a file, away from this thread and after the calls that came before. `None` when it has panicked,
    /// which has shown itself.
    async fn open(self: &Arc<Self>, file: Bytes) -> Option<Found> {
        let shared = Arc::clone(self);
        let open = move |_: &Work| {
            let now = SystemTime::now();
            let found = import::read(&file, |incoming| shared.service().import(incoming, now));
            shared.changed.send_replace(());
            found
        };
        self.documents.run(open).await
    }

    /// Says that a client's document was refused, of which the answer tells only the client.
    fn say_refused(&self, refusal: &Refusal) {
        let Some(documents) = self.refused_documents.add() else {
            return;
        };
        let shown = |text: &str| sanitize(text, SHOWN_MAX_CHARS);
        let id = shown(refusal.id.as_deref().unwrap_or("none"));
        let (error_code, message) = (shown(&refusal.code), shown(&refusal.message));
        let more = match documents {
            1 => String::new(),
            _ => format!(" (and {} more refused documents)", documents - 1),
        };
        tracing::error!(
            documents,
            id,
            error_code,
            error = message,
            "Refused a document of PutTraceSegments: id {id}, error code {error_code}, message: {message}{more}"
        );
    }

    /// Answers a call of the API and wakes those who watch.
    fn handle(&self, path: &str, body: &[u8]) -> Answer {
        let now = SystemTime::now();
        let (answer, has_changed) = {
            let mut service = self.service();
            let before = service.news();
            let answer = service.handle("POST", path, body, now);
            (answer, service.news() != before)
        };
        if has_changed {
            self.changed.send_replace(());
        }
        answer
    }

    /// Keeps lines of logs beside their traces.
    pub(super) fn log(&self, lines: impl IntoIterator<Item = (String, Line)>) {
        let mut any = false;
        for (trace_id, line) in lines {
            self.service().log(&trace_id, line);
            any = true;
        }
        if any {
            self.changed.send_replace(());
        }
    }

    /// Puts a text behind the last lines of traces that came from `source`.
    pub(super) fn log_goes_on(&self, trace_ids: &[String], source: &str, text: &str) {
        for id in trace_ids {
            self.service().log_goes_on(id, source, text);
        }
    }

    /// Hears of datagrams that were no segments.
    pub(super) fn refused_datagrams(&self) -> watch::Receiver<RefusedDatagrams> {
        self.metrics.ledger().refused_datagrams()
    }

    /// Datagrams were refused before any was a document.
    pub(super) fn note_refused(&self, datagrams: u64, example: &str) {
        self.service()
            .note_refused_datagrams(datagrams, example, SystemTime::now());
        self.changed.send_replace(());
    }

    /// Tells the store what the process holds because of it, as [`Traces::correct`]. Whether traces were let go.
    ///
    /// [`Traces::correct`]: xray_service::traces::Traces::correct
    pub(super) fn correct_store(&self, held_bytes: usize, unsure_bytes: usize) -> bool {
        let has_let_go = self.service().traces_mut().correct(held_bytes, unsure_bytes);
        if has_let_go {
            self.changed.send_replace(());
        }
        has_let_go
    }

    /// Sets every trace aside, and forgets them when they can no longer be brought back.
    fn clear(self: &Arc<Self>) {
        let clearing = self.clearings.fetch_add(1, Ordering::Relaxed) + 1;
        self.service().traces_mut().clear();
        self.changed.send_replace(());
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(UNDO_FOR).await;
            // A later clearing has a time of its own.
            let shared = shared.upgrade();
            if let Some(shared) = shared.filter(|shared| shared.clearings.load(Ordering::Relaxed) == clearing)
            {
                shared.service().traces_mut().forget_cleared();
            }
        });
    }

    /// Brings back what was cleared. Whether there was anything.
    fn bring_back(&self) -> bool {
        let found = self.service().traces_mut().bring_back() > 0;
        self.changed.send_replace(());
        found
    }
}

/// Serves within [`limits::CONNECTIONS`], or as many connections as the process may have files open for, until `stop` fires
/// or is dropped and what is being answered then is answered; dropping the future cuts the rest.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Site>, stop: oneshot::Receiver<()>) {
    let limits = limits::CONNECTIONS.within(open_files(), limits::OWN_FILES);
    let watch = Counted {
        counted: server::Counted(Arc::clone(shared.metrics.ledger())),
        refused: Bounded::default(),
        places: limits.connections,
    };
    let handler = Function(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok(routes::answer(&shared, request).await) }
    });
    server::serve(listener, limits, watch, stop, handler).await;
}

/// Counts connections in the daemon's ledger, and says when there are too many: whoever sits before this terminal can do
/// something about it.
struct Counted {
    counted: server::Counted,
    refused: Bounded,
    places: usize,
}

impl Watch for Counted {
    fn opened(&self) {
        self.counted.opened();
    }

    fn ended(&self, why: Option<Ending>) {
        self.counted.ended(why);
    }

    fn refused(&self) {
        self.counted.refused();
        if let Some(requests) = self.refused.add() {
            tracing::warn!(
                requests,
                connections = self.places,
                "Refused a connection on the TCP port: {} are in the middle of a request{}",
                self.places,
                and_more(requests)
            );
        }
    }
}

#[cfg(test)]
mod tests;
