//! A request that has been read: its items are counted, and it is handed on.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use xray_document::otlp;

use super::answer::{Refusal, Why};
use crate::ledger::signal::{Receiver, Signal};
use crate::pipeline::intake::{Form, NoRoom, NotTaken, Request, Requests, Room};

/// A request that has been read, and not been looked at.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) signal: Signal,
    pub(super) form: Form,
    pub(super) receiver: Receiver,
    pub(super) body: Bytes,
}

impl Read {
    /// As [`Read::hand_on`], by a thread of its own: those of the runtime look names up, and may all wait for a name server.
    /// `turn` is kept until it is done, whether anybody still waits for that or not.
    pub(super) async fn hand_on_beside<R: Requests>(
        self,
        requests: &Arc<R>,
        turn: impl Send + 'static,
    ) -> Result<Option<NotTaken>, Refusal> {
        let (done, result) = oneshot::channel();
        let (read, to) = (self.clone(), Arc::clone(requests));
        let started = thread::Builder::new()
            .name("xray-otlp".to_owned())
            .spawn(move || {
                let handed_on = read.hand_on(&*to);
                drop(turn);
                // Who asked may have gone.
                let _: Result<(), _> = done.send(handed_on);
            });
        match started {
            Ok(_) => result
                .await
                // It does not panic.
                .unwrap_or_else(|_| Err(Refusal::new(Why::Busy, "The daemon ends."))),
            // The system has none to give: then others wait.
            Err(_) => self.hand_on(&**requests),
        }
    }

    /// Counts what is in it, and hands it on. Returns what of it was not taken for good.
    #[expect(clippy::disallowed_methods, reason = "a request is as old as its arrival")]
    pub(super) fn hand_on(self, requests: &impl Requests) -> Result<Option<NotTaken>, Refusal> {
        let items = items(self.signal, self.form, &self.body)?;
        if items == 0 {
            return Ok(None);
        }
        // Its length is known only now when it was compressed, and much may have come since.
        room_for(requests, self.signal, self.body.len())?;
        let request = Request {
            signal: self.signal,
            form: self.form,
            receiver: self.receiver,
            body: self.body,
            items,
        };
        requests.add(request, Instant::now().into_std()).map_err(no_room)
    }
}

/// Whether a request of `bytes` can be taken.
pub(super) fn room_for(requests: &impl Requests, signal: Signal, bytes: usize) -> Result<(), Refusal> {
    match requests.room_for(signal, bytes) {
        Room::Free => Ok(()),
        Room::Full => Err(no_room(NoRoom::Now)),
        Room::TooLong => Err(no_room(NoRoom::Ever)),
    }
}

fn no_room(when: NoRoom) -> Refusal {
    match when {
        NoRoom::Now => Refusal::new(
            Why::Busy,
            "The buffer memory of the daemon is full of what no destination has taken yet.",
        ),
        NoRoom::Ever => Refusal::new(
            Why::TooLong,
            "The request, or what it becomes for X-Ray, is longer than the buffer memory of the daemon has room for, even when \
             it is empty.",
        ),
    }
}

/// How many items are in a request, which is looked at no further than that needs.
fn items(signal: Signal, form: Form, body: &[u8]) -> Result<u64, Refusal> {
    let counted = match form {
        Form::Protobuf => otlp::count::count(signal, body).map_err(|_| {
            Refusal::new(
                Why::Malformed,
                "The body is no export request of this signal in protobuf.",
            )
        }),
        Form::Json => otlp::json::parts::count(signal, body).map_err(|_| {
            Refusal::new(
                Why::Malformed,
                "The body is no export request of this signal in JSON.",
            )
        }),
    };
    let counted = counted?;
    counted
        .groups_within_limits(body.len())
        .map_err(|error| Refusal::new(Why::Malformed, format!("The body has {error}.")))?;
    Ok(counted.items)
}
