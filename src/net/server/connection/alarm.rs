//! The clock of a connection, which is set with each stage and rings seldom.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Setting the runtime's clock wakes its driver, with a system call and another turn of the loop each time. So it is left alone
/// as long as it rings in time, and when it rings too early it is set anew.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Pin<Box<Sleep>>,
    /// When it rings; `None`: it is not set.
    rings_at: Option<Instant>,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            rings_at: None,
        }
    }
}

impl Alarm {
    /// Whether it is `deadline`; if not, the task is woken then at the latest.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.rings_at.is_none_or(|at| at > deadline) {
                self.timer.as_mut().reset(deadline.into());
                self.rings_at = Some(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.rings_at.take() == Some(deadline) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn is_over(alarm: &mut Alarm, deadline: Instant) -> bool {
        poll_fn(|cx| Poll::Ready(alarm.poll(deadline, cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_that_it_was_last_asked_about() {
        let start = tokio::time::Instant::now().into_std();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut alarm = Alarm::default();
        assert!(!is_over(&mut alarm, after(10)).await);
        // Later: it still rings after 10 s, and is set to 30 s then.
        assert!(!is_over(&mut alarm, after(30)).await);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!is_over(&mut alarm, after(30)).await);
        // Earlier than it rings.
        assert!(!is_over(&mut alarm, after(20)).await);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(is_over(&mut alarm, after(20)).await);
        // And once more, at the same instant and later.
        assert!(is_over(&mut alarm, after(20)).await);
        assert!(!is_over(&mut alarm, after(21)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_however_often_the_deadline_moved() {
        let start = tokio::time::Instant::now();
        let mut alarm = Alarm::default();
        for seconds in [10, 20, 40] {
            let deadline = start.into_std() + Duration::from_secs(seconds);
            if seconds < 40 {
                assert!(!is_over(&mut alarm, deadline).await);
            } else {
                poll_fn(|cx| alarm.poll(deadline, cx)).await;
            }
        }
        assert_eq!(start.elapsed(), Duration::from_secs(40));
    }
}
