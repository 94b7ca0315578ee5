//! Bad times: the endpoint down or slow, and bursts; by name, and with what is sent in each.

use std::time::Duration;

use super::generator::Load;

/// Before the endpoint goes down, and after it is back.
pub(crate) const AROUND: Duration = Duration::from_secs(2);

/// No document for so long, and the outage on top, means that none comes any more; longer than any back-off.
const QUIET: Duration = Duration::from_secs(10);
const QUIET_MOST: Duration = Duration::from_secs(60);

pub(crate) const BURST_QUIET: Duration = Duration::from_secs(5);
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// What `--scenario` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// One endpoint, one row for each subject.
    Played(Play),
    /// Many endpoints that are ill in different ways.
    HalfIll,
    /// A full spool beside live traffic.
    Drain,
    /// Bursts, within the system's limit of the receive buffer and past it.
    Bursts,
    /// Segments to X-Ray, to an OTLP endpoint, and to both.
    Both,
    /// OTLP in, OTLP out.
    Otlp,
    /// How long a segment takes to its call.
    Latency,
    /// Sampling calls through the TCP port.
    Sampling,
    /// Documents over the TCP port.
    Ingest,
    /// `xray dev` with its page open.
    Dev,
}

/// What happens to one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Play {
    Outage,
    OutageSmall,
    BurstSmall,
    BurstLarge,
    Slow,
}

impl Scenario {
    const ALL: [Self; 14] = [
        Self::Played(Play::Outage),
        Self::Played(Play::OutageSmall),
        Self::Played(Play::BurstSmall),
        Self::Played(Play::BurstLarge),
        Self::Played(Play::Slow),
        Self::HalfIll,
        Self::Drain,
        Self::Bursts,
        Self::Both,
        Self::Otlp,
        Self::Latency,
        Self::Sampling,
        Self::Ingest,
        Self::Dev,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Played(play) => play.name(),
            Self::HalfIll => "half-ill",
            Self::Drain => "drain",
            Self::Bursts => "bursts",
            Self::Both => "both",
            Self::Otlp => "otlp",
            Self::Latency => "latency",
            Self::Sampling => "sampling",
            Self::Ingest => "ingest",
            Self::Dev => "dev",
        }
    }
}

impl Play {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::OutageSmall => "outage-small",
            Self::BurstSmall => "burst-small",
            Self::BurstLarge => "burst-large",
            Self::Slow => "slow",
        }
    }

    pub(crate) fn describe(self, outage: Duration) -> String {
        let outage = outage.as_secs();
        match self {
            Self::Outage => format!("1,000/s of 1 KB, endpoint down for {outage} s, default budget"),
            Self::OutageSmall => format!("1,000/s of 1 KB, endpoint down for {outage} s, -m 3"),
            Self::BurstSmall => "5,000 of 300 B as fast as possible".to_owned(),
            Self::BurstLarge => "300,000 of 1 KB as fast as possible".to_owned(),
            Self::Slow => "1,000/s of 1 KB for 20 s, each answer takes 1 s".to_owned(),
        }
    }

    /// More arguments for the daemon.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::OutageSmall => &["-m", "3"],
            _ => &[],
        }
    }

    pub(crate) fn load(self, outage: Duration) -> Load {
        let paced = |time: Duration| Load {
            rate: 1000,
            document_bytes: 1024,
            count: u64::from(u32::MAX),
            time,
            ..Load::default()
        };
        let burst = |count, document_bytes| Load {
            rate: 0,
            document_bytes,
            count,
            time: LONG,
            ..Load::default()
        };
        match self {
            Self::Outage | Self::OutageSmall => paced(outage + 2 * AROUND),
            Self::Slow => paced(Duration::from_secs(20)),
            Self::BurstSmall => burst(5000, 300),
            Self::BurstLarge => burst(300_000, 1024),
        }
    }

    /// The control has one call in flight and no retry, so only bursts say anything about it.
    pub(crate) fn is_burst(self) -> bool {
        matches!(self, Self::BurstSmall | Self::BurstLarge)
    }

    /// How long no document may come before none comes any more.
    pub(crate) fn quiet(self, outage: Duration) -> Duration {
        if self.is_burst() {
            BURST_QUIET
        } else {
            QUIET_MOST.min(outage + QUIET)
        }
    }
}

/// The scenario of a name; every one for `all`.
pub(crate) fn scenarios(name: &str) -> Result<Vec<Scenario>, String> {
    let chosen = Scenario::ALL
        .into_iter()
        .filter(|scenario| name == "all" || scenario.name() == name);
    let chosen: Vec<Scenario> = chosen.collect();
    if chosen.is_empty() {
        Err("there is no such scenario".to_owned())
    } else {
        Ok(chosen)
    }
}
