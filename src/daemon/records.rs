//! Requests of OTLP for a daemon that has a use of its own for log records: one that shows them.

use std::sync::Arc;
use std::time::Instant;

use crate::exporters::bodies::Bodies;
use crate::ledger::signal::{Receiver, Signal};
use crate::pipeline::fanout::Fanout;
use crate::pipeline::intake::{NoRoom, NotTaken, Request, Requests, Room};

/// Sees each request with log records. It must be quick: requests are served meanwhile.
pub type TakesLogs = Box<dyn Fn(&Request) + Send + Sync>;

/// The fan-out, and beside it who sees log records.
pub(super) struct WithLogs {
    pub(super) fanout: Arc<Fanout<Bodies>>,
    pub(super) logs: Option<TakesLogs>,
}

impl WithLogs {
    /// Whether nobody else takes the records.
    fn is_for_logs_alone(&self, signal: Signal) -> bool {
        signal == Signal::Logs && self.logs.is_some() && !self.fanout.wants(signal)
    }
}

impl Requests for WithLogs {
    fn wants(&self, signal: Signal) -> bool {
        self.is_for_logs_alone(signal) || self.fanout.wants(signal)
    }

    fn room_for(&self, signal: Signal, bytes: usize) -> Room {
        // Who sees them keeps what it keeps within bounds of its own.
        if self.is_for_logs_alone(signal) {
            return Room::Free;
        }
        self.fanout.room_for(signal, bytes)
    }

    fn add(&self, request: Request, now: Instant) -> Result<Option<NotTaken>, NoRoom> {
        if let Some(logs) = &self.logs
            && request.signal == Signal::Logs
        {
            logs(&request);
        }
        if self.is_for_logs_alone(request.signal) {
            let receipts = self.fanout.receipts();
            receipts.add_received(request.receiver, request.signal, request.items);
            return Ok(None);
        }
        self.fanout.add(request, now)
    }

    fn add_refused(&self, signal: Signal, receiver: Receiver) {
        self.fanout.add_refused(signal, receiver);
    }

    fn is_converted(&self, signal: Signal) -> bool {
        // Who sees log records reads all of them.
        (signal == Signal::Logs && self.logs.is_some()) || self.fanout.is_converted(signal)
    }
}
