//! What lines share: the tape, the floor, the news that something has changed.

use crate::bars::Bars;
use crate::floor::Floor;
use crate::pace::Pace;
use crate::tape::Tape;
use crate::terms::Terms;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;

/// Bars that are kept for everybody; a client may ask for any duration.
const BARS: usize = 4_000_000;

/// Where the market stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// Grows with every step of the clock, every change of an account, and when lines are asked to look again.
    pub(crate) count: u64,
    /// The clock's step.
    pub(crate) step: usize,
}

/// What all lines share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) tape: Tape,
    pub(crate) terms: Terms,
    floor: Mutex<Floor>,
    bars: RwLock<BTreeMap<(usize, i64), Arc<Bars>>>,
    news: watch::Sender<News>,
    ended: watch::Sender<bool>,
    pub(crate) pace: Pace,
    lines: AtomicU64,
}

impl Hub {
    pub(crate) fn new(tape: Tape, terms: Terms, floor: Floor, pace: Pace) -> Self {
        let news = News { count: 1, step: floor.step };
        Self {
            tape,
            terms,
            floor: Mutex::new(floor),
            bars: RwLock::new(BTreeMap::new()),
            news: watch::Sender::new(news),
            ended: watch::Sender::new(false),
            pace,
            lines: AtomicU64::new(1),
        }
    }

    /// The accounts. A panic while they were held leaves them as they were then, which beats none.
    pub(crate) fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn news(&self) -> News {
        *self.news.borrow()
    }

    pub(crate) fn listen(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }

    /// Lets the market take steps up to `to`.
    pub(crate) fn step_to(&self, to: usize) {
        let mut floor = self.floor();
        while floor.step < to {
            let next = floor.step + 1;
            floor.step(&self.tape, next);
        }
        let step = floor.step;
        self.news.send_modify(|n| *n = News { count: n.count + 1, step });
    }

    /// Tells all lines to look again.
    pub(crate) fn tell(&self) -> u64 {
        self.news.send_modify(|n| n.count += 1);
        self.news().count
    }

    /// Ends all lines.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
        self.pace.wake();
    }

    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// A number for a new line.
    pub(crate) fn line(&self) -> u64 {
        self.lines.fetch_add(1, Ordering::Relaxed)
    }

    /// The bars of a series, made when they are first asked for.
    pub(crate) fn bars(&self, series: usize, duration_ns: i64) -> Arc<Bars> {
        let key = (series, duration_ns);
        if let Some(bars) = self.bars.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return bars.clone();
        }
        let bars = Arc::new(Bars::new(&self.tape.series[series], duration_ns, &self.tape.calendar));
        let mut kept = self.bars.write().unwrap_or_else(PoisonError::into_inner);
        while kept.values().map(|b| b.bars.len()).sum::<usize>() + bars.bars.len() > BARS && kept.pop_first().is_some()
        {
        }
        kept.entry(key).or_insert(bars).clone()
    }
}
