//! The last count: what is left when the time is up.

use std::time::Duration;

use crate::ledger::DropReason;
use crate::pipeline::batch::encoding::Encoding;
use crate::pipeline::lane::Lane;

/// How often the two counts are compared when they differ. A receiver that did not end in time may be about to add what
/// it has counted already.
const TRIES: usize = 20;

/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(1);

/// Counts what `lane` still holds as lost to the end, and says so. What the ledger's counts leave must be the same; where
/// it is not, documents were lost or counted twice somewhere, which is said and not hidden among those.
pub(super) async fn settle<E: Encoding>(lane: &Lane<E>, shutdown_timeout: Duration) {
    let ledger = lane.ledger();
    let mut counts = (lane.pending_documents(), ledger.snapshot().remainder());
    for _ in 1..TRIES {
        if agree(counts) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        counts = (lane.pending_documents(), ledger.snapshot().remainder());
    }
    let (left, remainder) = counts;
    let amounts = lane.pending_amounts();
    ledger.add_all_dropped(DropReason::Shutdown, amounts);
    let (destination, to) = (lane.destination().other_label(), lane.destination().to_other());
    let items = amounts.items();
    if left > 0 {
        // The only line there is about them: it is said at every level.
        tracing::error!(
            destination,
            segments = left,
            shutdown_timeout_s = shutdown_timeout.as_secs_f64(),
            "Dropping {left} {items} that could not be sent{to} before the end (--shutdown-timeout is {} s)",
            shutdown_timeout.as_secs_f64()
        );
    }
    if !agree(counts) {
        tracing::error!(
            destination,
            left,
            remainder,
            "The account does not add up: {left} {items} are left in memory, and the counts leave {remainder}"
        );
    }
}

fn agree((left, remainder): (u64, i64)) -> bool {
    i64::try_from(left) == Ok(remainder)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::exporters::xray::encoding::Segments;
    use crate::ledger::Ledger;
    use crate::logs::testing::LogLines;
    use crate::pipeline::budget::Budget;
    use crate::pipeline::intake::Intake as _;

    /// Lines, lost documents and what the counts leave at last, after so many were counted and so many are there.
    async fn settled(received: u64, held: usize) -> (Vec<String>, u64, i64) {
        let log = LogLines::collect();
        let ledger = Arc::new(Ledger::default());
        let lane = Lane::<Segments>::new(Budget::of_mb(3), Arc::clone(&ledger));
        ledger.add_received(received);
        lane.add(std::iter::repeat_n(&b"{}"[..], held), Instant::now());
        settle(&lane, Duration::from_secs(8)).await;
        let counts = ledger.snapshot();
        (
            log.take(),
            counts.dropped(DropReason::Shutdown),
            counts.remainder(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_counted_as_dropped_by_the_end() {
        assert_eq!(settled(0, 0).await, (Vec::new(), 0, 0));
        let (lines, dropped, remainder) = settled(60, 60).await;
        assert_eq!(
            lines,
            [
                "[Error] Dropping 60 segments that could not be sent before the end (--shutdown-timeout is 8 s)"
            ]
        );
        assert_eq!((dropped, remainder), (60, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_difference_is_an_error_and_not_a_drop() {
        let (lines, dropped, remainder) = settled(7, 5).await;
        assert_eq!(
            lines[1..],
            ["[Error] The account does not add up: 5 segments are left in memory, and the counts leave 7"]
        );
        assert_eq!((dropped, remainder), (5, 2));
        let (lines, dropped, remainder) = settled(3, 4).await;
        assert_eq!(
            lines[1..],
            ["[Error] The account does not add up: 4 segments are left in memory, and the counts leave 3"]
        );
        assert_eq!((dropped, remainder), (4, -1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_is_about_to_add_what_it_has_counted_is_waited_for() {
        let log = LogLines::collect();
        let ledger = Arc::new(Ledger::default());
        let lane = Lane::<Segments>::new(Budget::of_mb(3), Arc::clone(&ledger));
        ledger.add_received(1);
        let late = async {
            tokio::time::sleep(5 * PAUSE).await;
            lane.add(std::iter::once(&b"{}"[..]), Instant::now());
        };
        tokio::join!(settle(&lane, Duration::ZERO), late);
        assert_eq!((log.take().len(), ledger.snapshot().remainder()), (1, 0));
    }
}
