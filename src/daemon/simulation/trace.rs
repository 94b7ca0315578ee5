//! What happened in a run, as one number: two runs that are the same have the same.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn note(&mut self, at: Duration, what: &[u64]) {
        for value in std::iter::once(at.as_nanos() as u64).chain(what.iter().copied()) {
            self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
}
