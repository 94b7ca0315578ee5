//! Connections to one origin, and requests on them: HTTP/1.1 by hyper, one request at a time on each.
//!
//! A request goes out on the newest idle connection. Where there is none, a new one is made, and one that becomes idle
//! meanwhile is used in its place. All but the way on an idle connection is rare, and is kept out of that way's code.

mod idle;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::{Request, Response, Uri};
use http_body_util::Limited;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::TrySendError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::idle::{IDLE_MAX, IdleList};
use super::body::RequestBody;
use super::connector::{ConnectError, Connector};
use super::http1::Http1;

/// The most bytes read of an answer. `PutTraceSegments` names at most 50 documents, each with a short message;
/// credentials are smaller. The bound is for whatever else may answer in their place.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Why no head of an answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The request does not say where to.
    #[error("the URL of a request needs a scheme and a host")]
    Relative,
    /// There is no connection.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// A connection was there, and the request or the answer to it failed on it.
    #[error("{0}")]
    Exchange(#[source] hyper::Error),
}

/// The head of an answer, once it is there.
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Answer>, SendError>> + Send + 'a>>;

/// The body of an answer, of at most [`ANSWER_MAX_BYTES`].
#[derive(Debug)]
pub(crate) struct Answer {
    body: Limited<Incoming>,
    /// Dropped with this: nobody reads any more.
    _reading: Option<oneshot::Sender<()>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type Connecting = Pin<Box<dyn Future<Output = Result<Http1, SendError>> + Send>>;

/// One scheme, host and port, and the connections there.
pub(super) struct Origin {
    connector: Connector,
    /// The origin, with the path `/`.
    address: Uri,
    host: HeaderValue,
    /// A proxy reads the requests, so that they name the whole URL.
    is_proxied: bool,
    /// What such a proxy wants to see.
    authorization: Option<HeaderValue>,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    idle: IdleList<Http1>,
    /// Who would take one that becomes idle, the longest waiting first.
    waiting: VecDeque<oneshot::Sender<Http1>>,
    /// What closes those that were idle for too long. Runs only after one became idle.
    closing: Option<AbortHandle>,
}

impl Shared {
    fn newest_idle(&mut self) -> Option<Http1> {
        self.idle.take(now(), |http| http.sender.is_ready())
    }
}

impl Origin {
    /// The origin of `url`.
    ///
    /// # Errors
    /// `url` has no scheme or no host.
    pub(super) fn new(connector: Connector, url: &Uri) -> Result<Arc<Self>, SendError> {
        let (Some(scheme), Some(authority), Some(host)) = (url.scheme(), url.authority(), url.host()) else {
            return Err(SendError::Relative);
        };
        let address = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|_| SendError::Relative)?;
        let host = match (url.port_u16(), scheme.as_str()) {
            (None, _) | (Some(443), "https") | (Some(80), "http") => HeaderValue::from_str(host),
            (Some(port), _) => HeaderValue::try_from(format!("{host}:{port}")),
        }
        .map_err(|_| SendError::Relative)?;
        let proxy = connector.reading_proxy(&address);
        Ok(Arc::new(Self {
            is_proxied: proxy.is_some(),
            // A tunnel is opened with it instead.
            authorization: proxy.and_then(|proxy| proxy.basic_auth().cloned()),
            connector,
            address,
            host,
            shared: Mutex::default(),
        }))
    }

    /// Whether requests to `url` go here, on connections that are made within `connect_timeout`.
    pub(super) fn is_of(&self, url: &Uri, connect_timeout: Duration) -> bool {
        self.connector.tcp_timeout() == connect_timeout
            && self.address.scheme() == url.scheme()
            && self.address.authority() == url.authority()
    }

    /// How `url`, which is of this origin, is written in a request.
    pub(super) fn written(&self, url: &Uri) -> Uri {
        if self.is_proxied {
            return url.clone();
        }
        url.path_and_query().cloned().map(Uri::from).unwrap_or_default()
    }

    /// Adds what an intermediary must know.
    pub(super) fn complete(&self, headers: &mut HeaderMap) {
        headers.entry(HOST).or_insert_with(|| self.host.clone());
        self.authorize(headers);
    }

    /// Adds the authentication at a proxy that reads the requests.
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
    }

    /// Sends a request whose URL is [`written`](Self::written), and whose headers are complete. A request that met a
    /// connection which was being closed, of which nothing was sent, is sent on another one.
    ///
    /// On an idle connection it is on its way when this returns. What waits for the answer is one pointer to those who wait
    /// for more besides, each of whose states would hold it twice.
    pub(super) fn send(self: &Arc<Self>, request: Request<RequestBody>) -> Sending<'_> {
        let Some(mut http) = self.shared().newest_idle() else {
            return self.send_without_idle(request);
        };
        let sent = http.sender.try_send_request(request);
        Box::pin(async move {
            match sent.await {
                Ok(response) => Ok(self.put_back(http, response)),
                Err(failed) => self.send_again(failed).await,
            }
        })
    }

    #[cold]
    fn send_again(self: &Arc<Self>, mut failed: TrySendError<Request<RequestBody>>) -> Sending<'_> {
        match failed.take_message() {
            Some(request) => self.send(request),
            None => Box::pin(std::future::ready(Err(SendError::Exchange(failed.into_error())))),
        }
    }

    #[cold]
    fn send_without_idle(self: &Arc<Self>, request: Request<RequestBody>) -> Sending<'_> {
        Box::pin(async move {
            let (mut http, is_new) = self.connection().await?;
            match http.sender.try_send_request(request).await {
                Ok(response) => Ok(self.put_back(http, response)),
                // What takes no request on a new connection would take none on the next.
                Err(failed) if is_new => Err(SendError::Exchange(failed.into_error())),
                Err(failed) => self.send_again(failed).await,
            }
        })
    }

    /// A new connection (`true`), or one that became idle before it was there.
    async fn connection(self: &Arc<Self>) -> Result<(Http1, bool), SendError> {
        let mut waiting = match self.wait() {
            Ok(waiting) => waiting,
            Err(idle) => return Ok((idle, false)),
        };
        let mut connecting = self.connect();
        tokio::select! {
            biased;
            Ok(idle) = &mut waiting.handed => {
                // It would be wasted otherwise, and come again in a moment.
                let origin = Arc::downgrade(self);
                tokio::spawn(async move {
                    if let (Ok(http), Some(origin)) = (connecting.await, origin.upgrade()) {
                        origin.keep(http);
                    }
                });
                Ok((idle, false))
            }
            connected = &mut connecting => connected.map(|http| (http, true)),
        }
    }

    fn connect(&self) -> Connecting {
        let connecting = self.connector.connect(self.address.clone());
        Box::pin(async move {
            let stream = connecting.await.map_err(SendError::Connect)?;
            Http1::start(stream).await.map_err(SendError::Exchange)
        })
    }

    /// Waits for one that becomes idle, unless one is.
    fn wait(self: &Arc<Self>) -> Result<Waiting<'_>, Http1> {
        let mut shared = self.shared();
        if let Some(idle) = shared.newest_idle() {
            return Err(idle);
        }
        let (hand, handed) = oneshot::channel();
        shared.waiting.push_back(hand);
        Ok(Waiting { origin: self, handed })
    }

    /// Keeps a connection after the head of an answer: at once if the whole of it has come, which hyper says by being ready
    /// for the next request.
    fn put_back(self: &Arc<Self>, http: Http1, response: Response<Incoming>) -> Response<Answer> {
        let reading = if http.sender.is_ready() {
            self.keep(http);
            None
        } else {
            self.put_back_when_ready(http)
        };
        response.map(|body| Answer {
            body: Limited::new(body, ANSWER_MAX_BYTES),
            _reading: reading,
        })
    }

    /// Waits until the answer has been read, and the request written, to their ends. How long the answer may take is for who
    /// reads it to say, whose end closes the connection. After that, a request that is still not written, since the other side
    /// has answered and reads no more, has as long as a connection would be kept.
    #[cold]
    fn put_back_when_ready(self: &Arc<Self>, mut http: Http1) -> Option<oneshot::Sender<()>> {
        if http.sender.is_closed() {
            return None;
        }
        let origin = Arc::downgrade(self);
        let (reading, mut read) = oneshot::channel();
        tokio::spawn(async move {
            let ready = tokio::select! {
                biased;
                ready = http.sender.ready() => ready.is_ok(),
                // It is never sent, and dropped with the answer.
                _ = &mut read => match tokio::time::timeout(IDLE_MAX, http.sender.ready()).await {
                    Ok(ready) => ready.is_ok(),
                    Err(_) => return http.abort(),
                },
            };
            if ready && let Some(origin) = origin.upgrade() {
                origin.keep(http);
            }
        });
        Some(reading)
    }

    fn keep(self: &Arc<Self>, http: Http1) {
        let mut shared = self.shared();
        let http = if shared.waiting.is_empty() {
            http
        } else {
            match hand_over(&mut shared.waiting, http) {
                Some(http) => http,
                None => return,
            }
        };
        let now = now();
        shared.idle.put(http, now);
        if shared.closing.is_none() {
            shared.closing = close_old(Arc::downgrade(self), now + IDLE_MAX);
        }
    }

    /// Closes those that have been idle for too long, and says when the next will have been.
    fn expire(&self) -> Option<Instant> {
        let mut shared = self.shared();
        let expired = shared.idle.expire(now());
        let next = shared.idle.next_expiry();
        if next.is_none() {
            shared.closing = None;
        }
        drop(shared);
        drop(expired);
        next
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(closing) = shared.closing.take() {
            closing.abort();
        }
    }
}

/// For the list, which takes the time.
#[expect(clippy::disallowed_methods, reason = "here the clock is read")]
fn now() -> Instant {
    Instant::now()
}

/// Gives `http` to the longest waiting of those that still wait; gives it back if none does.
#[cold]
fn hand_over(waiting: &mut VecDeque<oneshot::Sender<Http1>>, mut http: Http1) -> Option<Http1> {
    while let Some(hand) = waiting.pop_front() {
        http = hand.send(http).err()?;
    }
    Some(http)
}

/// Runs until none is idle, and sleeps until the next has been idle for too long. `None` where no runtime is left.
#[cold]
fn close_old(origin: Weak<Origin>, mut next: Instant) -> Option<AbortHandle> {
    let closing = async move {
        loop {
            tokio::time::sleep_until(next).await;
            match origin.upgrade().and_then(|origin| origin.expire()) {
                Some(expiry) => next = expiry,
                None => return,
            }
        }
    };
    Some(Handle::try_current().ok()?.spawn(closing).abort_handle())
}

/// Waits for a connection that becomes idle. One that was handed over and not taken is idle again.
struct Waiting<'a> {
    origin: &'a Arc<Origin>,
    handed: oneshot::Receiver<Http1>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.handed.close();
        match self.handed.try_recv() {
            Ok(http) => self.origin.keep(http),
            Err(_) => self.origin.shared().waiting.retain(|hand| !hand.is_closed()),
        }
    }
}
