//! The registry behind the handles: one family per [`Metric`], registered from the list.

use super::metric::{Kind, Metric, Unit};
use super::process::{self, ProcessCollector};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

pub(super) type Labels = Vec<(&'static str, String)>;
pub(super) type FloatGauge = Gauge<f64, AtomicU64>;

/// Buckets from a local write (1 ms) to a long outage (5 min), about three to a decade: enough to read a p99 from.
const SECONDS_BUCKETS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];

#[derive(Debug, Clone)]
struct SecondsHistogram;

impl MetricConstructor<Histogram> for SecondsHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS_BUCKETS)
    }
}

/// All families. A look-up takes a lock: handles keep what they got.
#[derive(Debug)]
pub(super) struct Families {
    registry: Registry,
    counters: BTreeMap<Metric, Family<Labels, Counter>>,
    gauges: BTreeMap<Metric, Family<Labels, Gauge>>,
    float_gauges: BTreeMap<Metric, Family<Labels, FloatGauge>>,
    histograms: BTreeMap<Metric, Family<Labels, Histogram, SecondsHistogram>>,
}

impl Families {
    pub(super) fn new(version: &str, started: SystemTime) -> Self {
        let mut families = Self {
            registry: Registry::default(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            float_gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
        };
        for &metric in Metric::ALL {
            if !process::COLLECTED.contains(&metric) {
                families.register(metric);
            }
        }
        families
            .registry
            .register_collector(Box::new(ProcessCollector { started }));
        families.gauge(Metric::BuildInfo, &[version]).set(1);
        families
    }

    fn register(&mut self, metric: Metric) {
        // The library appends `_total` to counters itself.
        let name = metric.name().trim_end_matches("_total");
        let (registry, help) = (&mut self.registry, metric.help());
        match (metric.kind(), metric.unit()) {
            (Kind::Counter, _) => {
                let family = Family::default();
                registry.register(name, help, family.clone());
                self.counters.insert(metric, family);
            }
            (Kind::Gauge, Unit::Seconds) => {
                let family = Family::default();
                registry.register(name, help, family.clone());
                self.float_gauges.insert(metric, family);
            }
            (Kind::Gauge, _) => {
                let family = Family::default();
                registry.register(name, help, family.clone());
                self.gauges.insert(metric, family);
            }
            (Kind::Histogram, _) => {
                let family = Family::new_with_constructor(SecondsHistogram);
                registry.register(name, help, family.clone());
                self.histograms.insert(metric, family);
            }
        }
    }

    /// The counter of these label values. A metric of another kind counts into nothing that is scraped; the test over
    /// [`Metric::ALL`] keeps that from happening unseen.
    pub(super) fn counter(&self, metric: Metric, values: &[&str]) -> Counter {
        let family = self.counters.get(&metric);
        family.map_or_else(Counter::default, |family| {
            family.get_or_create_owned(&labels(metric, values))
        })
    }

    pub(super) fn gauge(&self, metric: Metric, values: &[&str]) -> Gauge {
        let family = self.gauges.get(&metric);
        family.map_or_else(Gauge::default, |family| {
            family.get_or_create_owned(&labels(metric, values))
        })
    }

    pub(super) fn float_gauge(&self, metric: Metric, values: &[&str]) -> FloatGauge {
        let family = self.float_gauges.get(&metric);
        family.map_or_else(FloatGauge::default, |family| {
            family.get_or_create_owned(&labels(metric, values))
        })
    }

    pub(super) fn histogram(&self, metric: Metric, values: &[&str]) -> Histogram {
        let family = self.histograms.get(&metric);
        family.map_or_else(
            || SecondsHistogram.new_metric(),
            |family| family.get_or_create_owned(&labels(metric, values)),
        )
    }

    /// Takes a series out of the next scrape: a partition that is no longer ours must not look stuck.
    pub(super) fn remove(&self, metric: Metric, values: &[&str]) {
        let labels = labels(metric, values);
        if let Some(family) = self.gauges.get(&metric) {
            family.remove(&labels);
        }
        if let Some(family) = self.float_gauges.get(&metric) {
            family.remove(&labels);
        }
    }

    pub(super) fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; a collector that fails leaves a text without the end mark, which a scraper
        // refuses as cut short.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn labels(metric: Metric, values: &[&str]) -> Labels {
    debug_assert_eq!(metric.labels().len(), values.len(), "{metric:?}");
    let names = metric.labels().iter().copied();
    names
        .zip(values.iter().map(|&value| value.to_owned()))
        .collect()
}
