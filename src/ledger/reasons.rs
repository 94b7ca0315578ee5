//! Why something was not sent.

/// Why a datagram became no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No newline between header and segment.
    MissingHeader,
    /// Nothing after the header's newline; over TCP, an empty document.
    MissingSegment,
    /// The header is not `{"format":"json","version":1}`.
    InvalidHeader,
}

impl RejectReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::MissingHeader, Self::MissingSegment, Self::InvalidHeader];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::MissingSegment => "missing_segment",
            Self::InvalidHeader => "invalid_header",
        }
    }
}

/// Why an accepted document was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The buffer budget was full and this was the oldest batch.
    BufferFull,
    /// The service refused the request for good.
    Refused,
    /// Still unsent when the shutdown deadline passed.
    Shutdown,
    /// The spool was full and this was its oldest file.
    SpoolFull,
    /// The spool's disk refused it.
    SpoolFailed,
    /// More came than the spool's disk could write.
    SpoolSlow,
    /// The file that it waited in was damaged, or removed by somebody.
    SpoolDamaged,
    /// It can't be said in the destination's language: a segment that is no span, a span that is no segment. Another
    /// destination may have taken it.
    NotConvertible,
    /// A segment in progress, for a destination that knows only what has ended: its final form follows.
    InProgress,
    /// A span that was not sampled, for a destination that counts on being given sampled ones only.
    Unsampled,
}

impl DropReason {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 10] = [
        Self::BufferFull,
        Self::Refused,
        Self::Shutdown,
        Self::SpoolFull,
        Self::SpoolFailed,
        Self::SpoolSlow,
        Self::SpoolDamaged,
        Self::NotConvertible,
        Self::InProgress,
        Self::Unsampled,
    ];

    /// How many of them, the first, there are where nothing is converted.
    pub const UNCONVERTED: usize = 7;

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The label in metrics and JSON logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
            Self::SpoolSlow => "spool_slow",
            Self::SpoolDamaged => "spool_damaged",
            Self::NotConvertible => "not_convertible",
            Self::InProgress => "in_progress",
            Self::Unsampled => "unsampled",
        }
    }
}
