//! How long a call may take: CPU time of the calling thread, with a wall limit behind it.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use wasmtime::UpdateDeadline;

/// Epochs from the start of a call to the first look at a clock.
///
/// Reading the thread's CPU clock costs as much as a whole call, so a call that ends within this time reads none, and one that does
/// not is given it for free.
pub(crate) const FREE_EPOCHS: u64 = 2;

/// The deadline of the call that is running.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    cpu_limit: Duration,
    wall_limit: Duration,
    since: Option<(Duration, Instant)>,
}

/// A call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped after {used_ms} ms of {clock}")]
pub(crate) struct DeadlinePassed {
    pub(crate) clock: &'static str,
    pub(crate) used_ms: u64,
    pub(crate) limit_ms: u64,
}

impl Deadline {
    /// Starts a call.
    pub(crate) fn arm(&mut self, cpu_ms: u32, wall_ms: u32) {
        self.cpu_limit = Duration::from_millis(cpu_ms.into());
        self.wall_limit = self.cpu_limit + Duration::from_millis(wall_ms.into());
        self.since = None;
    }

    /// An epoch deadline has expired: looks at the clocks and lets an innocent call go on.
    pub(crate) fn expired(&mut self) -> Result<UpdateDeadline, DeadlinePassed> {
        let (cpu, wall) = (thread_cpu_time(), Instant::now());
        let (cpu_from, wall_from) = *self.since.get_or_insert((cpu, wall));
        let (cpu_used, wall_used) = (cpu.saturating_sub(cpu_from), wall - wall_from);
        let passed = |clock, used: Duration, limit: Duration| DeadlinePassed {
            clock,
            used_ms: as_ms(used),
            limit_ms: as_ms(limit),
        };
        if cpu_used >= self.cpu_limit {
            return Err(passed("CPU time", cpu_used, self.cpu_limit));
        }
        if wall_used >= self.wall_limit {
            return Err(passed("wall time", wall_used, self.wall_limit));
        }
        // No limit can be reached before this much wall time has gone by.
        let left = (self.cpu_limit - cpu_used).min(self.wall_limit - wall_used);
        Ok(UpdateDeadline::Continue(as_ms(left).max(1)))
    }
}

fn as_ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn thread_cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_is_innocent_until_the_wall() {
        let mut d = Deadline::default();
        d.arm(1000, 10);
        assert!(matches!(d.expired(), Ok(UpdateDeadline::Continue(n)) if n >= 900));
        std::thread::sleep(Duration::from_millis(20));
        assert!(d.expired().is_ok(), "20 ms of sleep are no CPU time and less than the wall limit");
        d.arm(1, 10);
        assert!(d.expired().is_ok());
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(d.expired().map(|_| ()).map_err(|e| e.clock), Err("wall time"));
    }

    #[test]
    fn working_is_not() {
        let mut d = Deadline::default();
        d.arm(5, 60_000);
        assert!(d.expired().is_ok());
        let mut x = 1u64;
        let passed = loop {
            for _ in 0..100_000 {
                x = std::hint::black_box(x.wrapping_mul(3));
            }
            if let Err(e) = d.expired() {
                break e;
            }
        };
        assert_eq!((passed.clock, passed.limit_ms), ("CPU time", 5));
    }
}
