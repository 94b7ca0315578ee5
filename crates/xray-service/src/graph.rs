//! The service map: what services did and what they called, over any number of traces, with counts and latencies.

use std::collections::{BTreeMap, HashMap};

use super::digest::{Digest, Part, ServiceKey};
use super::model::Marks;

/// The most services that are shown one by one; more are one node together. More cannot be drawn, and each has up to two
/// hundred numbers in an answer.
const MAX_NODES: usize = 500;

/// The most pairs of services whose calls are shown one by one.
const MAX_EDGES: usize = 5_000;

/// Counts and durations of many pieces of work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statistics {
    /// Neither fault, error nor throttle.
    pub ok: u64,
    /// 4xx that are not throttles.
    pub error: u64,
    /// 429.
    pub throttle: u64,
    /// 5xx, whatever else.
    pub fault: u64,
    /// Seconds, of all that has ended, with the word for how it went.
    durations: Vec<(f64, Marks)>,
    /// The earliest start in seconds since 1970.
    pub start: f64,
    /// The latest end.
    pub end: f64,
}

/// Durations between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Seconds, inclusive.
    pub from_s: f64,
    /// Seconds, exclusive; `None` for the last.
    pub to_s: Option<f64>,
    /// How many went well.
    pub ok: u64,
    /// 4xx.
    pub error: u64,
    /// 429.
    pub throttle: u64,
    /// 5xx.
    pub fault: u64,
}

impl Statistics {
    /// Adds one piece of work. What is in progress counts, and has no duration yet.
    pub fn add(&mut self, start: f64, end: f64, in_progress: bool, marks: Marks) {
        let first = self.count() == 0;
        *match marks.worst() {
            "fault" => &mut self.fault,
            "throttle" => &mut self.throttle,
            "error" => &mut self.error,
            _ => &mut self.ok,
        } += 1;
        self.start = if first { start } else { self.start.min(start) };
        self.end = if first { end } else { self.end.max(end) };
        if !in_progress {
            self.durations.push((end - start, marks));
        }
    }

    /// Adds what is counted elsewhere.
    fn join(&mut self, other: Self) {
        if other.count() == 0 {
            return;
        }
        let first = self.count() == 0;
        self.start = if first {
            other.start
        } else {
            self.start.min(other.start)
        };
        self.end = if first { other.end } else { self.end.max(other.end) };
        self.ok += other.ok;
        self.error += other.error;
        self.throttle += other.throttle;
        self.fault += other.fault;
        self.durations.extend(other.durations);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ok + self.error + self.throttle + self.fault
    }

    /// Seconds, of all that has ended.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.durations.iter().map(|(seconds, _)| seconds).sum()
    }

    /// The mean in seconds; `None` when nothing has ended.
    #[must_use]
    pub fn average_s(&self) -> Option<f64> {
        (!self.durations.is_empty()).then(|| self.total_s() / self.durations.len() as f64)
    }

    /// The durations in seconds at these shares (0.5: the median), by the nearest rank.
    #[must_use]
    pub fn percentiles_s<const N: usize>(&self, shares: [f64; N]) -> [Option<f64>; N] {
        let mut sorted: Vec<f64> = self.durations.iter().map(|(seconds, _)| *seconds).collect();
        sorted.sort_by(f64::total_cmp);
        shares.map(|share| {
            let rank = (sorted.len() as f64 * share).ceil() as usize;
            let last = sorted.len().checked_sub(1)?;
            Some(sorted[rank.saturating_sub(1).min(last)])
        })
    }

    /// The histogram on a logarithmic scale of six steps a decade from 0.1 ms to 700 s, from the first bucket that has
    /// something to the last.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let bounds = bounds();
        let mut buckets: Vec<Bucket> = (0..bounds.len())
            .map(|at| Bucket {
                from_s: bounds[at],
                to_s: bounds.get(at + 1).copied(),
                ok: 0,
                error: 0,
                throttle: 0,
                fault: 0,
            })
            .collect();
        for (seconds, marks) in &self.durations {
            let at = bounds.partition_point(|bound| bound <= seconds).saturating_sub(1);
            *match marks.worst() {
                "fault" => &mut buckets[at].fault,
                "throttle" => &mut buckets[at].throttle,
                "error" => &mut buckets[at].error,
                _ => &mut buckets[at].ok,
            } += 1;
        }
        let filled = |bucket: &Bucket| bucket.ok + bucket.error + bucket.throttle + bucket.fault > 0;
        let Some(first) = buckets.iter().position(filled) else {
            return Vec::new();
        };
        let last = buckets.iter().rposition(filled).unwrap_or(first);
        buckets[first..=last].to_vec()
    }

    /// Durations rounded to two digits, and how often each is there, as the API gives histograms.
    #[must_use]
    pub fn rounded(&self) -> Vec<(f64, u64)> {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for (seconds, _) in &self.durations {
            // Whole microseconds, two of their digits: a key that sorts, and that no rounding splits.
            let micros = (seconds * 1e6).round().max(0.0) as u64;
            let step = 10_u64.pow(micros.max(1).ilog10().saturating_sub(1));
            *counts.entry((micros + step / 2) / step * step).or_default() += 1;
        }
        counts
            .into_iter()
            .map(|(micros, count)| (micros as f64 / 1e6, count))
            .collect()
    }
}

fn bounds() -> Vec<f64> {
    let decades = (-4..=2).flat_map(|power: i32| {
        [10.0_f64, 15.0, 20.0, 30.0, 50.0, 70.0].map(|step| {
            // By division, so that 0.0015 is the number that is written so.
            step / 10_f64.powi(1 - power)
        })
    });
    std::iter::once(0.0).chain(decades).collect()
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Name and kind.
    pub service: ServiceKey,
    /// Requests came in here.
    pub root: bool,
    /// It has sent segments; what is known from its callers alone has not.
    pub active: bool,
    /// Its work.
    pub statistics: Statistics,
}

/// The calls from one service to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The caller, by its place in [`Graph::nodes`].
    pub from: usize,
    /// The called.
    pub to: usize,
    /// The calls.
    pub statistics: Statistics,
}

/// Services and calls, in the order of their names. Beyond some hundred services, those with the least work are one: `N
/// more`, the last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Graph {
    /// The services.
    pub nodes: Vec<Node>,
    /// The calls.
    pub edges: Vec<Edge>,
}

impl Graph {
    /// Of these traces.
    #[must_use]
    pub fn of<'a>(digests: impl IntoIterator<Item = &'a Digest, IntoIter: Clone>) -> Self {
        // Twice, so that only what is shown has statistics: of names there may be as many as of calls.
        let digests = digests.into_iter();
        let (places, more) = places(digests.clone());
        let mut nodes = vec![Node::default(); places.len() + usize::from(more > 0)];
        for (service, place) in &places {
            nodes[*place].service = (*service).clone();
        }
        if more > 0 {
            nodes[MAX_NODES].service = ServiceKey::more(more);
        }
        let place = |part: &Part| places.get(&part.service).copied().unwrap_or(MAX_NODES);
        let mut edges: BTreeMap<(usize, usize), Statistics> = BTreeMap::new();
        for digest in digests {
            for part in &digest.parts {
                let node = &mut nodes[place(part)];
                node.root |= part.root;
                node.active |= !part.inferred;
                node.statistics
                    .add(part.start, part.end, part.in_progress, part.marks);
            }
            for call in &digest.calls {
                let key = (place(&digest.parts[call.from]), place(&digest.parts[call.to]));
                let statistics = edges.entry(key).or_default();
                statistics.add(call.start, call.end, call.in_progress, call.marks);
            }
        }
        let edges = edges
            .into_iter()
            .map(|((from, to), statistics)| Edge { from, to, statistics });
        let mut graph = Self {
            nodes,
            edges: edges.collect(),
        };
        graph.join_edges();
        graph
    }

    /// Where there are more than [`MAX_EDGES`], those with the least work lead to one node together.
    fn join_edges(&mut self) {
        let Some(more) = self.edges.len().checked_sub(MAX_EDGES).filter(|more| *more > 0) else {
            return;
        };
        let together = self.nodes.len();
        self.nodes.push(Node {
            service: ServiceKey {
                name: format!("{more} more calls"),
                kind: String::new(),
            },
            ..Node::default()
        });
        self.edges
            .sort_by_key(|edge| std::cmp::Reverse(edge.statistics.count()));
        let mut rest: BTreeMap<usize, Statistics> = BTreeMap::new();
        for edge in self.edges.split_off(MAX_EDGES) {
            rest.entry(edge.from).or_default().join(edge.statistics);
        }
        self.edges.extend(rest.into_iter().map(|(from, statistics)| Edge {
            from,
            to: together,
            statistics,
        }));
        self.edges.sort_by_key(|edge| (edge.from, edge.to));
    }

    /// The calls of a service, by its place in [`Graph::nodes`].
    pub fn edges_of(&self, node: usize) -> impl Iterator<Item = &Edge> {
        let first = self.edges.partition_point(|edge| edge.from < node);
        self.edges[first..]
            .iter()
            .take_while(move |edge| edge.from == node)
    }
}

/// Where each service is shown, in the order of their names: all of them, or the [`MAX_NODES`] with the most work, where
/// requests come in before all others; and how many are not.
fn places<'a>(digests: impl Iterator<Item = &'a Digest>) -> (BTreeMap<&'a ServiceKey, usize>, usize) {
    let mut work: HashMap<&ServiceKey, u32> = HashMap::new();
    for part in digests.flat_map(|digest| &digest.parts) {
        let count = work.entry(&part.service).or_default();
        *count = if part.root {
            u32::MAX
        } else {
            count.saturating_add(1)
        };
    }
    let more = work.len().saturating_sub(MAX_NODES);
    let mut shown: Vec<(&ServiceKey, u32)> = work.into_iter().collect();
    if more > 0 {
        // Among those with as much work the names decide.
        shown.select_nth_unstable_by(MAX_NODES, |a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        shown.truncate(MAX_NODES);
    }
    shown.sort_unstable();
    let places = shown.into_iter().enumerate();
    (
        places.map(|(place, (service, _))| (service, place)).collect(),
        more,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(durations: &[(f64, Marks)]) -> Statistics {
        let mut statistics = Statistics::default();
        for (seconds, marks) in durations {
            statistics.add(100.0, 100.0 + seconds, false, *marks);
        }
        statistics
    }

    const OK: Marks = Marks {
        fault: false,
        error: false,
        throttle: false,
    };
    const FAULT: Marks = Marks { fault: true, ..OK };

    #[test]
    fn percentiles_are_by_the_nearest_rank() {
        let ten: Vec<(f64, Marks)> = (1..=10).map(|n| (f64::from(n), OK)).collect();
        let statistics = work(&ten);
        assert_eq!(
            statistics.percentiles_s([0.5, 0.95, 1.0]),
            [Some(5.0), Some(10.0), Some(10.0)]
        );
        assert_eq!(statistics.average_s(), Some(5.5));
        assert_eq!(Statistics::default().percentiles_s([0.5]), [None]);
    }

    #[test]
    fn buckets_go_from_the_first_to_the_last_that_has_something() {
        let buckets = work(&[(0.012, OK), (0.025, FAULT)]).buckets();
        let shown: Vec<(f64, Option<f64>, u64, u64)> = buckets
            .iter()
            .map(|bucket| (bucket.from_s, bucket.to_s, bucket.ok, bucket.fault))
            .collect();
        assert_eq!(
            shown,
            [
                (0.01, Some(0.015), 1, 0),
                (0.015, Some(0.02), 0, 0),
                (0.02, Some(0.03), 0, 1)
            ]
        );
        assert_eq!(work(&[(5_000.0, OK)]).buckets()[0].to_s, None);
        assert_eq!(work(&[(0.0, OK)]).buckets()[0].from_s, 0.0);
    }

    #[test]
    fn rounded_durations_have_two_digits() {
        let statistics = work(&[(0.1234, OK), (0.1249, OK), (2.0, OK), (0.0, OK)]);
        assert_eq!(statistics.rounded(), [(0.0, 1), (0.12, 2), (2.0, 1)]);
    }

    fn digest(trace: usize, names: impl Iterator<Item = usize>) -> Digest {
        let remotes: Vec<String> = names
            .map(|name| {
                format!(
                    r#"{{"id":"{name:016x}","name":"host-{name}","namespace":"remote","start_time":1,"end_time":2}}"#
                )
            })
            .collect();
        let document = format!(
            r#"{{"id":"{:016x}","name":"shop-{trace}","start_time":1,"end_time":2,"subsegments":[{}]}}"#,
            1_u64 << 40,
            remotes.join(",")
        );
        Digest::of("t", &crate::model::Tree::build([document.as_str()]))
    }

    /// 10⁵ names were 105 MB of answer.
    #[test]
    fn a_hundred_thousand_names_are_a_map_of_five_hundred_and_the_rest_is_counted() {
        let digests = [digest(0, 0..100_000), digest(1, 99_990..100_000)];
        let graph = Graph::of(&digests);
        assert_eq!(graph.nodes.len(), MAX_NODES + 1);
        let more = graph.nodes.last().unwrap();
        // Besides the hosts: two shops and their clients.
        assert_eq!(more.service.name, format!("{} more", 100_003 - MAX_NODES));
        let names: Vec<&str> = graph
            .nodes
            .iter()
            .map(|node| node.service.name.as_str())
            .collect();
        assert!(
            names.contains(&"shop-0") && names.contains(&"host-99995"),
            "those with work are shown"
        );
        let count: u64 = graph.nodes.iter().map(|node| node.statistics.count()).sum();
        assert_eq!(count, 100_010 + 2 + 2);
        let calls: u64 = graph.edges.iter().map(|edge| edge.statistics.count()).sum();
        assert_eq!(calls, 100_010 + 2);
        assert!(graph.edges.iter().all(|edge| edge.to < graph.nodes.len()));
        let of_first = names.iter().position(|name| *name == "shop-0").unwrap();
        assert!(graph.edges_of(of_first).all(|edge| edge.from == of_first));
    }

    #[test]
    fn more_pairs_than_can_be_drawn_are_counted_together() {
        let digests: Vec<Digest> = (0..100).map(|trace| digest(trace, 0..60)).collect();
        let graph = Graph::of(&digests);
        let edges = 100 * 60 + 100;
        assert_eq!(
            graph.nodes.last().unwrap().service.name,
            format!("{} more calls", edges - MAX_EDGES)
        );
        let calls: u64 = graph.edges.iter().map(|edge| edge.statistics.count()).sum();
        assert_eq!(calls, edges as u64);
        assert!(graph.edges.len() <= MAX_EDGES + 101);
    }

    #[test]
    fn what_is_in_progress_counts_and_has_no_duration() {
        let mut statistics = work(&[(1.0, FAULT)]);
        statistics.add(90.0, 105.0, true, OK);
        assert_eq!(
            (statistics.count(), statistics.fault, statistics.total_s()),
            (2, 1, 1.0)
        );
        assert_eq!((statistics.start, statistics.end), (90.0, 105.0));
    }
}
