//! When a source that failed is asked again: backoff with jitter, the vendor's maintenance, and when to give up.
//! Pure: the time, the wall clock and chance are arguments.

use ghtrader_core::{ExchangeTimeNs, NS_PER_S};
use std::time::Duration;

/// The vendor's daily maintenance, 19:00 to 19:30 in Shanghai.
const MAINTENANCE_HOURS: (i64, i64) = (19 * 3_600 * NS_PER_S, (19 * 3_600 + 30 * 60) * NS_PER_S);
/// What a message about maintenance says.
const MAINTENANCE_WORDS: [&str; 2] = ["维护", "maintenance"];

/// How often and how long a source is waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Tries more behind a failure.
    pub retries: u32,
    /// Wait before the first of them; doubles.
    pub first_wait: Duration,
    /// Longest wait between two tries.
    pub longest_wait: Duration,
    /// Hours of maintenance of every day: begin and end, ns after midnight in Shanghai; `None` = only the source's word
    /// counts.
    pub maintenance_hours: Option<(i64, i64)>,
    /// Wait for a source under maintenance.
    pub maintenance_wait: Duration,
    /// Such waits of one job.
    pub maintenance_waits: u32,
    /// Time that a run may spend in such waits.
    pub maintenance_budget: Duration,
    /// How long nothing more is tried, once a job has used up its waits.
    pub circuit: Duration,
    /// Failures by time limit in a row behind which the connection is made anew.
    pub timeouts_to_reset: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            retries: 3,
            first_wait: s(10),
            longest_wait: s(300),
            maintenance_hours: Some(MAINTENANCE_HOURS),
            maintenance_wait: s(2_100),
            maintenance_waits: 3,
            maintenance_budget: s(7_200),
            circuit: s(2_100),
            timeouts_to_reset: 2,
        }
    }
}

impl RetryPolicy {
    /// The wait before try `n`, from 1: it doubles up to the longest, and `chance` (0..1) takes up to half of it away,
    /// so that clients of one outage do not come back together.
    ///
    /// Source: M. Brooker, "Exponential Backoff And Jitter" (2015), equal jitter.
    pub fn backoff(&self, n: u32, chance: f64) -> Duration {
        let doubled = self.first_wait.saturating_mul(2u32.saturating_pow(n.saturating_sub(1)));
        doubled.min(self.longest_wait).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// What went wrong with a source, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An answer did not come in time.
    Timeout,
    /// The connection ended, could not be made, or said what cannot be read.
    Broken,
    /// The source says that it is under maintenance, or failed in its hours.
    Maintenance,
}

impl Failure {
    /// The same failure, by the hours of maintenance and the source's own words.
    pub fn seen_at(self, policy: &RetryPolicy, wall_ns: i64, message: &str) -> Self {
        let of_day = ExchangeTimeNs(wall_ns).cst_ns_of_day();
        let hours = policy.maintenance_hours.is_some_and(|(begin, end)| (begin..end).contains(&of_day));
        let message = message.to_lowercase();
        if hours || MAINTENANCE_WORDS.iter().any(|w| message.contains(w)) { Self::Maintenance } else { self }
    }
}

/// Why a job was given up; the words of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Every try failed.
    RetryExhausted,
    /// Still under maintenance behind the last wait.
    MaintenanceRetryExhausted,
    /// The run has waited for maintenance as long as it may.
    MaintenanceWaitBudgetExhausted,
    /// A job before this one found the source under maintenance to the end of its waits.
    MaintenanceCircuitOpen,
    /// The source has other rows but not these.
    IdsMissing,
    /// The rows were refused by the rules of the import.
    Refused,
}

/// What to do behind a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    Again {
        /// Behind this wait.
        after: Duration,
        /// On a new connection.
        reset: bool,
    },
    /// Give the job up.
    GiveUp(SkipReason),
}

/// The failures of a run: budgets of the run, and of the job that is under way.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    policy: RetryPolicy,
    tries: u32,
    timeouts: u32,
    maintenance_waits: u32,
    job_waited: Duration,
    maintenance_spent: Duration,
    circuit_until: Option<Duration>,
}

impl RetryBudget {
    /// A run that has not failed yet.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            tries: 0,
            timeouts: 0,
            maintenance_waits: 0,
            job_waited: Duration::ZERO,
            maintenance_spent: Duration::ZERO,
            circuit_until: None,
        }
    }

    /// Begins a job, unless a former one has found that there is no use.
    pub fn begin(&mut self, now: Duration) -> Result<(), SkipReason> {
        (self.tries, self.timeouts, self.maintenance_waits, self.job_waited) = (0, 0, 0, Duration::ZERO);
        match self.circuit_until {
            Some(until) if now < until => Err(SkipReason::MaintenanceCircuitOpen),
            _ => {
                self.circuit_until = None;
                Ok(())
            }
        }
    }

    /// The job has got on: what failed before does not count against what comes.
    pub fn progressed(&mut self) {
        (self.tries, self.timeouts) = (0, 0);
    }

    /// Failures of the job so far, and how long it has waited.
    pub fn spent(&self) -> (u32, Duration) {
        (self.tries + self.maintenance_waits, self.job_waited)
    }

    /// The job has failed.
    pub fn failed(&mut self, failure: Failure, now: Duration, chance: f64) -> Next {
        let policy = self.policy;
        if failure == Failure::Maintenance {
            if self.maintenance_waits >= policy.maintenance_waits {
                self.circuit_until = Some(now + policy.circuit);
                return Next::GiveUp(SkipReason::MaintenanceRetryExhausted);
            }
            if self.maintenance_spent + policy.maintenance_wait > policy.maintenance_budget {
                return Next::GiveUp(SkipReason::MaintenanceWaitBudgetExhausted);
            }
            self.maintenance_waits += 1;
            self.maintenance_spent += policy.maintenance_wait;
            self.job_waited += policy.maintenance_wait;
            return Next::Again { after: policy.maintenance_wait, reset: true };
        }
        self.timeouts = if failure == Failure::Timeout { self.timeouts + 1 } else { 0 };
        if self.tries >= policy.retries {
            return Next::GiveUp(SkipReason::RetryExhausted);
        }
        self.tries += 1;
        let after = policy.backoff(self.tries, chance);
        self.job_waited += after;
        let reset = failure == Failure::Broken || self.timeouts >= policy.timeouts_to_reset;
        if reset {
            self.timeouts = 0;
        }
        Next::Again { after, reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn secs(next: Next) -> Result<(u64, bool), SkipReason> {
        match next {
            Next::Again { after, reset } => Ok((after.as_secs(), reset)),
            Next::GiveUp(reason) => Err(reason),
        }
    }

    /// D-10
    #[test]
    fn a_failing_source_is_tried_three_times_more() {
        let mut budget = RetryBudget::new(RetryPolicy::default());
        budget.begin(NOW).unwrap();
        let fail = |b: &mut RetryBudget, f| secs(b.failed(f, NOW, 0.0));
        assert_eq!(fail(&mut budget, Failure::Broken), Ok((10, true)));
        assert_eq!(fail(&mut budget, Failure::Timeout), Ok((20, false)));
        assert_eq!(fail(&mut budget, Failure::Timeout), Ok((40, true)), "the second time limit resets the connection");
        assert_eq!(fail(&mut budget, Failure::Timeout), Err(SkipReason::RetryExhausted));
        assert_eq!(budget.spent(), (3, Duration::from_secs(70)));
        // Progress gives a job its tries back; a new job has all of them.
        budget.progressed();
        assert_eq!(fail(&mut budget, Failure::Timeout), Ok((10, false)));
        budget.begin(NOW).unwrap();
        assert_eq!(fail(&mut budget, Failure::Timeout), Ok((10, false)));
    }

    /// DC-23
    #[test]
    fn backoff_doubles_to_its_bound_and_jitter_takes_up_to_half() {
        let policy = RetryPolicy::default();
        let secs: Vec<u64> = (1..=8).map(|n| policy.backoff(n, 0.0).as_secs()).collect();
        assert_eq!(secs, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(policy.backoff(2, 1.0).as_secs(), 10);
        assert_eq!(policy.backoff(u32::MAX, 0.5).as_secs(), 225);
    }

    /// D-10
    #[test]
    fn maintenance_has_waits_a_budget_and_a_circuit() {
        let mut budget = RetryBudget::new(RetryPolicy::default());
        let fail = |b: &mut RetryBudget| secs(b.failed(Failure::Maintenance, NOW, 0.9));
        budget.begin(NOW).unwrap();
        for _ in 0..3 {
            assert_eq!(fail(&mut budget), Ok((2_100, true)), "the wait for maintenance has no jitter");
        }
        assert_eq!(fail(&mut budget), Err(SkipReason::MaintenanceRetryExhausted));
        assert_eq!(budget.spent(), (3, Duration::from_secs(6_300)));
        assert_eq!(budget.begin(NOW + Duration::from_secs(2_099)), Err(SkipReason::MaintenanceCircuitOpen));
        budget.begin(NOW + Duration::from_secs(2_100)).unwrap();
        assert_eq!(fail(&mut budget), Err(SkipReason::MaintenanceWaitBudgetExhausted), "6,300 + 2,100 s are too many");
    }

    /// D-10
    #[test]
    fn maintenance_is_told_by_the_hour_or_by_the_words() {
        let day = ExchangeTimeNs::from_cst("2025-07-18".parse().unwrap(), 0).0;
        let at = |h: i64, m: i64| day + (h * 3_600 + m * 60) * NS_PER_S;
        for (wall, message, want) in [
            (at(19, 0), "", Failure::Maintenance),
            (at(19, 29), "", Failure::Maintenance),
            (at(19, 30), "", Failure::Broken),
            (at(18, 59), "", Failure::Broken),
            (at(12, 0), "系统维护中", Failure::Maintenance),
            (at(12, 0), "Under Maintenance", Failure::Maintenance),
        ] {
            assert_eq!(Failure::Broken.seen_at(&RetryPolicy::default(), wall, message), want, "{message} {wall}");
        }
        let never = RetryPolicy { maintenance_hours: None, ..RetryPolicy::default() };
        assert_eq!(Failure::Timeout.seen_at(&never, at(19, 10), ""), Failure::Timeout);
    }
}
