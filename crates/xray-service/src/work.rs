//! A budget for the work of one question, and its end when nobody waits for the answer any more.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Comparisons that one question may take: some seconds of one processor, and a hundred for each of a million services
/// and calls, which is more than a store of the default size holds.
pub const MAX_STEPS: u64 = 100_000_000;

/// What one question may still do.
#[derive(Debug)]
pub struct Work {
    left: Cell<u64>,
    gone: Arc<AtomicBool>,
}

/// Why a question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It is too much work.
    #[error(
        "this expression is too long for so many traces: it would take more than {MAX_STEPS} comparisons"
    )]
    TooMuch,
    /// Nobody waits for the answer.
    #[error("nobody waits for the answer")]
    Gone,
}

/// Ends a question's work when it is dropped.
#[derive(Debug)]
pub struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Work {
    /// Of [`MAX_STEPS`], for as long as the other half is kept.
    #[must_use]
    pub fn asked() -> (Self, Asker) {
        let work = Self::new();
        let asker = Asker(Arc::clone(&work.gone));
        (work, asker)
    }

    /// Of [`MAX_STEPS`], for an asker who waits.
    #[must_use]
    pub fn new() -> Self {
        Self {
            left: Cell::new(MAX_STEPS),
            gone: Arc::default(),
        }
    }

    /// Takes so many steps before they are done.
    ///
    /// # Errors
    /// When they are too many, or for nobody.
    pub fn spend(&self, steps: u64) -> Result<(), Ended> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(Ended::Gone);
        }
        let left = self.left.get().checked_sub(steps).ok_or(Ended::TooMuch)?;
        self.left.set(left);
        Ok(())
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_with_its_budget_and_with_its_asker() {
        let (work, asker) = Work::asked();
        assert_eq!(work.spend(MAX_STEPS - 1), Ok(()));
        assert_eq!(work.spend(2), Err(Ended::TooMuch));
        assert_eq!(work.spend(1), Ok(()));
        drop(asker);
        assert_eq!(work.spend(0), Err(Ended::Gone));
    }
}
