//! The memory that bodies of one kind have together. Each takes of it as it grows, and nothing before its bytes are
//! there.
//!
//! So bodies can be in each other's way: each with a part, and no room for any rest. Then one gives up, which frees what
//! it has: one whose client has sent nothing for [`STALLED`], the longest silent first, or, when every body waits for
//! room, the youngest. The oldest whose client sends gets through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long a client may send nothing while another body waits for the room that its own takes.
pub(super) const STALLED: Duration = Duration::from_secs(1);

/// Room in bytes.
#[derive(Debug)]
pub(super) struct Room {
    all_bytes: usize,
    holders: Mutex<Holders>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Holders {
    taken_bytes: usize,
    next: u64,
    /// By age.
    shares: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    bytes: usize,
    at: At,
    gives_up: Arc<Notify>,
}

/// What a holder of room is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Its client is to send more, and last did so then.
    Client(Instant),
    /// It needs more room.
    Room,
    /// It is whole, and being worked on.
    Work,
    /// It has been told to give up, and will free what it has.
    GivingUp,
}

/// The room that one body has; dropping it frees it.
#[derive(Debug)]
pub(super) struct Share<'r> {
    room: &'r Room,
    number: u64,
    gives_up: Arc<Notify>,
}

/// There is no room for the rest of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Room {
    pub(super) fn new(all_bytes: usize) -> Self {
        Self {
            all_bytes,
            holders: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// A share that has no bytes yet.
    pub(super) fn share(&self) -> Share<'_> {
        let mut holders = self.lock();
        let number = holders.next;
        holders.next += 1;
        let gives_up = Arc::new(Notify::new());
        let holder = Holder {
            bytes: 0,
            at: At::Client(now()),
            gives_up: Arc::clone(&gives_up),
        };
        holders.shares.insert(number, holder);
        drop(holders);
        Share {
            room: self,
            number,
            gives_up,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holders {
    /// Tells the one to give up whose room is needed most of all, if there is one now.
    fn make_room(&mut self, now: Instant) {
        let holding = || self.shares.iter().filter(|(_, holder)| holder.bytes > 0);
        let silent = holding().filter_map(|(number, holder)| match holder.at {
            At::Client(since) if now.saturating_duration_since(since) >= STALLED => Some((since, *number)),
            _ => None,
        });
        let number = match silent.min() {
            Some((_, number)) => number,
            None if holding().all(|(_, holder)| holder.at == At::Room) => match holding().next_back() {
                Some((number, _)) => *number,
                None => return,
            },
            // Somebody will go on, or has been silent for too short a time yet.
            None => return,
        };
        if let Some(holder) = self.shares.get_mut(&number) {
            holder.at = At::GivingUp;
            holder.gives_up.notify_one();
        }
    }
}

impl Share<'_> {
    /// Adds `bytes` to the share; waits for them until `deadline`.
    ///
    /// # Errors
    /// When there is no room until then, or this body is the one to give up.
    pub(super) async fn grow(&self, bytes: usize, deadline: Instant) -> Result<(), NoRoom> {
        loop {
            let mut freed = std::pin::pin!(self.room.freed.notified());
            freed.as_mut().enable();
            {
                let mut holders = self.room.lock();
                let fits = holders.taken_bytes + bytes <= self.room.all_bytes;
                let Some(holder) = holders.shares.get_mut(&self.number) else {
                    return Err(NoRoom);
                };
                if holder.at == At::GivingUp {
                    return Err(NoRoom);
                }
                if fits {
                    holder.bytes += bytes;
                    holder.at = At::Client(now());
                    holders.taken_bytes += bytes;
                    return Ok(());
                }
                holder.at = At::Room;
                holders.make_room(now());
            }
            let now = now();
            if now >= deadline {
                return Err(NoRoom);
            }
            tokio::select! {
                biased;
                () = self.gives_up.notified() => return Err(NoRoom),
                // Also looks again who has become silent meanwhile.
                _ = timeout(STALLED.min(deadline - now), freed) => {}
            }
        }
    }

    /// Its client has sent something.
    pub(super) fn is_fed(&self) {
        self.set(At::Client(now()));
    }

    /// The body is whole.
    pub(super) fn is_whole(&self) {
        self.set(At::Work);
    }

    /// Resolves when this body is the one to give up.
    pub(super) async fn is_to_give_up(&self) {
        self.gives_up.notified().await;
    }

    fn set(&self, at: At) {
        if let Some(holder) = self.room.lock().shares.get_mut(&self.number)
            && holder.at != At::GivingUp
        {
            holder.at = at;
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut holders = self.room.lock();
        if let Some(holder) = holders.shares.remove(&self.number) {
            holders.taken_bytes -= holder.bytes;
        }
        drop(holders);
        self.room.freed.notify_waiters();
    }
}

/// The runtime's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "who is silent for long gives up its room"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        now() + Duration::from_secs(10)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_sent_nothing_has_no_room_and_is_in_nobodys_way() {
        let room = Room::new(10);
        let started = now();
        let _silent: Vec<Share> = (0..100).map(|_| room.share()).collect();
        let share = room.share();
        assert_eq!(share.grow(10, soon()).await, Ok(()));
        assert_eq!(started.elapsed(), Duration::ZERO);
        // And what is freed is there again.
        drop(share);
        assert_eq!(room.share().grow(10, soon()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_a_second_gives_way_to_who_sends_the_longest_silent_first() {
        let room = Room::new(10);
        let (first, second, third) = (room.share(), room.share(), room.share());
        first.grow(5, soon()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        second.grow(5, soon()).await.unwrap();
        let started = now();
        let silent = async {
            first.is_to_give_up().await;
            drop(first);
        };
        let (grown, ()) = tokio::join!(third.grow(5, soon()), silent);
        assert_eq!((grown, started.elapsed()), (Ok(()), STALLED));
        // The other one had been silent for as long by then, and was not needed.
        assert_eq!(second.grow(1, now()).await, Err(NoRoom));
        drop(third);
        assert_eq!(second.grow(1, now()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_wait_for_room_the_youngest_gives_up_at_once_and_the_oldest_gets_through() {
        let room = Room::new(10);
        let (old, young) = (room.share(), room.share());
        old.grow(5, soon()).await.unwrap();
        young.grow(5, soon()).await.unwrap();
        let started = now();
        let younger = async {
            let grown = young.grow(1, soon()).await;
            drop(young);
            grown
        };
        let (older, younger) = tokio::join!(old.grow(1, soon()), younger);
        assert_eq!((older, younger), (Ok(()), Err(NoRoom)));
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_whole_is_waited_for_until_the_deadline() {
        let room = Room::new(10);
        let (whole, waiting) = (room.share(), room.share());
        whole.grow(10, soon()).await.unwrap();
        whole.is_whole();
        let started = now();
        assert_eq!(waiting.grow(1, soon()).await, Err(NoRoom));
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        let done = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(whole);
        };
        let (grown, ()) = tokio::join!(waiting.grow(1, soon()), done);
        assert_eq!((grown, started.elapsed()), (Ok(()), Duration::from_secs(13)));
    }
}
