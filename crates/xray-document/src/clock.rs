//! Times as seconds since 1970, also those that were sent in another unit.
//!
//! X-Ray's times are seconds. Some SDKs and many programs by hand send milli-, micro- or nanoseconds, which as seconds
//! are tens of thousands of years from now. No clock means such a time: it is read in the unit in which it is one.

/// The first number of seconds that no clock shows: the year 5138. As milliseconds it is March 1973.
const BEYOND_CLOCKS_S: f64 = 1e11;

/// A unit that a time was sent in where seconds are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A thousandth of a second.
    Milliseconds,
    /// A millionth.
    Microseconds,
    /// A thousand-millionth.
    Nanoseconds,
}

impl Unit {
    /// The unit of a number that is no time in seconds; `None` when it is one.
    #[must_use]
    pub fn of(time: f64) -> Option<Self> {
        if time < BEYOND_CLOCKS_S {
            None
        } else if time < BEYOND_CLOCKS_S * 1e3 {
            Some(Self::Milliseconds)
        } else if time < BEYOND_CLOCKS_S * 1e6 {
            Some(Self::Microseconds)
        } else {
            Some(Self::Nanoseconds)
        }
    }

    /// As a word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    /// How many of it are in a second.
    #[must_use]
    pub const fn in_a_second(self) -> f64 {
        match self {
            Self::Milliseconds => 1e3,
            Self::Microseconds => 1e6,
            Self::Nanoseconds => 1e9,
        }
    }
}

/// A time in seconds since 1970, whatever unit it was sent in.
#[must_use]
pub fn seconds(time: f64) -> f64 {
    Unit::of(time).map_or(time, |unit| time / unit.in_a_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_today_is_the_same_in_every_unit() {
        for (time, unit) in [
            (1_795_227_595.5, None),
            (1_795_227_595_500.0, Some(Unit::Milliseconds)),
            (1_795_227_595_500_000.0, Some(Unit::Microseconds)),
            (1_795_227_595_500_000_000.0, Some(Unit::Nanoseconds)),
        ] {
            assert_eq!((seconds(time), Unit::of(time)), (1_795_227_595.5, unit));
        }
    }

    #[test]
    fn the_far_ends_are_times_still() {
        assert_eq!((seconds(1.0), seconds(9.9e10)), (1.0, 9.9e10));
        // The latest that a document may have, as nanoseconds.
        assert!(seconds(1.8e19) < BEYOND_CLOCKS_S);
    }
}
