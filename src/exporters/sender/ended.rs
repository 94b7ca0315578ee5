//! What a call that ended means: for the endpoint's pace, for its batch, and in the ledger and the log.

use std::time::Instant;

use tokio::task::{self, JoinError};

use super::{Sender, Started, now};
use crate::exporters::Exporter;
use crate::exporters::answer::{Answer, Unprocessed};
use crate::exporters::error::PutError;
use crate::exporters::pacer::{CallId, Outcome};
use crate::ledger::calls::{Ended, Failure};
use crate::ledger::outcome::ErrorClass;
use crate::pipeline::queue::Flight;

impl<X: Exporter> Sender<X> {
    pub(super) fn settle(&mut self, ended: Result<(task::Id, Result<Answer, PutError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        // Each call that was started is there, once; but for those that were given up.
        let Some(Started {
            flight,
            at: started,
            call,
            ..
        }) = self.flights.remove(&id)
        else {
            return;
        };
        let result = match result {
            Ok(result) => result,
            Err(error) => return self.lost(call, &flight, started, &error),
        };
        if let Ok(answer) = &result
            && answer.not_called
        {
            // It says nothing of the endpoint.
            self.ledger.call_lost();
            self.pacer.not_made(call);
            return self.account_for(&flight, started, answer);
        }
        let at = now();
        self.ledger.call_ended_of(
            self.operation(&flight),
            Ended {
                at,
                duration: at.saturating_duration_since(started),
                body_bytes: flight.body.len(),
                failure: result.as_ref().err().map(|error| Failure {
                    class: error.class,
                    status: error.status,
                    message: &error.message,
                }),
            },
        );
        // The outage that it may end is the pacer's; what the log calls one begins with the first failure.
        let _ = self
            .pacer
            .ended(call, at, outcome(&result, flight.documents), fastrand::f64());
        match result {
            Ok(answer) => {
                self.answered(at);
                self.account_for(&flight, started, &answer);
            }
            Err(error) if error.class.is_retriable() => {
                self.put_back(&flight, at);
                self.failed(started, at, &error);
            }
            Err(error) => {
                // The endpoint answers; it is this body that it does not want.
                self.answered(at);
                self.refused(&flight, &error);
            }
        }
    }

    /// A call panicked: nobody knows what became of its documents, so they are sent again.
    fn lost(&mut self, call: CallId, flight: &Flight, started: Instant, error: &JoinError) {
        let now = now();
        self.ledger.call_lost();
        tracing::error!(
            destination = self.destination(),
            segments = flight.documents,
            error = %error,
            "A call ended in a way that it should not: {error}"
        );
        let outcome = Outcome::Failed { retry_after: None };
        let _ = self.pacer.ended(call, now, outcome, fastrand::f64());
        let _ = self.trouble.failed(started, now);
        self.put_back(flight, now);
    }

    /// A call failed in a way that may pass: its batch goes back, to be sent again after a while.
    pub(super) fn put_back(&mut self, flight: &Flight, now: Instant) {
        let attempts = flight.attempts.saturating_add(1);
        let not_before = self.pacer.hold_back(now, attempts, fastrand::f64());
        self.lane.put_back(flight.ticket, Some(not_before), now);
    }

    /// A call failed: what there is to be said of it.
    fn failed(&mut self, started: Instant, now: Instant, error: &PutError) {
        let row = self.trouble.failed(started, now);
        match row {
            Some(row) => self.say_failing(&row, now, &error.message),
            None => self.say_failed(None, error.class, &error.message, now),
        }
        self.say_share(now, Some(&error.message));
    }

    /// A call was answered: what there is to be said of those before it.
    fn answered(&mut self, now: Instant) {
        if let Some(row) = self.trouble.answered() {
            self.say_over(&row, now);
        }
        self.say_share(now, None);
    }
}

/// What a call that ended says of the endpoint.
pub(super) fn outcome(result: &Result<Answer, PutError>, documents: usize) -> Outcome {
    match result {
        Ok(answer) => {
            let is_throttled = |left: &Unprocessed| left.class == ErrorClass::Throttled;
            if answer.unprocessed.iter().any(is_throttled) {
                Outcome::Throttled {
                    retry_after: None,
                    taken: documents.saturating_sub(answer.unprocessed.len()),
                }
            } else {
                Outcome::Answered
            }
        }
        Err(error) if error.class == ErrorClass::Throttled => Outcome::Throttled {
            retry_after: error.retry_after,
            taken: 0,
        },
        Err(error) if error.class.is_retriable() => Outcome::Failed {
            retry_after: error.retry_after,
        },
        Err(_) => Outcome::Answered,
    }
}
