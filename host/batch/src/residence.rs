//! Which periods are in memory: each loaded by the first job that needs it, let go behind the last one, never more at once
//! than the budget holds.

use ghtrader_core::{ErrorClass, Problem};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The memory that days and jobs may take.
pub(crate) struct Budget {
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(mib: u64) -> Self {
        Self { bytes: mib.saturating_mul(1 << 20) }
    }

    /// How many jobs may run at once beside the largest period, at most `wanted`.
    pub(crate) fn threads(&self, largest: u64, job: u64, wanted: usize) -> Result<usize, Problem> {
        let left = self.bytes.saturating_sub(largest);
        let fit = left.checked_div(job).unwrap_or(wanted as u64);
        if fit == 0 {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(Problem::new(
                "memory_budget",
                ErrorClass::User,
                format!(
                    "the largest period needs {} MiB and a job up to {} MiB, the budget is {} MiB",
                    mib(largest),
                    mib(job),
                    mib(self.bytes)
                ),
                "split the days by month or day, lower limits.memory_mib of the strategy, or raise --memory-mib",
            ));
        }
        Ok((fit as usize).min(wanted).max(1))
    }

    /// What `threads` jobs leave for days.
    pub(crate) fn left_for_days(&self, job: u64, threads: usize) -> u64 {
        self.bytes.saturating_sub(job.saturating_mul(threads as u64))
    }
}

enum Slot<T> {
    Empty,
    Loading,
    There(Arc<T>),
}

struct Place<T> {
    slot: Slot<T>,
    bytes: u64,
    /// Jobs that have not left.
    jobs: usize,
}

struct Held<T> {
    places: BTreeMap<usize, Place<T>>,
    used: u64,
    there: usize,
    most: usize,
}

/// Periods by their place in the manifest.
pub(crate) struct Residence<T> {
    held: Mutex<Held<T>>,
    changed: Condvar,
    room: u64,
}

impl<T> Residence<T> {
    /// `jobs` is the period of each job with its bytes, in the order in which they are taken.
    pub(crate) fn new(jobs: &[(usize, u64)], room: u64) -> Self {
        let mut places: BTreeMap<usize, Place<T>> = BTreeMap::new();
        for (period, bytes) in jobs {
            places.entry(*period).or_insert(Place { slot: Slot::Empty, bytes: *bytes, jobs: 0 }).jobs += 1;
        }
        let held = Held { places, used: 0, there: 0, most: 0 };
        Self { held: Mutex::new(held), changed: Condvar::new(), room }
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The period, loaded by whoever comes first; waits while the budget is used up by periods before it.
    ///
    /// Nothing can wait for ever: whoever waits holds no period, and those who hold one need no other.
    pub(crate) fn get(&self, period: usize, load: impl FnOnce() -> Result<T, Problem>) -> Result<Arc<T>, Problem> {
        let mut held = self.held();
        loop {
            let (used, there) = (held.used, held.there);
            let Some(place) = held.places.get_mut(&period) else {
                let what = format!("period {period} is no job's");
                return Err(Problem::new("period_unknown", ErrorClass::Internal, what, "report this"));
            };
            match &place.slot {
                Slot::There(loaded) => return Ok(Arc::clone(loaded)),
                Slot::Empty if there == 0 || used.saturating_add(place.bytes) <= self.room => {
                    place.slot = Slot::Loading;
                    let bytes = place.bytes;
                    held.used += bytes;
                    held.there += 1;
                    held.most = held.most.max(held.there);
                    break;
                }
                Slot::Empty | Slot::Loading => {
                    held = self.changed.wait(held).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        drop(held);
        // A panic while loading must not leave the others waiting.
        let guard = Unload { residence: self, period, armed: true };
        let loaded = load().map(Arc::new)?;
        guard.keep(&loaded);
        Ok(loaded)
    }

    /// A job of the period has ended; behind the last one the period goes.
    pub(crate) fn left(&self, period: usize) {
        let mut held = self.held();
        let Some(place) = held.places.get_mut(&period) else { return };
        place.jobs = place.jobs.saturating_sub(1);
        if place.jobs == 0 && matches!(place.slot, Slot::There(_)) {
            place.slot = Slot::Empty;
            let bytes = place.bytes;
            held.used = held.used.saturating_sub(bytes);
            held.there -= 1;
        }
        drop(held);
        self.changed.notify_all();
    }

    /// Most periods that were in memory at once.
    pub(crate) fn most(&self) -> usize {
        self.held().most
    }
}

/// Gives the room back if loading does not come to its end.
struct Unload<'a, T> {
    residence: &'a Residence<T>,
    period: usize,
    armed: bool,
}

impl<T> Unload<'_, T> {
    fn keep(mut self, loaded: &Arc<T>) {
        self.armed = false;
        if let Some(place) = self.residence.held().places.get_mut(&self.period) {
            place.slot = Slot::There(Arc::clone(loaded));
        }
        self.residence.changed.notify_all();
    }
}

impl<T> Drop for Unload<'_, T> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut held = self.residence.held();
        if let Some(place) = held.places.get_mut(&self.period) {
            place.slot = Slot::Empty;
            let bytes = place.bytes;
            held.used = held.used.saturating_sub(bytes);
            held.there -= 1;
        }
        drop(held);
        self.residence.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_period_is_loaded_once_and_no_more_are_held_than_fit() {
        let jobs: Vec<(usize, u64)> = (0..40).map(|k| (k / 4, 10)).collect();
        for (room, most) in [(10, 1), (25, 2), (0, 1)] {
            let residence: Residence<usize> = Residence::new(&jobs, room);
            let (next, loads) = (AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|s| {
                for _ in 0..8 {
                    s.spawn(|| {
                        while let Some((period, _)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let load = || {
                                loads.fetch_add(1, Ordering::Relaxed);
                                Ok(*period)
                            };
                            assert_eq!(*residence.get(*period, load).expect("loaded"), *period);
                            residence.left(*period);
                        }
                    });
                }
            });
            assert_eq!(loads.load(Ordering::Relaxed), 10);
            assert!(residence.most() <= most, "{} at once", residence.most());
        }
    }

    #[test]
    fn what_cannot_be_loaded_gives_its_room_back() {
        let residence: Residence<u8> = Residence::new(&[(0, 10), (0, 10), (1, 10)], 10);
        let problem = || Problem::new("x", ErrorClass::Unavailable, "", "");
        assert!(residence.get(0, || Err(problem())).is_err());
        residence.left(0);
        assert_eq!(residence.get(0, || Ok(7)).as_deref(), Ok(&7));
        residence.left(0);
        assert_eq!(residence.get(1, || Ok(8)).as_deref(), Ok(&8));
    }

    #[test]
    fn a_budget_that_holds_no_period_is_refused_with_what_is_needed() {
        let budget = Budget::new(100);
        assert_eq!(budget.threads(20 << 20, 30 << 20, 8), Ok(2));
        assert_eq!(budget.threads(20 << 20, 1 << 20, 8), Ok(8));
        let problem = budget.threads(90 << 20, 30 << 20, 8).expect_err("too little");
        assert!(problem.code == "memory_budget" && problem.what.contains("90 MiB"), "{problem}");
    }
}
