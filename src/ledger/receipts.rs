//! What came in as OTLP, by receiver and signal: before it is known where it goes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::signal::{Receiver, Signal};

/// The receivers of OTLP.
pub const OTLP_RECEIVERS: [Receiver; 2] = [Receiver::OtlpHttp, Receiver::OtlpGrpc];

/// The counters.
#[derive(Debug, Default)]
pub struct Receipts([[Counters; Signal::ALL.len()]; Receiver::ALL.len()]);

#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    rejected: AtomicU64,
}

/// What one receiver was given of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// Items that came in, and requests that were refused, of which nobody knows how many items they had.
    pub received: u64,
    /// Of these, the requests that were refused for what they were.
    pub rejected: u64,
}

impl Receipt {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            rejected: self.rejected.saturating_sub(before.rejected),
        }
    }

    /// These and `other` together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            rejected: self.rejected + other.rejected,
        }
    }
}

impl Receipts {
    fn at(&self, receiver: Receiver, signal: Signal) -> &Counters {
        &self.0[receiver as usize][signal as usize]
    }

    /// `items` items of a signal came in.
    pub fn add_received(&self, receiver: Receiver, signal: Signal, items: u64) {
        self.at(receiver, signal).received.fetch_add(items, Relaxed);
    }

    /// A request was refused for what it was.
    pub fn add_rejected(&self, receiver: Receiver, signal: Signal) {
        let counters = self.at(receiver, signal);
        counters.received.fetch_add(1, Relaxed);
        counters.rejected.fetch_add(1, Relaxed);
    }

    /// What came to `receiver` of `signal`.
    #[must_use]
    pub fn of(&self, receiver: Receiver, signal: Signal) -> Receipt {
        let counters = self.at(receiver, signal);
        Receipt {
            received: counters.received.load(Relaxed),
            rejected: counters.rejected.load(Relaxed),
        }
    }

    /// What came to `receiver`.
    #[must_use]
    pub fn all_of(&self, receiver: Receiver) -> Receipt {
        let all = Signal::ALL.map(|signal| self.of(receiver, signal));
        all.into_iter().fold(Receipt::default(), Receipt::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_and_signal_has_its_own_counters_and_a_refused_request_is_one_of_each() {
        let receipts = Receipts::default();
        receipts.add_received(Receiver::OtlpHttp, Signal::Traces, 100);
        receipts.add_received(Receiver::OtlpGrpc, Signal::Logs, 7);
        receipts.add_rejected(Receiver::OtlpHttp, Signal::Traces);
        receipts.add_rejected(Receiver::OtlpHttp, Signal::Metrics);
        let receipt = |received, rejected| Receipt { received, rejected };
        assert_eq!(receipts.of(Receiver::OtlpHttp, Signal::Traces), receipt(101, 1));
        assert_eq!(receipts.of(Receiver::OtlpHttp, Signal::Logs), receipt(0, 0));
        assert_eq!(
            OTLP_RECEIVERS.map(|receiver| receipts.all_of(receiver)),
            [receipt(102, 2), receipt(7, 0)]
        );
        assert_eq!(receipt(9, 2).since(receipt(4, 2)), receipt(5, 0));
    }
}
