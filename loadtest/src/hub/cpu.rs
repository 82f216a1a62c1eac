//! Edge: what a process has cost, as the scheduler counts it.
//!
//! Nanoseconds on a processor, of every thread; also what the kernel did for it in its system calls. What a thread did
//! that has ended meanwhile is not seen: servers keep the threads that matter here.

use std::collections::HashMap;

use anyhow::Context;

/// The cost of each thread at one moment.
#[derive(Debug, Clone)]
pub struct Cost {
    pids: Vec<u32>,
    /// (process, thread) → nanoseconds.
    threads: HashMap<(u32, u32), u64>,
}

impl Cost {
    /// Reads it.
    pub fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut threads = HashMap::new();
        for pid in pids {
            let folder = format!("/proc/{pid}/task");
            for entry in std::fs::read_dir(&folder).with_context(|| format!("process {pid} is gone"))? {
                let entry = entry?;
                // A thread may end while we look.
                let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) else { continue };
                let id = entry.file_name().to_string_lossy().parse().unwrap_or(0);
                threads.insert((*pid, id), on_processor(&text));
            }
        }
        Ok(Self { pids: pids.to_vec(), threads })
    }

    /// Microseconds since then.
    pub fn spent_us(&self) -> anyhow::Result<f64> {
        let now = Self::of(&self.pids)?;
        let spent = |(thread, ns): (&(u32, u32), &u64)| ns.saturating_sub(*self.threads.get(thread).unwrap_or(&0));
        Ok(super::figures::float(now.threads.iter().map(spent).sum()) / 1_000.0)
    }
}

fn on_processor(schedstat: &str) -> u64 {
    schedstat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_counts() {
        assert_eq!(on_processor("123456 789 3\n"), 123_456);
        assert_eq!(on_processor(""), 0);
    }

    #[test]
    fn work_costs() {
        let before = Cost::of(&[std::process::id()]).expect("we run");
        let mut n = 1_u64;
        for i in 0..20_000_000 {
            n = std::hint::black_box(n.wrapping_mul(i));
        }
        assert!(before.spent_us().expect("we still run") > 100.0, "{n}");
        assert!(Cost::of(&[u32::MAX]).is_err());
    }
}
