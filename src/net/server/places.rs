//! The open connections of a port: which of them goes when another one needs its place, and which requests find one.
//!
//! Nobody holds a port by what it does not do: a connection without a request, a stream, a body whose rest does not come
//! and an answer that is not read all give way. What remains are requests that are worked on, for a bounded time. Of
//! these, those that only ask (GET, HEAD: health, metrics) find places that others do not get, and addresses that are at
//! few find some that those with many do not get. All clients on the daemon's own host are one address: they can do worse
//! to each other than take places, and telling them apart by port would tell nothing.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::connection::Clocked;
use super::limits::Limits;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Places {
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, Open>,
}

#[derive(Debug, Clone)]
struct Open {
    shared: Arc<Clocked>,
    peer: Peer,
}

/// Who has a connection, as far as an address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // One host has all addresses of a network.
            IpAddr::V6(address) if !address.is_loopback() => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
            address if address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        })
    }
}

/// A place among the open connections; dropping it leaves it.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    shared: Arc<Clocked>,
    peer: Peer,
    places: Arc<Places>,
}

impl Places {
    /// Whether one more may be taken. When they are `max`, one goes for it: that has been without a request for longest,
    /// else the oldest stream, whose reader comes back by itself, else the one whose client has been waited for longest.
    /// Of several kinds of clients it is one of those that have most connections.
    pub(super) fn has_room(&self, max: usize) -> bool {
        let mut connections = self.lock();
        let now = now();
        connections.open.len() < max
            || connections.evict(|open| {
                let progress = open.shared.progress();
                progress.is_without_request().then_some(progress.since)
            })
            || connections.evict_stream()
            || connections.evict(|open| open.shared.late_since(now))
    }

    pub(super) fn take(self: &Arc<Self>, peer: Peer) -> Place {
        let shared = Arc::new(Clocked::new(now()));
        let mut connections = self.lock();
        let number = connections.next;
        connections.next += 1;
        let open = Open {
            shared: Arc::clone(&shared),
            peer,
        };
        connections.open.insert(number, open);
        Place {
            number,
            shared,
            peer,
            places: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Sends one away of those that have a time here, the earliest of the peer with most connections; `false` when there
    /// is none.
    fn evict(&mut self, since: impl Fn(&Open) -> Option<Instant>) -> bool {
        let mut of_peers: HashMap<Peer, usize> = HashMap::new();
        for open in self.open.values() {
            *of_peers.entry(open.peer).or_default() += 1;
        }
        let candidates = self.open.iter().filter_map(|(number, open)| {
            let crowd = of_peers.get(&open.peer).copied().unwrap_or_default();
            Some((Reverse(crowd), since(open)?, *number))
        });
        let evicted = candidates
            .min()
            .and_then(|(.., number)| self.open.remove(&number));
        if let Some(evicted) = &evicted {
            evicted.shared.evict();
        }
        evicted.is_some()
    }

    fn evict_stream(&mut self) -> bool {
        self.evict(|open| {
            let progress = open.shared.progress();
            progress.is_streaming().then_some(progress.since)
        })
    }
}

impl Place {
    /// What is known of the connection at this place.
    pub(super) fn shared(&self) -> Arc<Clocked> {
        Arc::clone(&self.shared)
    }

    /// Whether the request here, which does more than ask, may be worked on; else its place is left to others.
    pub(super) fn may_work(&self, limits: &Limits) -> bool {
        let mut connections = self.places.lock();
        let (mut all, mut own) = (0, 0);
        for (number, open) in &connections.open {
            let requests = open.shared.requests_at_work();
            // Beside this one.
            let others = requests.saturating_sub(usize::from(*number == self.number));
            all += others;
            own += if open.peer == self.peer { others } else { 0 };
        }
        let for_few = limits.connections - limits.kept_for_asking();
        let for_all = for_few - limits.kept_for_few();
        let now = now();
        let may_work = all < for_all
            || (all < for_few && own < limits.own_share())
            || connections.evict(|open| {
                let late = open.shared.late_since(now);
                late.filter(|_| open.shared.is_at_work())
            });
        if !may_work {
            self.shared.turn_away();
        }
        may_work
    }

    /// Before the answer here becomes a stream: when there are `max` already, the oldest goes.
    pub(super) fn make_room_for_stream(&self, max: usize) {
        let mut connections = self.places.lock();
        let streams = connections.open.values();
        let streaming = streams.filter(|open| open.shared.progress().is_streaming());
        if streaming.count() >= max {
            connections.evict_stream();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

/// The runtime's clock, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "each stage of a connection has a deadline"
)]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::net::server::connection::STALLED;

    const LIMITS: Limits = Limits {
        head_max_bytes: 8 << 10,
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        exchange: Duration::from_secs(20),
        connections: 64,
        streams: 0,
        http2: None,
    };

    fn peer(last: u8) -> Peer {
        Peer::of([10, 0, 0, last].into())
    }

    /// A POST that is worked on.
    fn works(places: &Arc<Places>, from: Peer) -> Place {
        let place = places.take(from);
        place.shared.pretend_request(&Method::POST, false);
        place
    }

    /// A POST whose body does not come.
    fn waits(places: &Arc<Places>, from: Peer) -> Place {
        let place = places.take(from);
        place.shared.pretend_request(&Method::POST, true);
        place
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_takes_the_place_of_the_one_that_has_been_without_a_request_for_longest() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for _ in 0..3 {
            assert!(places.has_room(3));
            taken.push(places.take(peer(1)));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let first = taken[0].shared();
        assert!(places.has_room(3));
        taken.push(places.take(peer(1)));
        // It has heard of it, and its place is taken; leaving late frees no second one.
        assert!(first.is_asked_to_go().await);
        drop(taken.remove(0));
        assert_eq!(places.lock().open.len(), 3);
        for place in &taken {
            place.shared.pretend_request(&Method::POST, false);
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
            let place = places.take(peer(1));
            if is_stream {
                place.shared.pretend_stream();
            }
            taken.push(place);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        taken[0].shared.pretend_request(&Method::POST, false);
        for gone in [3, 1, 2] {
            assert!(places.has_room(4));
            assert!(taken[gone].shared.is_asked_to_go().await, "{gone}");
            taken.push(works(&places, peer(1)));
        }
        assert!(!places.has_room(4));
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_stream_than_there_may_be_takes_the_place_of_the_oldest() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for _ in 0..4 {
            let place = places.take(peer(1));
            place.make_room_for_stream(3);
            place.shared.pretend_stream();
            taken.push(place);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut gone = Vec::new();
        for place in &taken {
            gone.push(place.shared.is_asked_to_go().await);
        }
        assert_eq!(gone, [true, false, false, false]);
        assert!(places.lock().open.len() == 3 && places.has_room(4));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_rest_of_a_body_goes_for_another_once_it_is_late_the_longest_silent_first() {
        let places = Arc::new(Places::default());
        let taken = [
            works(&places, peer(1)),
            waits(&places, peer(1)),
            waits(&places, peer(1)),
        ];
        assert!(!places.has_room(3), "the rest may be on its way");
        tokio::time::sleep(STALLED).await;
        assert!(places.has_room(3));
        let gone = [
            taken[0].shared.is_asked_to_go().await,
            taken[1].shared.is_asked_to_go().await,
            taken[2].shared.is_asked_to_go().await,
        ];
        assert!(!gone[0] && gone[1] != gone[2], "{gone:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_most_connections_gives_way_first() {
        let places = Arc::new(Places::default());
        let few = places.take(peer(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let many = [places.take(peer(2)), places.take(peer(2))];
        assert!(places.has_room(3));
        assert!(!few.shared.is_asked_to_go().await);
        assert!(many[0].shared.is_asked_to_go().await || many[1].shared.is_asked_to_go().await);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_kept_for_addresses_with_few_requests_and_for_those_that_only_ask() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        // 64 less an eighth less an eighth.
        for _ in 0..48 {
            let place = works(&places, peer(1));
            assert!(place.may_work(&LIMITS));
            taken.push(place);
        }
        assert!(!works(&places, peer(1)).may_work(&LIMITS));
        for other in 2..10 {
            let place = works(&places, peer(other));
            assert!(place.may_work(&LIMITS), "{other}");
            assert!(
                !works(&places, peer(other)).may_work(&LIMITS),
                "one is its own share"
            );
            taken.push(place);
        }
        assert!(!works(&places, peer(10)).may_work(&LIMITS));
        // The rest is for GET.
        for _ in 56..64 {
            assert!(places.has_room(64));
            let place = places.take(peer(1));
            place.shared.pretend_request(&Method::GET, false);
            taken.push(place);
        }
        assert!(!places.has_room(64));
    }

    #[tokio::test(start_paused = true)]
    async fn the_requests_of_one_connection_are_counted_each_and_go_together() {
        let places = Arc::new(Places::default());
        let many = places.take(peer(1));
        many.shared.pretend_requests(48);
        assert!(many.may_work(&LIMITS), "it is the 48th itself");
        let one = works(&places, peer(1));
        assert!(!one.may_work(&LIMITS));
        let other = works(&places, peer(2));
        assert!(other.may_work(&LIMITS), "one is its own share");
        tokio::time::sleep(STALLED).await;
        let late = works(&places, peer(1));
        assert!(late.may_work(&LIMITS));
        assert!(many.shared.is_asked_to_go().await);
    }

    #[tokio::test(start_paused = true)]
    async fn half_sent_requests_give_way_to_whole_ones() {
        let places = Arc::new(Places::default());
        let taken: Vec<Place> = (0..48).map(|_| waits(&places, peer(1))).collect();
        tokio::time::sleep(STALLED).await;
        let whole = works(&places, peer(1));
        assert!(whole.may_work(&LIMITS));
        let mut gone = 0;
        for place in &taken {
            gone += u32::from(place.shared.is_asked_to_go().await);
        }
        assert_eq!(gone, 1);
    }

    #[test]
    fn an_address_is_one_peer_however_it_is_written_and_so_is_a_host() {
        let of = |address: &str| Peer::of(address.parse().unwrap());
        for (one, other, same) in [
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("127.0.0.1", "127.3.2.1", true),
            ("127.0.0.1", "::1", true),
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
    }
}
