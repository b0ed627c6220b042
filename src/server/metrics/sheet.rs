//! Writes metrics as they are when somebody looks.

use std::fmt::Result;

use matron_storage::Spread;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The sheet that is written on.
pub struct Sheet<'a>(pub DescriptorEncoder<'a>);

impl Sheet<'_> {
    /// One number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// Numbers that go up and down, told apart by one label.
    pub fn gauges<'v, V: EncodeGaugeValue>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'v str, V)>,
    ) -> Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&[(label, of)])?)?;
        }
        Ok(())
    }

    /// One number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// Numbers that only grow, told apart by one label.
    pub fn counters<'v>(
        &mut self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> Result {
        self.counters_by(name, help, values.into_iter().map(|(of, value)| ([(label, of)], value)))
    }

    /// Numbers that only grow, told apart by any labels.
    pub fn counters_by<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Seconds, kept in microseconds.
    pub fn times(&mut self, name: &str, help: &str, times: &Spread) -> Result {
        let unit = Unit::Seconds;
        histogram(self.0.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?, times, 1e6)
    }

    /// Seconds, told apart by any labels.
    pub fn times_by<'s, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, &'s Spread)>,
    ) -> Result {
        let unit = Unit::Seconds;
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        for (labels, times) in values {
            histogram(family.encode_family(&labels)?, times, 1e6)?;
        }
        Ok(())
    }

    /// Numbers that are put together.
    pub fn sizes(&mut self, name: &str, help: &str, sizes: &Spread) -> Result {
        histogram(self.0.encode_descriptor(name, help, None, MetricType::Histogram)?, sizes, 1.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is counted stays below 2^52")]
fn histogram(mut encoder: MetricEncoder<'_>, spread: &Spread, unit: f64) -> Result {
    let buckets =
        spread.counts().map(|(bound, count)| (bound.map_or(f64::INFINITY, |bound| bound as f64 / unit), count));
    let buckets: Vec<_> = buckets.collect();
    // Of the buckets themselves: somebody may count while this is written.
    let count = buckets.iter().map(|(_, count)| count).sum();
    encoder.encode_histogram::<NoLabelSet>(spread.sum() as f64 / unit, count, &buckets, None)
}
