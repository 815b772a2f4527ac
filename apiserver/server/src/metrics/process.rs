//! The process, as Go's `collectors.NewProcessCollector` and component-base's start time show it: from
//! `/proc`. Where that cannot be read there are none of these metrics.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};

/// Ticks of a second in `/proc`: 100 on every architecture that we build for, whatever the kernel's own.
const TICKS: f64 = 100.0;
const KIB: f64 = 1024.0;

#[derive(Debug)]
pub(super) struct ProcessCollector;

/// What is known of the process; what cannot be read is left out.
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    max_fds: Option<f64>,
    open_fds: Option<f64>,
    resident_bytes: Option<f64>,
    start_time_seconds: Option<f64>,
    virtual_bytes: Option<f64>,
}

impl Process {
    fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        let open = std::fs::read_dir("/proc/self/fd").ok();
        Self {
            // Without the one that reads the directory.
            open_fds: open.and_then(|files| float(files.count().checked_sub(1)?)),
            ..Self::parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
                &text("/proc/stat"),
            )
        }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The name of the program comes second and may have anything in it; fields are counted from 3.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let field = |n: usize| -> Option<f64> { fields.split(' ').nth(n - 3)?.parse().ok() };
        let size = |name| Some(word(status, name)? * KIB);
        let cpu = field(14).zip(field(15));
        let begun = word(system, "btime ").zip(field(22));
        Self {
            cpu_seconds: cpu.map(|(user, system)| (user + system) / TICKS),
            max_fds: word(limits, "Max open files"),
            open_fds: None,
            resident_bytes: size("VmRSS:"),
            start_time_seconds: begun.map(|(boot, since)| boot + since / TICKS),
            virtual_bytes: size("VmSize:"),
        }
    }
}

/// The word after a name that begins a line, as a number.
fn word(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines.next()?.split_whitespace().next()?.parse().ok()
}

fn float(count: usize) -> Option<f64> {
    u32::try_from(count).ok().map(f64::from)
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Process {
            cpu_seconds,
            max_fds,
            open_fds,
            resident_bytes,
            start_time_seconds,
            virtual_bytes,
        } = Process::read();
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        let families = [
            (
                "process_cpu_seconds_total",
                "Processor time, user and system",
                counter,
                cpu_seconds,
            ),
            (
                "process_max_fds",
                "File descriptors that may be open",
                gauge,
                max_fds,
            ),
            (
                "process_open_fds",
                "File descriptors that are open",
                gauge,
                open_fds,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory",
                gauge,
                resident_bytes,
            ),
            (
                "process_start_time_seconds",
                "When the process began, in seconds since 1970",
                gauge,
                start_time_seconds,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory",
                gauge,
                virtual_bytes,
            ),
        ];
        for (name, help, metric_type, value) in families {
            if let Some(value) = value {
                encoder
                    .encode_descriptor(name, help, None, metric_type)?
                    .encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_even_with_a_strange_program_name() {
        let stat = "7 (a) b c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1200 9 9 9";
        let status = "Name:\ta\nVmSize:\t   20 kB\nVmRSS:\t   10 kB\n";
        let limits = "Max open files            1024                 4096                 files\n";
        let system = "cpu 1 2 3\nbtime 1700000000\n";
        let expected = Process {
            cpu_seconds: Some(2.0),
            max_fds: Some(1024.0),
            open_fds: None,
            resident_bytes: Some(10240.0),
            start_time_seconds: Some(1_700_000_012.0),
            virtual_bytes: Some(20480.0),
        };
        assert_eq!(Process::parse(stat, status, limits, system), expected);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(Process::parse("", "", "", ""), Process::default());
    }
}
