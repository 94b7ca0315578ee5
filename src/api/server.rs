//! Accepts connections within limits, and ends them in order.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::routes::App;
use super::sampling::Upstream;
use crate::ledger::http::Ending;
use crate::logs::Tally;
use crate::net::server::answer;
use crate::net::server::connection::{self, Shared};
use crate::net::server::limits::{ACCEPT_PAUSE, MAX_CONNECTIONS};

/// The TCP port: its listener and what answers on it.
#[derive(Debug)]
pub struct Server<U> {
    listener: std::net::TcpListener,
    app: Arc<App<U>>,
    max_connections: usize,
}

impl<U: Upstream> Server<U> {
    /// Serves `app` on `listener`, which must be non-blocking.
    #[must_use]
    pub fn new(listener: std::net::TcpListener, app: Arc<App<U>>) -> Self {
        Self {
            listener,
            app,
            max_connections: MAX_CONNECTIONS,
        }
    }

    /// Takes connections until `stop` resolves; then the port is closed, connections without a request are closed, and
    /// those with one are told to close after their answer. Returns when all have ended; dropping the future cuts
    /// those that are left.
    ///
    /// # Errors
    /// When the listener can't be used at all.
    pub async fn run(self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        let Self {
            listener,
            app,
            max_connections,
        } = self;
        let listener = TcpListener::from_std(listener)?;
        let (stopping, stopped) = watch::channel(false);
        let open = Arc::new(Open::default());
        let mut connections = JoinSet::new();
        let mut faults = Tally::default();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut stop => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if open.has_room(max_connections) => {
                    connections.spawn(serve(stream, Arc::clone(&app), open.add(), stopped.clone()));
                }
                Ok((stream, _)) => {
                    app.ledger().http.add_ending(Ending::TooMany);
                    refuse(&stream);
                }
                Err(error) => {
                    if let Some(times) = faults.add(1, std::time::Instant::now()) {
                        tracing::error!(times, "Accepting on TCP failed: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

async fn serve<U: Upstream>(stream: TcpStream, app: Arc<App<U>>, entry: Entry, stop: watch::Receiver<bool>) {
    // Answers are written whole. A failure makes them slower, not wrong.
    let _: io::Result<()> = stream.set_nodelay(true);
    app.ledger().http.add_connection();
    let shared = Arc::clone(&entry.shared);
    let ending = connection::serve(stream, shared, stop, |request| app.answer(request)).await;
    app.ledger().http.remove_connection();
    if let Some(ending) = ending {
        app.ledger().http.add_ending(ending);
        tracing::debug!("A TCP connection ended: {}", ending.label());
    }
    drop(entry);
}

/// Says that there are too many, as far as the kernel takes it at once, and closes.
fn refuse(stream: &TcpStream) {
    let answer = answer::raw_error(
        StatusCode::SERVICE_UNAVAILABLE,
        "TooManyConnections",
        "All connections of this port are in use.",
    );
    // Who does not get it sees the connection closed, which says as much.
    let _: io::Result<usize> = stream.try_write(&answer);
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Arc<Shared>>,
}

/// A place among the open connections; dropping it leaves it.
struct Entry {
    number: u64,
    shared: Arc<Shared>,
    open: Arc<Open>,
}

impl Open {
    /// Whether one more may be taken; when they are `max`, the one that has been without a request for longest goes.
    fn has_room(&self, max: usize) -> bool {
        let mut connections = self.lock();
        if connections.open.len() < max {
            return true;
        }
        let longest = connections
            .open
            .iter()
            .filter(|(_, shared)| shared.progress().is_without_request())
            .min_by_key(|(_, shared)| shared.progress().since)
            .map(|(number, _)| *number);
        let evicted = longest.and_then(|number| connections.open.remove(&number));
        if let Some(evicted) = &evicted {
            evicted.evict();
        }
        evicted.is_some()
    }

    fn add(self: &Arc<Self>) -> Entry {
        let shared = Arc::new(Shared::new(tokio::time::Instant::now().into_std()));
        let mut connections = self.lock();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, Arc::clone(&shared));
        Entry {
            number,
            shared,
            open: Arc::clone(self),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_more_takes_the_place_of_the_one_that_has_been_without_a_request_for_longest() {
        let open = Arc::new(Open::default());
        let mut entries = Vec::new();
        for _ in 0..3 {
            assert!(open.has_room(3));
            entries.push(open.add());
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        let first = Arc::clone(&entries[0].shared);
        assert!(open.has_room(3));
        entries.push(open.add());
        // It has heard of it, and its place is taken; leaving late frees no second one.
        assert!(first.is_asked_to_go().await);
        drop(entries.remove(0));
        assert_eq!(open.lock().open.len(), 3);
        for entry in &entries {
            entry.shared.pretend_request();
        }
        assert!(!open.has_room(3), "all are in the middle of a request");
        drop(entries.pop());
        assert!(open.has_room(3));
    }
}
