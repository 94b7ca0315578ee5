//! The open connections of a port: which of them goes when another one needs its place, and which requests find one.
//!
//! Nobody holds a port by what it does not do: a connection without a request, a stream, a body whose rest does not come
//! and an answer that is not read all give way to who comes, at once when no other does ([`Readiness`]). What remains are
//! requests that are worked on, for a bounded time. Of these, those that only ask (GET, HEAD: health, metrics) find places
//! that others do not get, and addresses that are at few find some that those with many do not get. All clients on the
//! daemon's own host are one address: they can do worse to each other than take places, and telling them apart by port
//! would tell nothing.
//!
//! Who gives way with a body on its way is answered, and has a moment to read that. These connections are no places any
//! more, but still files: only few may be at that, and with one more the first of them goes at once.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::connection::{Clocked, Readiness};
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
    /// Those that have been sent away and may still read why, in that order.
    leaving: VecDeque<(u64, Arc<Clocked>)>,
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

/// Whether there is a place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// One that has just come may go from then on: clients that come fast enough take turns, and none takes the place of
    /// one whose first bytes are on their way.
    Soon(Instant),
    /// All are worked for.
    None,
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
    /// Whether one more may be taken. When there are as many as may be, one goes for it: of the peer that has most
    /// connections, of those that go most readily, the one that has been so for longest.
    pub(super) fn room(&self, limits: &Limits) -> Room {
        let mut connections = self.lock();
        let now = now();
        if connections.open.len() < limits.connections
            || connections.evict(limits, |_, open| open.shared.readiness(now))
        {
            return Room::Free;
        }
        let open = connections.open.values();
        let new = open.filter_map(|open| open.shared.is_new_until(now));
        new.min().map_or(Room::None, Room::Soon)
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
    /// Sends one away of those that `readiness` has something for; `false` when there is none.
    fn evict(
        &mut self,
        limits: &Limits,
        readiness: impl Fn(u64, &Open) -> Option<(Readiness, Instant)>,
    ) -> bool {
        let mut of_peers: HashMap<Peer, usize> = HashMap::new();
        for open in self.open.values() {
            *of_peers.entry(open.peer).or_default() += 1;
        }
        let candidates = self.open.iter().filter_map(|(number, open)| {
            let (readiness, since) = readiness(*number, open)?;
            let crowd = of_peers.get(&open.peer).copied().unwrap_or_default();
            Some((Reverse(crowd), readiness, since, *number))
        });
        let Some((.., number)) = candidates.min() else {
            return false;
        };
        let Some(evicted) = self.open.get(&number).filter(|open| open.shared.evict()) else {
            return false;
        };
        self.leaving.push_back((number, Arc::clone(&evicted.shared)));
        self.open.remove(&number);
        while self.leaving.len() > limits.leaving() {
            if let Some((_, first)) = self.leaving.pop_front() {
                first.hurry();
            }
        }
        true
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
            || connections.evict(limits, |number, open| {
                let takes_a_place = number != self.number && open.shared.is_at_work();
                // Several requests do not go for one because their client has just not sent anything.
                let is_one = open.shared.requests_at_work() == 1;
                let readiness = open.shared.readiness(now).filter(|_| takes_a_place);
                readiness.filter(|(readiness, _)| is_one || *readiness == Readiness::Late)
            });
        if !may_work {
            self.shared.turn_away();
        }
        may_work
    }

    /// Before the answer here becomes a stream: when there are as many already as may be, the oldest goes.
    pub(super) fn make_room_for_stream(&self, limits: &Limits) {
        let mut connections = self.places.lock();
        let now = now();
        let streams = |open: &Open| {
            let readiness = open.shared.readiness(now);
            readiness.filter(|(readiness, _)| *readiness == Readiness::Streams)
        };
        if connections.open.values().filter_map(streams).count() >= limits.streams {
            connections.evict(limits, |_, open| streams(open));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.places.lock();
        connections.open.remove(&self.number);
        connections.leaving.retain(|(number, _)| *number != self.number);
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
    use crate::net::server::connection::{NEW, STALLED};

    const LIMITS: Limits = Limits {
        head_max_bytes: 8 << 10,
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        exchange: Duration::from_secs(20),
        connections: 64,
        streams: 0,
        http2: None,
    };

    fn limits(connections: usize) -> Limits {
        Limits {
            connections,
            ..LIMITS
        }
    }

    fn has_room(places: &Places, limits: &Limits) -> bool {
        places.room(limits) == Room::Free
    }

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
            assert!(has_room(&places, &limits(3)));
            taken.push(places.take(peer(1)));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let first = taken[0].shared();
        assert!(has_room(&places, &limits(3)));
        taken.push(places.take(peer(1)));
        // It has heard of it, and its place is taken; leaving late frees no second one.
        assert!(first.is_asked_to_go().await);
        drop(taken.remove(0));
        assert_eq!(places.lock().open.len(), 3);
        for place in &taken {
            place.shared.pretend_request(&Method::POST, false);
        }
        assert_eq!(
            places.room(&limits(3)),
            Room::None,
            "all are in the middle of a request"
        );
        drop(taken.pop());
        assert!(has_room(&places, &limits(3)));
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
            assert!(has_room(&places, &limits(4)));
            assert!(taken[gone].shared.is_asked_to_go().await, "{gone}");
            taken.push(works(&places, peer(1)));
        }
        assert!(!has_room(&places, &limits(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_stream_than_there_may_be_takes_the_place_of_the_oldest() {
        let places = Arc::new(Places::default());
        let streams = Limits { streams: 3, ..LIMITS };
        let mut taken = Vec::new();
        for _ in 0..4 {
            let place = places.take(peer(1));
            place.make_room_for_stream(&streams);
            place.shared.pretend_stream();
            taken.push(place);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut gone = Vec::new();
        for place in &taken {
            gone.push(place.shared.is_asked_to_go().await);
        }
        assert_eq!(gone, [true, false, false, false]);
        assert!(places.lock().open.len() == 3 && has_room(&places, &limits(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_rest_of_a_body_goes_for_another_at_once_the_longest_silent_first() {
        let places = Arc::new(Places::default());
        let taken = [
            works(&places, peer(1)),
            waits(&places, peer(1)),
            waits(&places, peer(1)),
        ];
        // One that sends, however slowly, goes after one that does not.
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(15)).await;
            taken[1].shared.came(b"x");
        }
        let mut came = Vec::new();
        for gone in [2, 1] {
            assert!(has_room(&places, &limits(3)));
            assert!(taken[gone].shared.is_asked_to_go().await);
            came.push(works(&places, peer(1)));
        }
        assert!(!has_room(&places, &limits(3)), "all are worked on");
        assert!(!taken[0].shared.is_asked_to_go().await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_come_has_time_to_send_its_request_whoever_else_sends_a_byte_at_a_time() {
        let places = Arc::new(Places::default());
        let held = [waits(&places, peer(1)), waits(&places, peer(1))];
        tokio::time::sleep(Duration::from_millis(10)).await;
        let come = places.take(peer(1));
        let mut others = Vec::new();
        for gone in &held {
            tokio::time::sleep(Duration::from_millis(10)).await;
            held[0].shared.came(b"x");
            held[1].shared.came(b"x");
            assert!(has_room(&places, &limits(3)));
            assert!(gone.shared.is_asked_to_go().await);
            others.push(waits(&places, peer(1)));
        }
        assert!(!come.shared.is_asked_to_go().await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_all_have_just_come_waits_until_the_first_of_them_had_its_time() {
        let places = Arc::new(Places::default());
        let first = places.take(peer(1));
        let until = now() + NEW;
        tokio::time::sleep(Duration::from_millis(4)).await;
        let second = places.take(peer(1));
        assert_eq!(places.room(&limits(2)), Room::Soon(until));
        tokio::time::sleep(NEW - Duration::from_millis(4)).await;
        assert_eq!(places.room(&limits(2)), Room::Free);
        assert!(first.shared.is_asked_to_go().await && !second.shared.is_asked_to_go().await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_those_that_have_been_sent_away_few_may_read_why_the_others_go_at_once() {
        let places = Arc::new(Places::default());
        let mut taken = Vec::new();
        for number in 0..80 {
            assert!(has_room(&places, &LIMITS), "{number}");
            taken.push(waits(&places, peer(1)));
        }
        let at_once = |place: &&Place| place.shared.goes_at_once();
        assert_eq!(taken.iter().filter(at_once).count(), 16 - 8);
        assert!(taken[..8].iter().all(|place| place.shared.goes_at_once()));
        // Those that have gone are none of them any more.
        taken.drain(..16);
        for _ in 80..88 {
            assert!(has_room(&places, &LIMITS));
            taken.push(waits(&places, peer(1)));
        }
        assert_eq!(taken.iter().filter(at_once).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_most_connections_gives_way_first() {
        let places = Arc::new(Places::default());
        let few = places.take(peer(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let many = [places.take(peer(2)), places.take(peer(2))];
        tokio::time::sleep(NEW).await;
        assert!(has_room(&places, &limits(3)));
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
            assert!(has_room(&places, &LIMITS));
            let place = places.take(peer(1));
            place.shared.pretend_request(&Method::GET, false);
            taken.push(place);
        }
        assert!(!has_room(&places, &LIMITS));
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
