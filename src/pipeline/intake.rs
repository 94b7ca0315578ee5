//! Where receivers put what came in: one lane, or something that becomes many.

use std::time::Instant;

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
