//! Which request meets which fault.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;
use xray_service::service::Operation;

use super::Fault;

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct FaultRequest<'a> {
    /// The operation, unless path or method are outside the API.
    pub operation: Option<Operation>,
    /// The path below the endpoint's own.
    pub path: &'a str,
    /// The whole body.
    pub body: &'a [u8],
    /// Requests that wait for their answers, this one included.
    pub in_flight: usize,
}

impl FaultRequest<'_> {
    /// The documents of a `PutTraceSegments` call; empty for other calls and for bodies that are none.
    #[must_use]
    pub fn documents(&self) -> Vec<String> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "TraceSegmentDocuments")]
            documents: Vec<String>,
        }
        if self.operation != Some(Operation::PutTraceSegments) {
            return Vec::new();
        }
        serde_json::from_slice(self.body)
            .map(|body: Body| body.documents)
            .unwrap_or_default()
    }
}

/// The rules, in the order they are asked.
#[derive(Debug, Default)]
pub(super) struct Plan {
    rules: Vec<Rule>,
    fired: u64,
}

#[derive(Debug)]
struct Rule {
    scope: Option<Operation>,
    when: When,
    fault: Fault,
}

/// When a rule takes a request.
pub(super) enum When {
    Always,
    Times(u64),
    Until(Instant),
    EveryNth {
        n: u64,
        seen: u64,
    },
    Share {
        share: f64,
        state: u64,
    },
    AboveRate {
        per_second: f64,
        tokens: f64,
        filled_at: Instant,
    },
    AboveInFlight(usize),
    Matching(RequestPredicate),
}

type RequestPredicate = Arc<dyn Fn(&FaultRequest<'_>) -> bool + Send + Sync>;

/// What a rule says to a request.
enum Verdict {
    Take,
    Pass,
    UsedUp,
}

impl Plan {
    /// The fault for a request that arrives at `now`, from the first rule that takes it.
    pub(super) fn next(&mut self, request: &FaultRequest<'_>, now: Instant) -> Option<Fault> {
        let mut at = 0;
        while let Some(rule) = self.rules.get_mut(at) {
            if rule.scope.is_some() && rule.scope != request.operation {
                at += 1;
                continue;
            }
            match rule.when.judge(request, now) {
                Verdict::Take => {
                    self.fired += 1;
                    return Some(rule.fault.clone());
                }
                Verdict::Pass => at += 1,
                Verdict::UsedUp => {
                    self.rules.remove(at);
                }
            }
        }
        None
    }

    /// Removes the rules of one operation, or all.
    pub(super) fn clear(&mut self, scope: Option<Operation>) {
        self.rules.retain(|rule| scope.is_some() && rule.scope != scope);
    }

    /// How many requests met a fault so far.
    pub(super) fn fired(&self) -> u64 {
        self.fired
    }

    pub(super) fn add(&mut self, scope: Option<Operation>, when: When, fault: Fault) {
        self.rules.push(Rule { scope, when, fault });
    }
}

impl When {
    fn judge(&mut self, request: &FaultRequest<'_>, now: Instant) -> Verdict {
        let take = match self {
            Self::Always => true,
            Self::Times(0) => return Verdict::UsedUp,
            Self::Times(left) => {
                *left -= 1;
                true
            }
            Self::Until(end) if now >= *end => return Verdict::UsedUp,
            Self::Until(_) => true,
            Self::EveryNth { n, seen } => {
                *seen += 1;
                *n > 0 && seen.is_multiple_of(*n)
            }
            Self::Share { share, state } => unit(state) < *share,
            Self::AboveRate {
                per_second,
                tokens,
                filled_at,
            } => {
                let grown = now.saturating_duration_since(*filled_at).as_secs_f64() * *per_second;
                *tokens = (*tokens + grown).min(*per_second);
                *filled_at = now;
                let empty = *tokens < 1.0;
                if !empty {
                    *tokens -= 1.0;
                }
                empty
            }
            Self::AboveInFlight(n) => request.in_flight > *n,
            Self::Matching(predicate) => predicate(request),
        };
        if take { Verdict::Take } else { Verdict::Pass }
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Times(left) => write!(f, "{left} times"),
            Self::Until(_) => f.write_str("for a time"),
            Self::EveryNth { n, .. } => write!(f, "every {n}th"),
            Self::Share { share, .. } => write!(f, "a share of {share}"),
            Self::AboveRate { per_second, .. } => write!(f, "above {per_second}/s"),
            Self::AboveInFlight(n) => write!(f, "above {n} in flight"),
            Self::Matching(_) => f.write_str("matching"),
        }
    }
}

/// A number from 0 to below 1: SplitMix64, enough for a repeatable pattern and no more.
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
