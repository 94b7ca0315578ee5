//! The open connections of a port, and which of them goes when another one needs its place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Clocked;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Places {
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Arc<Clocked>>,
}

/// A place among the open connections; dropping it leaves it.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    shared: Arc<Clocked>,
    places: Arc<Places>,
}

impl Places {
    /// Whether one more may be taken. When they are `max`, the one that has been without a request for longest goes,
    /// and when all have one, the oldest stream: its reader comes back by itself.
    pub(super) fn has_room(&self, max: usize) -> bool {
        let mut connections = self.lock();
        connections.open.len() < max
            || connections.evict_oldest(|shared| shared.progress().is_without_request())
            || connections.evict_oldest(|shared| shared.progress().is_streaming())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "each stage of a connection has a deadline"
    )]
    pub(super) fn take(self: &Arc<Self>) -> Place {
        let shared = Arc::new(Clocked::new(tokio::time::Instant::now().into_std()));
        let mut connections = self.lock();
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, Arc::clone(&shared));
        Place {
            number,
            shared,
            places: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Sends away, of those that `may_go`, the one that has been at its stage for longest; `false` when there is none.
    fn evict_oldest(&mut self, may_go: impl Fn(&Clocked) -> bool) -> bool {
        let oldest = self
            .open
            .iter()
            .filter(|(_, shared)| may_go(shared))
            .min_by_key(|(_, shared)| shared.progress().since)
            .map(|(number, _)| *number);
        let evicted = oldest.and_then(|number| self.open.remove(&number));
        if let Some(evicted) = &evicted {
            evicted.evict();
        }
        evicted.is_some()
    }
}

impl Place {
    /// What is known of the connection at this place.
    pub(super) fn shared(&self) -> Arc<Clocked> {
        Arc::clone(&self.shared)
    }

    /// Before the answer here becomes a stream: when there are `max` already, the oldest goes.
    pub(super) fn make_room_for_stream(&self, max: usize) {
        let mut connections = self.places.lock();
        let streams = connections.open.values();
        if streams.filter(|shared| shared.progress().is_streaming()).count() >= max {
            connections.evict_oldest(|shared| shared.progress().is_streaming());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_more_takes_the_place_of_the_one_that_has_been_without_a_request_for_longest() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for _ in 0..3 {
            assert!(places.has_room(3));
            taken.push(places.take());
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        let first = taken[0].shared();
        assert!(places.has_room(3));
        taken.push(places.take());
        // It has heard of it, and its place is taken; leaving late frees no second one.
        assert!(first.is_asked_to_go().await);
        drop(taken.remove(0));
        assert_eq!(places.lock().open.len(), 3);
        for place in &taken {
            place.shared.pretend_request();
        }
        assert!(!places.has_room(3), "all are in the middle of a request");
        drop(taken.pop());
        assert!(places.has_room(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_only_when_every_other_connection_has_a_request_and_then_the_oldest() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for is_stream in [false, true, true, false] {
            let place = places.take();
            if is_stream {
                place.shared.pretend_stream();
            }
            taken.push(place);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        taken[0].shared.pretend_request();
        for gone in [3, 1, 2] {
            assert!(places.has_room(4));
            assert!(taken[gone].shared.is_asked_to_go().await, "{gone}");
            let place = places.take();
            place.shared.pretend_request();
            taken.push(place);
        }
        assert!(!places.has_room(4));
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_stream_than_there_may_be_takes_the_place_of_the_oldest() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for _ in 0..4 {
            let place = places.take();
            place.make_room_for_stream(3);
            place.shared.pretend_stream();
            taken.push(place);
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        let mut gone = Vec::new();
        for place in &taken {
            gone.push(place.shared.is_asked_to_go().await);
        }
        assert_eq!(gone, [true, false, false, false]);
        assert!(places.lock().open.len() == 3 && places.has_room(4));
    }
}
