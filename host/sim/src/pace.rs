//! Who the clock waits for at `--speed max`: it takes a step when every line has taken all there is and asks for more.
//!
//! That is what makes two runs of the same clients equal: a step never overtakes an order that its client had already
//! sent, and of what a step brings a client sees its account before the market, on whichever connection they come. A line
//! that does not ask for more within the patience is no longer waited for, until it asks again.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// It waits for the market to move: for a quote, a rolling chart, an order.
    follows: bool,
    /// It tells accounts: what the market brings waits for it.
    leads: bool,
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
    /// Grows when lines that wait for the leading ones have to look again.
    turns: watch::Sender<u64>,
    /// The clock waits at all.
    on: bool,
    patience: Duration,
}

impl Pace {
    pub(crate) fn new(on: bool, patience: Duration) -> Self {
        let turns = watch::Sender::new(0);
        Self { lines: Mutex::new(BTreeMap::new()), changed: Condvar::new(), turns, on, patience }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<u64, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, line: u64, leads: bool) {
        self.lines().insert(line, Line { leads, ..Line::default() });
    }

    /// The market may be told: all leading lines have taken the news up to `count`.
    pub(crate) fn is_turn(&self, count: u64) -> bool {
        !self.on || self.lines().values().all(|l| !l.leads || l.late || l.ready >= count)
    }

    /// Changes when [`Self::is_turn`] may.
    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    pub(crate) fn leave(&self, line: u64) {
        self.lines().remove(&line);
        self.wake();
    }

    /// A line has taken all news up to `count` and asks for more.
    pub(crate) fn ready(&self, line: u64, count: u64, follows: bool) {
        if let Some(line) = self.lines().get_mut(&line) {
            (line.follows, line.ready, line.late) = (follows, count, false);
        }
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_all();
        if self.on {
            self.turns.send_modify(|n| *n += 1);
        }
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
            let left = self.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                lines.values_mut().filter(|l| l.ready < count).for_each(|l| l.late = true);
                self.turns.send_modify(|n| *n += 1);
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
        let pace = Pace::new(true, Duration::from_millis(50));
        pace.join(1, false);
        pace.join(2, true);
        pace.ready(1, 7, true);
        pace.ready(2, 7, false);
        assert!(pace.wait(7, || false));
        // Line 2 stays behind: it is given up, line 1 goes on.
        pace.ready(1, 8, true);
        assert!(pace.wait(8, || false));
        pace.ready(1, 9, true);
        assert!(pace.wait(9, || false));
        // What the market brings waits for accounts that are told, not for one that is left behind.
        assert!(pace.is_turn(9));
        pace.ready(2, 9, false);
        assert!(pace.is_turn(9) && !pace.is_turn(10));
        // Nobody follows the market: the clock stands.
        pace.ready(1, 10, false);
        let asked = std::cell::Cell::new(0);
        assert!(!pace.wait(10, || asked.replace(asked.get() + 1) > 2));
    }
}
