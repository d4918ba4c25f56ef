//! The process' own CPU, memory, descriptors and threads, read from `/proc` at each scrape.
//!
//! Elsewhere than on Linux only the start time is exported.

use super::metric::{Kind, Metric};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The metrics that come from here and not from a family.
pub(super) const COLLECTED: [Metric; 5] = [
    Metric::ProcessCpuSeconds,
    Metric::ProcessResidentMemory,
    Metric::ProcessOpenFds,
    Metric::ProcessThreads,
    Metric::ProcessStartTime,
];

/// Linux reports CPU times in this unit on every architecture we build for (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    pub(super) started: SystemTime,
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        for metric in COLLECTED {
            let Some(value) = self.read(metric) else {
                continue;
            };
            let name = metric.name().trim_end_matches("_total");
            let help = metric.help();
            if metric.kind() == Kind::Counter {
                let counter = ConstCounter::new(value);
                let into = encoder.encode_descriptor(name, &help, None, counter.metric_type())?;
                counter.encode(into)?;
            } else {
                let gauge = ConstGauge::new(value);
                let into = encoder.encode_descriptor(name, &help, None, gauge.metric_type())?;
                gauge.encode(into)?;
            }
        }
        Ok(())
    }
}

impl ProcessCollector {
    fn read(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::ProcessCpuSeconds => cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?),
            Metric::ProcessResidentMemory => {
                status_number("VmRSS:").map(|kibibytes| kibibytes * 1024.0)
            }
            Metric::ProcessThreads => status_number("Threads:"),
            Metric::ProcessOpenFds => {
                let count = fs::read_dir("/proc/self/fd").ok()?.count();
                // Reading the folder opens one descriptor more.
                u32::try_from(count.saturating_sub(1)).ok().map(f64::from)
            }
            Metric::ProcessStartTime => self
                .started
                .duration_since(UNIX_EPOCH)
                .ok()
                .map(|since| since.as_secs_f64()),
            _ => None,
        }
    }
}

/// User and system time from `/proc/self/stat`; the program's name, which may hold spaces, ends at the last `)`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn status_number(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::cpu_seconds;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
    }
}
