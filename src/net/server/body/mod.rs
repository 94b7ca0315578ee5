//! Bodies of requests, read within limits of size, time and memory.

mod place;
mod room;

use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout, timeout_at};

use self::place::{Place, SMALL_BYTES};
use self::room::{NoRoom, Room, Share};
use super::answer::{self, Answer};
use super::connection::{BodyError, RequestBody};
use super::limits::BodyLimits;

/// How long a client is listened to that sends a body nobody wants, so that it reads its answer and does not find its
/// connection reset.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of such a body is read.
const DISCARD_MAX_BYTES: usize = 64 << 20;

/// The steps in which a body takes room.
const STEP_BYTES: usize = 64 << 10;

/// Reads bodies of one kind, which have a bound in memory together.
#[derive(Debug)]
pub(crate) struct Reader {
    limits: BodyLimits,
    room: Room,
}

/// A body that has been read, with its place in memory.
#[derive(Debug)]
pub(crate) struct Held<'r> {
    bytes: Bytes,
    _share: Share<'r>,
}

impl Held<'_> {
    /// The same bytes, to be used only as long as this is there.
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

/// Why a body is not read to its end.
enum Unread {
    TooLong,
    NoRoom,
    Late,
    Body(BodyError),
}

impl Reader {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            room: Room::new(limits.all_max_bytes),
        }
    }

    /// Reads `body` whole. It takes room as it comes, not as it is announced.
    ///
    /// # Errors
    /// The answer to give instead; `busy` when there was no room in time, or another body needed it more.
    #[expect(clippy::disallowed_methods, reason = "a body has a deadline")]
    pub(crate) async fn read(
        &self,
        head: &Parts,
        mut body: RequestBody,
        busy: impl FnOnce() -> Answer,
    ) -> Result<Held<'_>, Answer> {
        let BodyLimits { max_bytes, time, .. } = self.limits;
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
        let share = self.room.share();
        let place = match whole(&mut body, &share, max_bytes, Instant::now() + time).await {
            Ok(place) => place,
            Err(why) => {
                drop(share);
                return Err(match why {
                    Unread::TooLong => {
                        discard(head, body).await;
                        too_long(max_bytes)
                    }
                    Unread::NoRoom => {
                        discard(head, body).await;
                        answer::last(busy())
                    }
                    Unread::Late => {
                        let message = format!("The body was not there within {} s.", time.as_secs());
                        answer::last(answer::error(
                            StatusCode::REQUEST_TIMEOUT,
                            "RequestTimeout",
                            &message,
                        ))
                    }
                    Unread::Body(BodyError::GaveWay) => answer::last(answer::try_again(
                        "TooManyConnections",
                        "All connections of this port are in use, and the rest of this body has not come for longest.",
                    )),
                    Unread::Body(BodyError::Broken(_)) => answer::last(answer::error(
                        StatusCode::BAD_REQUEST,
                        "IncompleteBody",
                        "The body ended early or is not in its announced form.",
                    )),
                });
            }
        };
        share.is_whole();
        Ok(Held {
            bytes: Bytes::from_owner(place),
            _share: share,
        })
    }
}

/// Reads `body` to its end, in one piece.
async fn whole(
    body: &mut RequestBody,
    share: &Share<'_>,
    max_bytes: usize,
    deadline: Instant,
) -> Result<Place, Unread> {
    let announced = usize::try_from(body.size_hint().upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let most_bytes = announced.min(max_bytes);
    let (mut place, mut room_bytes) = (Place::new(), 0);
    loop {
        let frame = tokio::select! {
            biased;
            () = share.is_to_give_up() => return Err(Unread::NoRoom),
            frame = timeout_at(deadline, body.frame()) => frame,
        };
        let Some(frame) = frame.map_err(|_| Unread::Late)? else {
            return Ok(place);
        };
        // Trailers are nothing to us.
        let Ok(data) = frame.map_err(Unread::Body)?.into_data() else {
            continue;
        };
        share.is_fed();
        let needed = place.len() + data.len();
        if needed > max_bytes {
            return Err(Unread::TooLong);
        }
        if needed > room_bytes {
            let step = if room_bytes == 0 { SMALL_BYTES } else { STEP_BYTES };
            let wanted = (room_bytes + step).min(most_bytes).max(needed);
            share
                .grow(wanted - room_bytes, deadline)
                .await
                .map_err(|NoRoom| Unread::NoRoom)?;
            room_bytes = wanted;
        }
        place.add(&data, most_bytes);
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
pub(crate) async fn discard(head: &Parts, mut body: RequestBody) {
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
