//! Questions about traces, answered away from the thread that receives, answers health and hears signals.
//!
//! A question is asked of a view, so that the store is locked for a moment only; it has a budget of work, and ends when
//! the client has gone. A few are answered at once, the others wait in the order they came.

use std::sync::Arc;

use tokio::sync::Semaphore;
use xray_service::service::View;
use xray_service::work::Work;

use super::Site;

/// Questions that are answered at once: so many processors they may take.
const AT_ONCE: usize = 2;

/// Where questions are answered.
#[derive(Debug, Clone)]
pub(super) struct Away {
    places: Arc<Semaphore>,
}

impl Away {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Does the work on another thread when there is a place. It is told to end when this is dropped. `None` when it has
    /// panicked, which has shown itself.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Work) -> T + Send + 'static,
    ) -> Option<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let (work, asker) = Work::asked();
        let answering = tokio::task::spawn_blocking(move || {
            let answer = question(&work);
            drop(place);
            answer
        });
        let answer = answering.await.ok();
        drop(asker);
        answer
    }
}

impl Site {
    /// Answers a question about this moment, as [`Away::run`].
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&View, &Work) -> T + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(self);
        // The view is of the moment when there is a place, so that none is held by those who wait.
        self.away
            .run(move |work| {
                let view = shared.service().view();
                drop(shared);
                question(&view, work)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it_any_more() {
        let away = Away::new();
        let (ended, has_ended) = mpsc::channel();
        let endless = away.run(move |work| {
            while work.spend(0).is_ok() {
                std::thread::yield_now();
            }
            ended.send(()).ok()
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(20), endless)
                .await
                .is_err()
        );
        has_ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(away.run(|_| 5).await, Some(5));
        assert_eq!(away.places.available_permits(), AT_ONCE);
    }
}
