//! How log lines are written.

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// The official daemon's lines: `2026-11-21T01:02:03Z [Info] text`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
