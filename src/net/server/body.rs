//! Bodies of requests, read within limits of size, time and memory.

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::{self, Answer};
use super::limits::BodyLimits;

/// How long a client is listened to that sends a body nobody wants, so that it reads its answer and does not find its
/// connection reset.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of such a body is read.
const DISCARD_MAX_BYTES: usize = 64 << 20;

/// Reads bodies of one kind, which have a bound in memory together.
#[derive(Debug)]
pub(crate) struct Reader {
    limits: BodyLimits,
    /// Bytes that may be in memory yet.
    room: Semaphore,
}

/// A body that has been read, with its place in memory.
#[derive(Debug)]
pub(crate) struct Held<'r> {
    bytes: Bytes,
    _room: SemaphorePermit<'r>,
}

impl Held<'_> {
    /// The body, for another thread; its place in memory stays with this.
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl Deref for Held<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reader {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            room: Semaphore::new(limits.all_max_bytes),
        }
    }

    /// The bounds.
    pub(crate) fn limits(&self) -> &BodyLimits {
        &self.limits
    }

    /// Reads `body` whole when there is room for what it announces, or for the most where it announces nothing.
    ///
    /// # Errors
    /// The answer to give instead; `busy` when there was no room in time.
    #[expect(clippy::disallowed_methods, reason = "a body has a deadline")]
    pub(crate) async fn read(
        &self,
        head: &Parts,
        body: Incoming,
        busy: impl FnOnce() -> Answer,
    ) -> Result<Held<'_>, Answer> {
        let BodyLimits { max_bytes, time, .. } = self.limits;
        let deadline = Instant::now() + time;
        let announced = body.size_hint().upper().unwrap_or(u64::MAX);
        let bytes = u32::try_from(announced.min(max_bytes as u64)).unwrap_or(u32::MAX);
        let Ok(Ok(room)) = timeout_at(deadline, self.room.acquire_many(bytes)).await else {
            discard(head, body).await;
            return Err(busy());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = read(head, body, max_bytes, left).await?;
        Ok(Held { bytes, _room: room })
    }
}

/// Reads `body` whole, unless it is longer than `max_bytes` or not there in time.
///
/// # Errors
/// The answer to give instead.
pub(crate) async fn read(
    head: &Parts,
    mut body: Incoming,
    max_bytes: usize,
    limit: Duration,
) -> Result<Bytes, Answer> {
    if let Some(encoding) = head.headers.get(CONTENT_ENCODING)
        && encoding.as_bytes() != b"identity"
    {
        discard(head, body).await;
        return Err(answer::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedContentEncoding",
            "Bodies are taken without Content-Encoding only.",
        ));
    }
    // Announced: not even begun with.
    if body.size_hint().lower() > max_bytes as u64 {
        discard(head, body).await;
        return Err(too_long(max_bytes));
    }
    let read = timeout(limit, Limited::new(&mut body, max_bytes).collect()).await;
    match read {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            discard(head, body).await;
            Err(too_long(max_bytes))
        }
        Ok(Err(_)) => Err(answer::last(answer::error(
            StatusCode::BAD_REQUEST,
            "IncompleteBody",
            "The body ended early or is not in its announced form.",
        ))),
        Err(_) => {
            let seconds = limit.as_secs();
            let message = format!("The body was not there within {seconds} s.");
            Err(answer::last(answer::error(
                StatusCode::REQUEST_TIMEOUT,
                "RequestTimeout",
                &message,
            )))
        }
    }
}

fn too_long(max_bytes: usize) -> Answer {
    let message = format!("The body is longer than {max_bytes} bytes, the most for this path.");
    answer::last(answer::error(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLargeException",
        &message,
    ))
}

/// Listens to a body that nobody wants, so that its sender gets to read the answer.
pub(crate) async fn discard(head: &Parts, mut body: Incoming) {
    // Who asked first waits for our word, and reads the answer in its place.
    if body.is_end_stream() || head.headers.contains_key(EXPECT) {
        return;
    }
    let discarding = async {
        let mut taken_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken_bytes += frame.data_ref().map_or(0, Bytes::len);
            if taken_bytes > DISCARD_MAX_BYTES {
                break;
            }
        }
    };
    // A client that goes on for longer may find its connection reset.
    let _: Result<(), tokio::time::error::Elapsed> = timeout(DISCARD_TIMEOUT, discarding).await;
}
