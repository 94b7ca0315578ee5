//! Work that takes its time, away from the thread that answers health, serves connections and hears signals.
//!
//! A question is asked of a view, so that the store is locked for a moment only; it has a budget of work, and ends when
//! the client has gone. Documents are read before the store is locked to take them. A few of a kind are worked on at
//! once, the others wait in the order they came.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use xray_service::work::Work;

/// Where work of a kind is done.
#[derive(Debug, Clone)]
pub(super) struct Away {
    places: Arc<Semaphore>,
    /// Hears of each piece of work when it is done.
    done: watch::Sender<()>,
}

impl Away {
    /// So much of it at once.
    pub(super) fn new(at_once: usize, done: watch::Sender<()>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once)),
            done,
        }
    }

    /// Does the work on another thread when there is a place: who came first gets it first. When this is dropped, work
    /// that waits is not done, and work that is being done is told to end. `None` when it has panicked, which has shown
    /// itself.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work) -> T + Send + 'static,
    ) -> Option<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let (budget, asker) = Work::asked();
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&budget);
            drop(place);
            done
        });
        let done = working.await.ok();
        drop(asker);
        self.done.send_replace(());
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it_any_more() {
        let away = Away::new(1, watch::Sender::new(()));
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
        assert_eq!(away.places.available_permits(), 1);
    }

    #[tokio::test]
    async fn where_there_is_one_place_work_is_done_in_the_order_it_came() {
        let away = Away::new(1, watch::Sender::new(()));
        let (began, order) = mpsc::channel();
        let all: Vec<_> = (0..50)
            .map(|n| {
                let (away, began) = (away.clone(), began.clone());
                tokio::spawn(async move { away.run(move |_| began.send(n).is_ok()).await })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), Some(true));
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }
}
