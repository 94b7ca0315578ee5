//! OTLP, from OpenTelemetry's SDKs and Collectors: `POST /v1/traces`, `/v1/metrics` and `/v1/logs` in protobuf or JSON, and the
//! same three as unary calls of gRPC, on the same port. What comes in is decompressed, its shape is checked and its items are
//! counted; it goes on as it is.
//!
//! | part | its one job |
//! |---|---|
//! | this one | one request, from its head to its answer |
//! | `asked` | what a head asks for |
//! | `answer` | what is answered, in each encoding |
//! | `read` | a request that has been read: its items are counted, and it is handed on |
//! | `grpc` | what gRPC puts around a message |
//! | [`limits`] | the bounds, with their reasons |

mod answer;
mod asked;
mod grpc;
pub mod limits;
mod read;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::header::CONTENT_ENCODING;
use http::request::Parts;
use http::{HeaderValue, Method, Request as HttpRequest};
use hyper::body::Body as _;
use tokio::sync::{Semaphore, oneshot};

use self::answer::{Refusal, Speech, Why};
use self::asked::Coding;
use self::read::Read;
use crate::ledger::Ledger;
use crate::ledger::http::Route;
use crate::ledger::signal::{Receiver, Signal};
use crate::net::server::answer::Answer;
use crate::net::server::body::decode::{AsItIs, Gzip};
use crate::net::server::body::{self, Held, Reader, Unread};
use crate::net::server::connection::{BodyError, RequestBody};
use crate::net::server::guard::Guard;
use crate::net::server::limits::{BodyLimits, Limits};
use crate::net::server::origins::{self, Origins};
use crate::net::server::refusals::{Bounded, and_more};
use crate::net::server::{self, Counted, Function};
use crate::pipeline::intake::{Form, Requests};

/// Takes OTLP; one for all ports.
#[derive(Debug)]
pub struct Otlp<R> {
    requests: Arc<R>,
    ledger: Arc<Ledger>,
    guard: Guard,
    origins: Origins,
    bodies: Reader,
    /// By signal: it has been said that it has no destination.
    said_unwanted: [AtomicBool; Signal::ALL.len()],
    refused: Bounded,
    malformed: Bounded,
    /// One at a time: what is made of a request comes on top of it.
    beside: Arc<Semaphore>,
}

impl<R: Requests> Otlp<R> {
    /// Takes requests within `limits`; those that `guard` lets in, and those of web pages of `origins`.
    #[must_use]
    pub fn new(
        requests: Arc<R>,
        ledger: Arc<Ledger>,
        guard: Guard,
        origins: Origins,
        limits: BodyLimits,
    ) -> Self {
        Self {
            requests,
            ledger,
            guard,
            origins,
            bodies: Reader::new(limits),
            said_unwanted: Default::default(),
            refused: Bounded::default(),
            malformed: Bounded::default(),
            beside: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) async fn answer(&self, request: HttpRequest<RequestBody>) -> Answer {
        let (head, body) = request.into_parts();
        let speech = asked::speech(&head);
        // Who speaks nothing that is known here reads JSON if anything.
        let told = speech.unwrap_or(Speech::Json);
        let signal = match told {
            Speech::Grpc => grpc::signal(head.uri.path()),
            Speech::Protobuf | Speech::Json => asked::signal(head.uri.path()),
        };
        let origin = self.origins.of(&head).cloned();
        let result = match self.let_in(&head, origin.as_ref()) {
            Ok(()) if origin.is_some() && origins::is_preflight(&head) => Ok(origins::preflight(&head)),
            Ok(()) => match self.checked(&head, speech, signal) {
                // Memory of its own, so that a request that is refused before never has it: a client of HTTP/2 can have
                // thousands of those waiting in the same instant.
                Ok((speech, signal, coding)) => {
                    Box::pin(self.take(&head, body, speech, signal, coding)).await
                }
                Err(refusal) => {
                    body::discard(&head, body).await;
                    Err(refusal)
                }
            },
            Err(refusal) => {
                body::discard(&head, body).await;
                Err(refusal)
            }
        };
        let route = signal.map_or(Route::Unknown, Route::Otlp);
        let (status, answer) = match result {
            Ok(answer) => (answer.status(), answer),
            // Over gRPC it is the status that it would be over HTTP.
            Err(refusal) => (refusal.why.status(), answer::refused(told, &refusal)),
        };
        self.ledger.http.add_request(route, status.as_u16());
        match origin {
            Some(origin) => origins::readable(answer, origin),
            None => answer,
        }
    }

    /// Whether a request with this head is let in; `origin` is that of a page which may.
    fn let_in(&self, head: &Parts, origin: Option<&HeaderValue>) -> Result<(), Refusal> {
        let checked = match origin {
            Some(_) => self.guard.check_host(head).map(|_| ()),
            None => self.guard.check(head),
        };
        checked.map_err(|refusal| {
            self.refused.say_refused(
                head,
                "web pages must not use this port; --allow-host NAME allows a host name, --otlp-allow-origin ORIGIN the \
                 pages of one",
            );
            Refusal::new(Why::Forbidden, refusal.to_string())
        })
    }

    /// What a head asks for, if that can be had here.
    fn checked(
        &self,
        head: &Parts,
        speech: Option<Speech>,
        signal: Option<Signal>,
    ) -> Result<(Speech, Signal, Coding), Refusal> {
        let Some(signal) = signal else {
            self.refused
                .say_refused(head, "this port takes OTLP, and has no such path or method");
            return Err(Refusal::new(
                Why::NotHere,
                "This port takes OTLP: POST /v1/traces, /v1/metrics and /v1/logs, and Export of the trace, metrics and logs \
                 services over gRPC.",
            ));
        };
        if head.method != Method::POST {
            return Err(Refusal::new(Why::Method, "This path takes POST only."));
        }
        let Some(speech) = speech else {
            return Err(Refusal::new(
                Why::Encoding,
                "The Content-Type is to be application/x-protobuf or application/json; application/grpc over HTTP/2 only.",
            ));
        };
        let encoding = match speech {
            Speech::Grpc => grpc::ENCODING,
            Speech::Protobuf | Speech::Json => CONTENT_ENCODING,
        };
        let Some(coding) = asked::coding(head, &encoding) else {
            return Err(Refusal::new(
                Why::Encoding,
                "Requests are taken in gzip or not compressed, and in no other encoding.",
            ));
        };
        if !self.requests.wants(signal) {
            self.say_unwanted(signal);
            return Err(Refusal::new(
                Why::NotHere,
                format!("There is no destination for {} here.", signal.label()),
            ));
        }
        Ok((speech, signal, coding))
    }

    /// Takes a request that asks for what is here.
    async fn take(
        &self,
        head: &Parts,
        body: RequestBody,
        speech: Speech,
        signal: Signal,
        coding: Coding,
    ) -> Result<Answer, Refusal> {
        // Known before it has come, as far as it is not compressed; and then it is no longer either, mostly.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if let Err(refusal) = self.room_for(signal, announced) {
            body::discard(head, body).await;
            return Err(refusal);
        }
        let receiver = match speech {
            Speech::Grpc => Receiver::OtlpGrpc,
            Speech::Protobuf | Speech::Json => Receiver::OtlpHttp,
        };
        let result = match self.read(head, body, speech, coding).await {
            Ok(held) => self.add(&held, speech, signal, receiver).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &result
            && matches!(refusal.why, Why::Malformed | Why::TooLong)
            // Who broke off may send it again, and has no request here.
            && *refusal != broken()
        {
            self.requests.add_refused(signal, receiver);
            self.say_malformed(signal, receiver, refusal);
        }
        result
    }

    async fn read(
        &self,
        head: &Parts,
        body: RequestBody,
        speech: Speech,
        coding: Coding,
    ) -> Result<Held<'_>, Refusal> {
        let read = match (speech, coding) {
            (Speech::Grpc, _) => {
                let message = grpc::Message::new(self.bodies.max_bytes(), coding == Coding::Gzip);
                self.bodies.read_decoded(head, body, message).await
            }
            (_, Coding::Gzip) => self.bodies.read_decoded(head, body, Gzip::new()).await,
            (_, Coding::None) => self.bodies.read_decoded(head, body, AsItIs).await,
        };
        read.map_err(|why| {
            let refusal = match why {
                Unread::TooLong(max_bytes) => too_long(max_bytes),
                Unread::NoRoom => Refusal::new(Why::Busy, "Too many requests are being received at one time."),
                // It would be a 408, which SDKs take for the end of the matter.
                Unread::Late(time) => Refusal::new(
                    Why::Busy,
                    format!("The request was not there within {} s.", time.as_secs()),
                ),
                Unread::Body(BodyError::GaveWay) => Refusal::new(
                    Why::Busy,
                    "All connections of this port are in use, and the rest of this request has not come for longest.",
                ),
                Unread::Body(BodyError::Broken(_)) => return broken(),
                Unread::Undecodable(why) => Refusal::new(Why::Malformed, format!("The body {why}.")),
            };
            refusal.last()
        })
    }

    /// Hands on a request that has been read: at once, or on a thread beside this one where that takes long.
    async fn add(
        &self,
        body: &Held<'_>,
        speech: Speech,
        signal: Signal,
        receiver: Receiver,
    ) -> Result<Answer, Refusal> {
        let form = match speech {
            Speech::Json => Form::Json,
            Speech::Protobuf | Speech::Grpc => Form::Protobuf,
        };
        let read = Read {
            signal,
            form,
            receiver,
            body: body.bytes(),
        };
        let takes_long = form == Form::Json || self.requests.is_converted(signal);
        let not_taken = if takes_long && body.len() > limits::AT_ONCE_MAX_BYTES {
            let turn = Arc::clone(&self.beside).acquire_owned().await;
            read.hand_on_beside(&self.requests, turn).await?
        } else {
            read.hand_on(&*self.requests)?
        };
        Ok(answer::taken(speech, signal, not_taken))
    }

    fn room_for(&self, signal: Signal, bytes: usize) -> Result<(), Refusal> {
        read::room_for(&*self.requests, signal, bytes)
    }

    /// Once for each signal: SDKs that send it do so every few seconds.
    fn say_unwanted(&self, signal: Signal) {
        if self.said_unwanted[signal as usize].swap(true, Relaxed) {
            return;
        }
        let signal = signal.label();
        tracing::warn!(
            signal,
            "OTLP brings {signal}, for which there is no destination: they are refused (404, UNIMPLEMENTED). \
             --otlp-endpoint URL gives them one; OTEL_{}_EXPORTER=none in the application sends none",
            signal.to_ascii_uppercase()
        );
    }

    fn say_malformed(&self, signal: Signal, receiver: Receiver, refusal: &Refusal) {
        if let Some(requests) = self.malformed.add() {
            let (signal, receiver, why) = (signal.label(), receiver.label(), &*refusal.message);
            tracing::warn!(
                requests,
                signal,
                receiver,
                why,
                "Refused an OTLP request for {signal} ({receiver}): {why}{}",
                and_more(requests)
            );
        }
    }
}

/// A request that its client broke off.
fn broken() -> Refusal {
    Refusal::new(
        Why::Malformed,
        "The request ended early or is not in its announced form.",
    )
    .last()
}

fn too_long(max_bytes: usize) -> Refusal {
    Refusal::new(
        Why::TooLong,
        format!("The request is longer than {max_bytes} bytes, the most that is taken, decompressed too."),
    )
}

/// Serves `otlp` on `listener`, which must be non-blocking, within `limits`, until `stop` resolves and all requests are
/// over; dropping the future cuts those that are left.
///
/// # Errors
/// When the listener can't be used at all.
pub async fn serve<R: Requests>(
    listener: TcpListener,
    otlp: Arc<Otlp<R>>,
    limits: Limits,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let watch = Counted(Arc::clone(&otlp.ledger));
    let handler = Function(move |request| {
        let otlp = Arc::clone(&otlp);
        async move { Ok(otlp.answer(request).await) }
    });
    server::serve(listener, limits, watch, stop, handler).await;
    Ok(())
}

#[cfg(test)]
mod tests;
