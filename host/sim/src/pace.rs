//! Who the clock waits for at `--speed max`: it takes a step when every line has taken all there is and asks for more.
//!
//! That is what makes two runs of the same clients equal: a step never overtakes an order that its client had already
//! sent. A line that does not ask for more within the patience is no longer waited for, until it asks again.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// It follows the market: a quote or a rolling chart.
    follows: bool,
    /// The news that it has taken, asking for more.
    ready: u64,
    /// It kept others waiting and is left behind.
    late: bool,
}

/// What the clock knows of all lines.
#[derive(Debug)]
pub(crate) struct Pace {
    lines: Mutex<BTreeMap<u64, Line>>,
    changed: Condvar,
    patience: Duration,
}

impl Pace {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { lines: Mutex::new(BTreeMap::new()), changed: Condvar::new(), patience }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<u64, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, line: u64) {
        self.lines().insert(line, Line::default());
    }

    pub(crate) fn leave(&self, line: u64) {
        self.lines().remove(&line);
        self.wake();
    }

    /// A line has taken all news up to `count` and asks for more.
    pub(crate) fn ready(&self, line: u64, count: u64, follows: bool) {
        self.lines().insert(line, Line { follows, ready: count, late: false });
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits until a line follows the market and all have taken the news up to `count`; false once `ended` says so.
    pub(crate) fn wait(&self, count: u64, ended: impl Fn() -> bool) -> bool {
        let mut since = Instant::now();
        let mut lines = self.lines();
        loop {
            if ended() {
                return false;
            }
            let follows = lines.values().any(|l| l.follows && !l.late);
            if follows && lines.values().all(|l| l.late || l.ready >= count) {
                return true;
            }
            if !follows {
                since = Instant::now();
            }
            let left = self.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                lines.values_mut().filter(|l| l.ready < count).for_each(|l| l.late = true);
                since = Instant::now();
                continue;
            }
            // The end is told without this lock, so nobody sleeps for long.
            let wait = left.min(Duration::from_millis(200));
            lines = self.changed.wait_timeout(lines, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DS-33
    #[test]
    fn the_clock_waits_for_everybody_but_not_for_ever() {
        let pace = Pace::new(Duration::from_millis(50));
        pace.join(1);
        pace.join(2);
        pace.ready(1, 7, true);
        pace.ready(2, 7, false);
        assert!(pace.wait(7, || false));
        // Line 2 stays behind: it is given up, line 1 goes on.
        pace.ready(1, 8, true);
        assert!(pace.wait(8, || false));
        pace.ready(1, 9, true);
        assert!(pace.wait(9, || false));
        // Nobody follows the market: the clock stands.
        pace.ready(1, 10, false);
        let asked = std::cell::Cell::new(0);
        assert!(!pace.wait(10, || asked.replace(asked.get() + 1) > 2));
    }
}
