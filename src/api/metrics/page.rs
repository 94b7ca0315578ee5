//! The text format: families, samples and their labels.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ledger::histogram::Histogram;

/// A name and its value.
pub(super) type Label<'l> = (&'l str, &'l str);

/// The labels of a lane and one more.
pub(super) fn with<'l>(labels: &[Label<'l>], more: Label<'l>) -> Vec<Label<'l>> {
    let mut labels = labels.to_vec();
    labels.push(more);
    labels
}

/// Lines of the format.
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            // Every value is a word of ours, a number, or a code reduced to letters and digits: nothing to be escaped.
            self.line(format_args!("{before}{label}=\"{value}\""));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}\n"));
    }

    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(super) fn count(&mut self, name: &str, help: &str, value: u64) {
        self.single(name, "counter", help, float(value));
    }

    pub(super) fn counts<'c>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = (&'c str, u64)>,
    ) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            self.sample(name, &[(label, value)], float(count));
        }
    }

    /// A family of samples with labels of their own.
    pub(super) fn each<'l>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<Label<'l>>, f64)>,
    ) {
        self.family(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    pub(super) fn histograms<'h, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (Vec<Label<'h>>, &'h Histogram<N>)>,
    ) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (labels, histogram) in histograms {
            for (bound, count) in histogram.cumulative() {
                self.sample(&bucket, &with(&labels, ("le", &bound.to_string())), float(count));
            }
            self.sample(&bucket, &with(&labels, ("le", "+Inf")), float(histogram.count()));
            self.sample(&format!("{name}_sum"), &labels, histogram.sum());
            self.sample(&format!("{name}_count"), &labels, float(histogram.count()));
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _: std::fmt::Result = self.0.write_fmt(text);
    }
}

/// The format knows floats only; they are exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "2^53 segments take centuries")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
