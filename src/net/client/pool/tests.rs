//! Against an endpoint of which each read and write is the test's.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::Sourced;
use crate::net::client::proxy::ProxyRules;
use crate::net::client::tls::{Tls, Trust};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct Endpoint(TcpListener);

impl Endpoint {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn origin(&self) -> Arc<Origin> {
        origin(ProxyRules::default(), &format!("http://{}/", self.address()))
    }

    async fn accept(&self) -> Peer {
        Peer(self.0.accept().await.unwrap().0)
    }

    /// The other end of one call that is answered.
    async fn serve(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.exchange(OK).await;
        peer
    }
}

struct Peer(TcpStream);

impl Peer {
    async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    async fn answer(&mut self, answer: &str) {
        self.0.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn exchange(&mut self, answer: &str) {
        self.read_head().await;
        self.answer(answer).await;
    }

    /// The bytes until the other side closes.
    async fn read_to_end(&mut self) -> usize {
        let mut bytes = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut bytes).await;
        bytes.len()
    }

    /// What a SOCKS proxy says to a client without a password, and to any address.
    async fn let_through(&mut self) {
        let mut asked = [0; 10];
        self.0.read_exact(&mut asked[..3]).await.unwrap();
        self.0.write_all(&[5, 0]).await.unwrap();
        self.0.read_exact(&mut asked).await.unwrap();
        self.0.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    }
}

fn origin(proxies: ProxyRules, url: &str) -> Arc<Origin> {
    let tls = Arc::new(Tls::new(Trust::Anything));
    let connector = Connector::new(Arc::new(proxies), tls, Duration::from_secs(5));
    Origin::new(connector, &url.parse().unwrap()).unwrap()
}

fn proxied(address: &str) -> ProxyRules {
    let address = Sourced {
        value: address.to_owned(),
        source: "test".into(),
    };
    ProxyRules::for_xray(Some(&address), &Default::default()).unwrap()
}

fn request(body: impl Into<Bytes>) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::from(body.into()));
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("here"));
    request
}

async fn call(origin: &Arc<Origin>) -> Bytes {
    let response = origin.send(request("")).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Lets everybody else go on until `is_so`.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Until each connection that was made is closed, of which at least one was idle.
async fn until_only_closing_runs() {
    until(|| Handle::current().metrics().num_alive_tasks() == 1).await;
}

fn idle(origin: &Origin) -> usize {
    origin.shared().idle.len()
}

/// Two idle connections, the one that became it first first.
async fn two_idle(endpoint: &Endpoint, origin: &Arc<Origin>) -> (Peer, Peer) {
    let serving = async {
        let (mut first, mut second) = (endpoint.accept().await, endpoint.accept().await);
        first.read_head().await;
        second.exchange(OK).await;
        until(|| idle(origin) == 1).await;
        first.answer(OK).await;
        (second, first)
    };
    tokio::join!(call(origin), call(origin), serving).2
}

#[tokio::test]
async fn of_two_idle_connections_the_one_that_was_used_last_is_used() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_older, mut newer) = two_idle(&endpoint, &origin).await;
    for _ in 0..3 {
        let (body, ()) = tokio::join!(call(&origin), newer.exchange(OK));
        assert_eq!(body, "ok");
        assert_eq!(idle(&origin), 2);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_fifty_seconds_and_then_nothing_runs() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, mut peer) = tokio::join!(call(&origin), endpoint.serve());
    tokio::time::pause();
    // Its time counts from the last use.
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::join!(call(&origin), peer.exchange(OK));
    let used = Instant::now();
    // Time goes on by itself while everybody waits.
    assert_eq!(peer.read_to_end().await, 0);
    let waited = used.elapsed();
    assert!(
        waited >= IDLE_MAX && waited <= IDLE_MAX + Duration::from_millis(2),
        "{waited:?}"
    );
    assert_eq!(idle(&origin), 0);
    assert!(origin.shared().closing.is_none());
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn the_idle_connections_of_a_pool_that_is_gone_are_closed_at_once() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, mut peer) = tokio::join!(call(&origin), endpoint.serve());
    drop(origin);
    assert_eq!(peer.read_to_end().await, 0);
    until(|| Handle::current().metrics().num_alive_tasks() == 0).await;
}

#[tokio::test]
async fn idle_connections_that_the_endpoint_has_closed_are_passed_over() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let peers = two_idle(&endpoint, &origin).await;
    drop(peers);
    until_only_closing_runs().await;
    assert_eq!(idle(&origin), 2);
    let (body, _peer) = tokio::join!(call(&origin), endpoint.serve());
    assert_eq!(body, "ok");
    assert_eq!(idle(&origin), 1);
}

#[tokio::test]
async fn a_request_that_met_a_closed_connection_is_sent_on_a_new_one() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, peer) = tokio::join!(call(&origin), endpoint.serve());
    let mut http = origin.shared().newest_idle().unwrap();
    drop(peer);
    until(|| http.sender.is_closed()).await;
    let failed = http.sender.try_send_request(request("")).await.unwrap_err();
    let (response, _peer) = tokio::join!(origin.send_again(failed), endpoint.serve());
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_of_which_something_was_read_is_not_sent_again() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, mut peer) = tokio::join!(call(&origin), endpoint.serve());
    let (sent, ()) = tokio::join!(origin.send(request("")), async {
        peer.read_head().await;
        drop(peer);
    });
    let error = sent.unwrap_err();
    assert!(
        matches!(&error, SendError::Exchange(error) if error.is_incomplete_message()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_new_connection_that_is_closed_at_once_is_an_error() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (sent, ()) = tokio::join!(origin.send(request("")), async {
        drop(endpoint.accept().await);
    });
    let error = sent.unwrap_err();
    assert!(matches!(error, SendError::Exchange(_)), "{error:?}");
    // It did not try another one.
    tokio::select! {
        biased;
        _ = endpoint.accept() => panic!("a second connection"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_about_connecting_which_leaves_nobody_waiting() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    drop(endpoint);
    let error = origin.send(request("")).await.unwrap_err();
    let SendError::Connect(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.class, crate::ledger::outcome::ErrorClass::ConnectionRefused);
    assert!(origin.shared().waiting.is_empty());
}

#[tokio::test]
async fn a_connection_that_becomes_idle_is_used_in_place_of_one_that_is_slow_to_come_which_is_kept_as_well() {
    let endpoint = Endpoint::new().await;
    let origin = origin(
        proxied(&format!("socks5://{}", endpoint.address())),
        "http://192.0.2.1/",
    );
    let serving = async {
        let mut fast = endpoint.accept().await;
        fast.let_through().await;
        fast.read_head().await;
        let slow = endpoint.accept().await;
        fast.answer(OK).await;
        // The second call comes here.
        fast.exchange(OK).await;
        (fast, slow)
    };
    let (_, _, (mut fast, mut slow)) = tokio::join!(call(&origin), call(&origin), serving);
    assert_eq!(idle(&origin), 1);
    slow.let_through().await;
    until(|| idle(&origin) == 2).await;
    tokio::join!(call(&origin), slow.exchange(OK));
    tokio::join!(call(&origin), call(&origin), slow.exchange(OK), fast.exchange(OK));
}

#[tokio::test]
async fn a_connection_that_was_handed_to_a_caller_who_is_gone_is_idle_again() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, _peer) = tokio::join!(call(&origin), endpoint.serve());
    let http = origin.shared().newest_idle().unwrap();
    let Ok(first) = origin.wait() else { panic!("idle") };
    let Ok(second) = origin.wait() else { panic!("idle") };
    origin.keep(http);
    assert_eq!(idle(&origin), 0);
    // Goes on to the next who waits.
    drop(first);
    assert_eq!(idle(&origin), 0);
    drop(second);
    assert_eq!(idle(&origin), 1);
    assert!(origin.shared().waiting.is_empty());
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_neither_a_connection_nor_a_task() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    // While it waits for the head of the answer.
    let mut peer = tokio::select! {
        _ = origin.send(request("")) => panic!("no answer was sent"),
        peer = async { let mut peer = endpoint.accept().await; peer.read_head().await; peer } => peer,
    };
    assert_eq!(peer.read_to_end().await, 0);
    // While it reads the answer.
    let (response, mut peer) = tokio::join!(origin.send(request("")), async {
        let mut peer = endpoint.accept().await;
        peer.exchange("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
            .await;
        peer
    });
    drop(response.unwrap());
    assert_eq!(peer.read_to_end().await, 0);
    until(|| Handle::current().metrics().num_alive_tasks() == 0).await;
    assert_eq!(idle(&origin), 0);
}

#[tokio::test]
async fn a_connection_is_kept_when_the_whole_answer_has_come_and_not_before() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (response, mut peer) = tokio::join!(origin.send(request("")), async {
        let mut peer = endpoint.accept().await;
        peer.exchange("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
            .await;
        peer
    });
    let mut body = response.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "ok");
    let (_, _other) = tokio::join!(call(&origin), endpoint.serve());
    assert_eq!(idle(&origin), 1);
    peer.answer("ko").await;
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ko");
    until(|| idle(&origin) == 2).await;
    tokio::join!(call(&origin), peer.exchange(EMPTY));
    assert_eq!(idle(&origin), 2);
}

#[tokio::test]
async fn a_connection_that_the_endpoint_wants_to_close_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let endpoint = Endpoint::new().await;
        let origin = endpoint.origin();
        let (_, mut peer) = tokio::join!(call(&origin), async {
            let mut peer = endpoint.accept().await;
            peer.exchange(answer).await;
            peer
        });
        assert_eq!(peer.read_to_end().await, 0, "{answer}");
        assert_eq!(idle(&origin), 0, "{answer}");
    }
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_close_a_connection() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (_, mut peer) = tokio::join!(call(&origin), endpoint.serve());
    peer.answer(OK).await;
    until_only_closing_runs().await;
    // Not taken for the answer to this one.
    let (body, _peer) = tokio::join!(call(&origin), endpoint.serve());
    assert_eq!(body, "ok");
    assert_eq!(peer.read_to_end().await, 0);
}

#[tokio::test]
async fn a_connection_that_answers_before_it_has_read_the_request_is_closed_in_the_end() {
    const BODY_BYTES: usize = 16 << 20;
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (response, mut peer) = tokio::join!(origin.send(request(vec![0; BODY_BYTES])), async {
        let mut peer = endpoint.accept().await;
        peer.exchange("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            .await;
        peer
    });
    assert_eq!(response.unwrap().status(), 413);
    assert_eq!(idle(&origin), 0);
    tokio::time::pause();
    tokio::time::sleep(IDLE_MAX + Duration::from_secs(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    assert!(peer.read_to_end().await < BODY_BYTES);
}

#[tokio::test]
async fn an_answer_may_take_as_long_as_its_reader_waits() {
    let endpoint = Endpoint::new().await;
    let origin = endpoint.origin();
    let (response, mut peer) = tokio::join!(origin.send(request(Vec::new())), async {
        let mut peer = endpoint.accept().await;
        peer.exchange("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            .await;
        peer
    });
    tokio::time::pause();
    tokio::time::sleep(10 * IDLE_MAX).await;
    tokio::time::resume();
    peer.answer("ok").await;
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    until(|| idle(&origin) == 1).await;
}

#[tokio::test]
async fn a_request_names_its_host_and_the_whole_url_only_to_a_proxy_that_reads_it() {
    let none = ProxyRules::default();
    let plain = proxied("http://user:secret@proxy:8080");
    let socks = proxied("socks5://user:secret@proxy:1080");
    for (proxies, url, host, written, is_authorized) in [
        (&none, "http://h/p?q", "h", "/p?q", false),
        (&none, "http://h", "h", "/", false),
        (&none, "http://h:80/", "h", "/", false),
        (&none, "https://h:443/p", "h", "/p", false),
        (&none, "https://h:80/p", "h:80", "/p", false),
        (&none, "http://[::1]:4318/p", "[::1]:4318", "/p", false),
        (&none, "http://user:secret@h/p", "h", "/p", false),
        (&plain, "http://h:81/p?q", "h:81", "http://h:81/p?q", true),
        (&plain, "https://h/p", "h", "/p", false),
        (&socks, "http://h/p", "h", "/p", false),
    ] {
        let origin = origin(proxies.clone(), url);
        let mut headers = HeaderMap::new();
        origin.complete(&mut headers);
        assert_eq!(headers[HOST], host, "{url}");
        assert_eq!(headers.contains_key(PROXY_AUTHORIZATION), is_authorized, "{url}");
        assert_eq!(origin.written(&url.parse().unwrap()), written, "{url}");
    }
    let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("signed"))]);
    origin(none, "http://h/p").complete(&mut headers);
    assert_eq!(headers[HOST], "signed");
}

#[tokio::test]
async fn a_url_without_scheme_or_host_goes_nowhere() {
    let origin = origin(ProxyRules::default(), "http://h/");
    for url in ["/p", "h:80", "*"] {
        let error = Origin::new(origin.connector.clone(), &url.parse().unwrap())
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "the URL of a request needs a scheme and a host",
            "{url}"
        );
    }
}
