//! The TCP port of `xray dev`: the API, the page, and what the page asks, for clients that are let in.
//!
//! | request | answer |
//! |---|---|
//! | `POST` of a path of the API | the service; any signature, or none |
//! | `GET /`, `/assets/…` | the page |
//! | `GET /healthz`, `/readyz` | 200 while it serves: all it needs is in this process |
//! | `GET /-/…`, `DELETE /-/traces` | what the page asks ([`xray_service::console`]) |
//! | anything else | 404 `UnknownOperationException` |
//!
//! A page that somebody visits must not reach it: [`Guard`] refuses foreign origins and hosts that could be rebound.
//! Only a link to the page itself may be followed from elsewhere, which shows its reader the page and tells the other
//! site nothing.

mod body;
mod query;
mod routes;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use xray_service::answer::Answer;
use xray_service::console::About;
use xray_service::service::Service;

use crate::net::server::guard::Guard;
use crate::net::server::limits::{ACCEPT_PAUSE, IDLE_TIMEOUT, MAX_CONNECTIONS};

/// The most bytes of a head: those of browsers are larger than those of SDKs, with the cookies of everything else on
/// this host.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What all connections share.
pub(super) struct Shared {
    service: Arc<Mutex<Service>>,
    changed: watch::Sender<()>,
    guard: Guard,
    about: About,
    away: query::Away,
}

impl Shared {
    pub(super) fn new(service: Arc<Mutex<Service>>, guard: Guard, about: About) -> Self {
        Self {
            service,
            changed: watch::Sender::new(()),
            guard,
            about,
            away: query::Away::new(),
        }
    }

    /// Hears of each change of the store.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The service under its lock, which nobody holds over a wait.
    pub(super) fn service(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call of the API and wakes those who watch.
    fn handle(&self, path: &str, body: &[u8]) -> Answer {
        let now = SystemTime::now();
        let (answer, has_changed) = {
            let mut service = self.service();
            let before = service.traces().revision();
            let answer = service.handle("POST", path, body, now);
            (answer, service.traces().revision() != before)
        };
        if has_changed {
            self.changed.send_replace(());
        }
        answer
    }

    /// Forgets every trace.
    fn clear(&self) {
        self.service().traces_mut().clear();
        self.changed.send_replace(());
    }
}

/// Serves until `stop` fires or is dropped; connections end then, whatever they are at.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted: io::Result<(TcpStream, _)> = tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let serving = connection(stream, Arc::clone(&shared));
            connections.spawn(async move {
                serving.await;
                drop(place);
            });
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn connection(stream: TcpStream, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    // Neither failure keeps the connection from working. Keep-alive finds out about readers of events who are gone.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_keepalive(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(routes::answer(&shared, request).await) }
    });
    async move {
        // What a client does wrong on the wire is its own affair.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}
