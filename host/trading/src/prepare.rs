//! Making and warming up a lineup on a thread of its own.

use crate::mail::Prepared;
use crate::maker::LineupMaker;
use crate::protocol::ResolvedLineup;
use crate::warm::{NumberedDay, Warm};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_plugin::Instrument;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Days that preparers replay; shared by keeper and preparers, and by nobody on the tick's way.
pub(crate) type History = Arc<Mutex<Vec<NumberedDay>>>;

/// Rows that the variety's own thread may have to feed when the lineup takes its seat.
const SMALL_LAG_ROWS: u64 = 64;
/// Times that a warm lineup is fed what has come meanwhile.
const MAX_ROUNDS: u32 = 5;

/// What has to be made.
pub(crate) struct Order {
    pub(crate) token: u64,
    pub(crate) lineup: ResolvedLineup,
    pub(crate) maker: Arc<dyn LineupMaker>,
    pub(crate) history: History,
    pub(crate) ring_rows: usize,
    pub(crate) balance_cny: f64,
    pub(crate) wait: Duration,
    /// Set when nobody wants it any more.
    pub(crate) abandoned: Arc<AtomicBool>,
}

impl Order {
    /// Makes the instances and feeds them up to the present.
    ///
    /// # Errors
    /// What the maker or a plugin has to say; `abandoned` where nobody waits for it.
    pub(crate) fn carry_out(self) -> Result<Prepared, Problem> {
        if !self.wait.is_zero() {
            std::thread::sleep(self.wait);
        }
        let last = self.present()?;
        let spec = last.1.instrument();
        let instrument = Instrument {
            symbol: last.1.contract().to_owned(),
            price_tick: spec.price_tick,
            multiplier: spec.multiplier,
        };
        let lineup = self.maker.make(&self.lineup, &instrument)?;
        let mut warm = Warm::new(lineup, self.balance_cny);
        for round in 0.. {
            let (number, day) = self.present()?;
            let before = warm.rows();
            warm.feed(&self.days(), (number, day.played()), self.ring_rows)?;
            // A market that is played as fast as it goes is not caught up with here, but in the seat.
            let close = warm.rows() - before <= SMALL_LAG_ROWS || round >= MAX_ROUNDS;
            if warm.is_warm() && close {
                break;
            }
            // As long as the market is young, rows are waited for.
            if !warm.is_warm() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(Prepared { token: self.token, warm })
    }

    fn days(&self) -> Vec<NumberedDay> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The day that is being played; waits for the first one.
    fn present(&self) -> Result<NumberedDay, Problem> {
        loop {
            if self.abandoned.load(Ordering::Acquire) {
                let what = "nobody waits for this lineup any more";
                return Err(Problem::new("abandoned", ErrorClass::Conflict, what, "ask again"));
            }
            if let Some(last) = self.days().last() {
                return Ok(last.clone());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
