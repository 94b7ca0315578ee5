//! The front with a tower service that is none of the daemon's.

use std::future::{Ready, ready};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::answer::Body;
use super::*;

const LIMITS: Limits = Limits {
    head_max_bytes: 8 << 10,
    head: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    exchange: Duration::from_secs(10),
    connections: 2,
    streams: 0,
    http2: None,
};

/// Not ready when it is asked for the first time.
#[derive(Clone, Default)]
struct Slow {
    has_been_asked: bool,
}

impl Service<Request<RequestBody>> for Slow {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if std::mem::replace(&mut self.has_been_asked, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert!(self.has_been_asked, "called before it was ready");
        ready(Ok(Answer::new(Body::from(request.uri().path().to_owned()))))
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Watch for Heard {
    fn opened(&self) {
        self.0.lock().unwrap().push("opened".to_owned());
    }

    fn ended(&self, why: Option<Ending>) {
        self.0.lock().unwrap().push(format!("ended: {why:?}"));
    }

    fn refused(&self) {
        self.0.lock().unwrap().push("refused".to_owned());
    }
}

#[tokio::test]
async fn a_tower_service_is_asked_when_it_is_ready_and_the_watch_hears_of_each_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let heard = Heard::default();
    let serving = tokio::spawn(serve(listener, LIMITS, heard.clone(), stopped, Slow::default()));
    for (request, status, body) in [
        ("GET /a HTTP/1.0\r\n\r\n", "200 OK", "/a"),
        ("nonsense\r\n\r\n", "400 Bad Request", "without TLS.\"}"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.split_once(' ').unwrap().1.starts_with(status) && answer.ends_with(body),
            "{answer}"
        );
    }
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert_eq!(
        *heard.0.lock().unwrap(),
        ["opened", "ended: None", "opened", "ended: Some(BadRequest)"]
    );
}

#[tokio::test]
async fn a_body_in_another_coding_than_chunked_alone_is_refused_and_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(serve(
        listener,
        LIMITS,
        Heard::default(),
        stopped,
        Slow::default(),
    ));
    for (codings, status) in [
        (&["chunked"][..], "200 OK"),
        (&[" Chunked "], "200 OK"),
        (&["gzip, chunked"], "501 Not Implemented"),
        (&["gzip", "chunked"], "501 Not Implemented"),
        (&["identity", "chunked"], "501 Not Implemented"),
        (&["chunked", "chunked"], "501 Not Implemented"),
    ] {
        let codings: String = codings
            .iter()
            .map(|coding| format!("Transfer-Encoding: {coding}\r\n"))
            .collect();
        let request =
            format!("POST /a HTTP/1.1\r\nHost: x\r\n{codings}Connection: close\r\n\r\n1\r\na\r\n0\r\n\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{codings}: {answer}"
        );
    }
    stop.send(()).unwrap();
    serving.await.unwrap();
}
