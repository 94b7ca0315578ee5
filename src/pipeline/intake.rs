//! Where receivers put what came in: one lane, or something that becomes many.

use std::time::Instant;

use bytes::Bytes;

use crate::ledger::signal::{Receiver, Signal};

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// Not now.
    Full,
    /// Not even when nothing else is there.
    TooLong,
}

/// What receivers speak to. They know no lane, and no destination.
///
/// It is a parameter, not an object: with one lane a call is a call of the lane. Something with several lanes takes each
/// document once and hands it to each of them in turn; none waits for another.
pub trait Intake: Send + Sync + 'static {
    /// Adds what one receive brought.
    fn add<'a>(&self, documents: impl Iterator<Item = &'a [u8]>, now: Instant);

    /// As [`Intake::add`] for one document that did not come through the receiver of datagrams, of any length.
    fn add_from_elsewhere(&self, document: &[u8], now: Instant);

    /// Returns when the receiver of datagrams, whose timer is for all, should look at [`Intake::next_tick`] again.
    fn opened(&self) -> impl Future<Output = ()> + Send;

    /// When [`Intake::tick`] has something to do; `None` while there is nothing.
    fn next_tick(&self) -> Option<Instant>;

    /// Does what is due at `now`: seals what is old enough, says what is left to be said.
    fn tick(&self, now: Instant);

    /// Seals everything whatever its age, for the end: nothing more is added.
    fn seal(&self, now: Instant);

    /// Whether a request body of `bytes` with documents can be taken without losing anything.
    fn room_for(&self, bytes: usize) -> Room;

    /// The longest such body, in bytes, that can be taken when nothing else is there.
    fn longest_bytes(&self) -> usize;
}

/// How the body of an OTLP export request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Protobuf: one request after the other is one request with the content of both.
    Protobuf,
    /// JSON: an object, which goes on by itself.
    Json,
}

/// A whole OTLP export request, decompressed, whose shape a receiver has checked down to its items and not further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it carries.
    pub signal: Signal,
    /// How it is written.
    pub form: Form,
    /// By which way it came.
    pub receiver: Receiver,
    /// The request, byte for byte. Whoever keeps it pays for it: the receiver's own share of memory ends with the call.
    pub body: Bytes,
    /// The spans, data points or log records in it; never 0.
    pub items: u64,
}

/// Why nothing of a request was taken: what it becomes on its way is longer than what there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// For now: the same request may be taken later.
    Now,
    /// Even when nothing else is there.
    Ever,
}

/// What of a request was not taken and never will be, so that its sender must not send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// So many of its items, at least 1.
    pub items: u64,
    /// Why, for the sender's log: bounded, and without anything that was in the request.
    pub why: String,
}

/// Where the OTLP receiver puts whole requests. It counts what it takes; the receiver counts nothing but requests.
///
/// No call waits. All are made where other requests are served, but for [`Requests::add`] of a long request of a signal that
/// is converted, which another thread does.
pub trait Requests: Send + Sync + 'static {
    /// Whether anything is done with this signal. It does not change while the process runs.
    fn wants(&self, signal: Signal) -> bool;

    /// Whether a request of `bytes` can be taken without losing anything: [`Room::Full`] only when no destination of this
    /// signal has room, [`Room::TooLong`] when none ever will. What it becomes on its way is not known yet
    /// ([`Requests::add`]).
    fn room_for(&self, signal: Signal, bytes: usize) -> Room;

    /// Takes a request of a signal that is wanted. There is room, or was when [`Requests::room_for`] was asked; a
    /// destination that has none by now drops its oldest. Returns what was not taken of it for good.
    ///
    /// # Errors
    /// The request goes nowhere else, and what it becomes on its way has no room. Then nothing of it was taken or counted,
    /// and nothing was dropped for it.
    fn add(&self, request: Request, now: Instant) -> Result<Option<NotTaken>, NoRoom>;

    /// Counts a request that was refused for what it is, and not for want of room: one received and one rejected of this
    /// signal, since what cannot be read has no number of items.
    fn add_refused(&self, signal: Signal, receiver: Receiver);

    /// Whether [`Requests::add`] reads all of a request of this signal and makes something else of it, which takes as long as
    /// the request is. It does not change while the process runs.
    fn is_converted(&self, signal: Signal) -> bool;
}
