//! Bodies of requests, read within limits of size, time and memory.

pub(crate) mod decode;
mod place;
mod room;

use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, EXPECT};
use http::request::Parts;
use http::{StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::{Instant, sleep_until, timeout};

use self::decode::{AsItIs, Decode, Undecodable};
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

/// After so many bytes, read or made of what was read, others on this thread have their turn: a packet can become a
/// thousand times its length.
const TURN_BYTES: usize = 256 << 10;

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
    /// The same bytes. Whoever has them for longer than this is there accounts for them: they take no more memory than
    /// they are long, or a page more.
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
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is longer than this many bytes.
    TooLong(usize),
    /// There was no room in time, or another body needed it more.
    NoRoom,
    /// It was not there within this time.
    Late(Duration),
    /// It is not what its head says that it is.
    Undecodable(&'static str),
    /// No more of it comes.
    Body(BodyError),
}

impl From<Undecodable> for Unread {
    fn from(why: Undecodable) -> Self {
        match why {
            Undecodable::TooLong(max_bytes) => Self::TooLong(max_bytes),
            Undecodable::Malformed(why) => Self::Undecodable(why),
        }
    }
}

impl Reader {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            room: Room::new(limits.all_max_bytes),
        }
    }

    /// The most bytes of a body, decoded.
    pub(crate) fn max_bytes(&self) -> usize {
        self.limits.max_bytes
    }

    /// Reads `body` whole, of a kind that comes as it is. It takes room as it comes, not as it is announced.
    ///
    /// # Errors
    /// The answer to give instead; `busy` when there was no room in time, or another body needed it more.
    pub(crate) async fn read(
        &self,
        head: &Parts,
        body: RequestBody,
        busy: impl FnOnce() -> Answer,
    ) -> Result<Held<'_>, Answer> {
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
        self.read_decoded(head, body, AsItIs).await.map_err(|why| match why {
            Unread::TooLong(max_bytes) => too_long(max_bytes),
            Unread::NoRoom => answer::last(busy()),
            Unread::Late(time) => {
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
            Unread::Undecodable(_) | Unread::Body(BodyError::Broken(_)) => answer::last(answer::error(
                StatusCode::BAD_REQUEST,
                "IncompleteBody",
                "The body ended early or is not in its announced form.",
            )),
        })
    }

    /// Reads `body` whole and decoded. It takes room as it comes, not as it is announced, for what it becomes and for what
    /// decoding needs, before anything is written.
    ///
    /// # Errors
    /// Why not; its sender has then been listened to ([`discard`]) as far as that helps.
    #[expect(clippy::disallowed_methods, reason = "a body has a deadline")]
    pub(crate) async fn read_decoded(
        &self,
        head: &Parts,
        mut body: RequestBody,
        decode: impl Decode,
    ) -> Result<Held<'_>, Unread> {
        let BodyLimits { max_bytes, time, .. } = self.limits;
        // Announced: not even begun with.
        if body.size_hint().lower() > (max_bytes + decode.frame_bytes()) as u64 {
            discard(head, body).await;
            return Err(Unread::TooLong(max_bytes));
        }
        let share = self.room.share();
        let mut kept = Kept {
            share: &share,
            limits: self.limits,
            deadline: Instant::now() + time,
            place: Place::new(),
            room_bytes: 0,
        };
        match whole(&mut body, decode, &mut kept).await {
            Ok(()) => {
                let mut place = kept.place;
                place.fit();
                share.is_whole();
                Ok(Held {
                    bytes: Bytes::from_owner(place),
                    _share: share,
                })
            }
            Err(why) => {
                drop(kept);
                drop(share);
                if matches!(why, Unread::TooLong(_) | Unread::NoRoom | Unread::Undecodable(_)) {
                    discard(head, body).await;
                }
                Err(why)
            }
        }
    }
}

/// What is kept of a body that is being read.
struct Kept<'s, 'r> {
    share: &'s Share<'r>,
    limits: BodyLimits,
    deadline: Instant,
    /// In one piece.
    place: Place,
    /// How much room it has: for the place, and for decoding.
    room_bytes: usize,
}

impl Kept<'_, '_> {
    /// Has room for `bytes` in all from here on.
    async fn reserve(&mut self, bytes: usize) -> Result<(), Unread> {
        if bytes > self.room_bytes {
            self.share
                .grow(bytes - self.room_bytes, self.deadline)
                .await
                .map_err(|NoRoom| Unread::NoRoom)?;
            self.room_bytes = bytes;
        }
        Ok(())
    }

    /// Adds `piece`, beside `own_bytes` that decoding needs, of a body that will have `announced` bytes, if that is known.
    async fn add(&mut self, piece: &[u8], own_bytes: usize, announced: Option<usize>) -> Result<(), Unread> {
        let max_bytes = self.limits.max_bytes;
        let needed = self.place.len() + piece.len();
        if needed > max_bytes {
            return Err(Unread::TooLong(max_bytes));
        }
        let most_bytes = announced.unwrap_or(max_bytes).min(max_bytes);
        if own_bytes + needed > self.room_bytes {
            let step = if self.place.len() == 0 {
                SMALL_BYTES
            } else {
                STEP_BYTES
            };
            let wanted = (self.place.len() + step).min(most_bytes).max(needed);
            self.reserve(own_bytes + wanted).await?;
        }
        // Without a length it gets twice as much each time, so that little is copied and little is held in vain.
        let place_bytes = announced.unwrap_or(2 * needed).min(max_bytes);
        self.place.add(piece, place_bytes);
        Ok(())
    }
}

/// Reads `body` to its end.
async fn whole(
    body: &mut RequestBody,
    mut decode: impl Decode,
    kept: &mut Kept<'_, '_>,
) -> Result<(), Unread> {
    let own_bytes = decode.own_bytes();
    let raw_max_bytes = kept.limits.max_bytes + decode.frame_bytes();
    let announced = body.size_hint().exact().filter(|_| decode.keeps_length());
    let announced = announced.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let (mut raw_bytes, mut turn_bytes) = (0, 0);
    // One for all pieces: each new one would wake the runtime's driver.
    let mut late = pin!(sleep_until(kept.deadline));
    loop {
        let frame = tokio::select! {
            biased;
            () = kept.share.is_to_give_up() => return Err(Unread::NoRoom),
            frame = body.frame() => frame,
            () = &mut late => return Err(Unread::Late(kept.limits.time)),
        };
        let Some(frame) = frame else {
            break;
        };
        // Trailers are nothing to us.
        let Ok(data) = frame.map_err(Unread::Body)?.into_data() else {
            continue;
        };
        kept.share.is_fed();
        raw_bytes += data.len();
        // Also when it becomes nothing, however long it is.
        if raw_bytes > raw_max_bytes {
            return Err(Unread::TooLong(kept.limits.max_bytes));
        }
        if !data.is_empty() {
            kept.reserve(own_bytes).await?;
        }
        let mut data = &data[..];
        while !data.is_empty() {
            let (taken, piece) = decode.decode(data)?;
            turn_bytes += taken + piece.len();
            data = &data[taken..];
            kept.add(piece, own_bytes, announced).await?;
            if turn_bytes >= TURN_BYTES {
                turn_bytes = 0;
                tokio::task::yield_now().await;
            }
        }
    }
    let rest = decode.end()?;
    kept.add(rest, own_bytes, announced).await
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
    // Who asked first waits for our word, and reads the answer in its place; and of HTTP/2 only the one stream ends.
    if body.is_end_stream() || head.headers.contains_key(EXPECT) || head.version == Version::HTTP_2 {
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
