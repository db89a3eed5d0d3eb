//! Figures in the making.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// Figures under way to the text.
pub struct Figures(Registry);

impl Figures {
    /// None yet.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self(Registry::new_custom(Some("creance".into()), None)?))
    }

    /// All of them, in the text format 0.0.4 of Prometheus.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.gather())
    }

    /// One number.
    pub fn number(&self, name: &str, help: &str, value: i64) -> Result<(), prometheus::Error> {
        self.gauge(name, help, &[], [(&[][..], value)])
    }

    /// Values that go up and down, by labels.
    pub fn gauge<'a>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: impl IntoIterator<Item = (&'a [&'a str], i64)>,
    ) -> Result<(), prometheus::Error> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels)?;
        for (labels, value) in values {
            gauges.get_metric_with_label_values(labels)?.set(value);
        }
        self.0.register(Box::new(gauges))
    }

    /// Counts, by one label.
    pub fn counter<'a>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<(), prometheus::Error> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (label, value) in values {
            counters.get_metric_with_label_values(&[label])?.inc_by(value);
        }
        self.0.register(Box::new(counters))
    }
}

/// Prometheus' gauges are signed here.
pub fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
