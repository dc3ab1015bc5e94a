//! Call auctions: their volume moves no queue.

use crate::PrepareSpec;
use ghtrader_core::{NS_PER_S, Phase};

/// An auction's row stands within this before the window that it opens.
const AUCTION_NS: i64 = 120 * NS_PER_S;

/// Finds the rows whose volume is that of a call auction.
#[derive(Debug, Clone)]
pub struct AuctionRows {
    /// (start, it is the day's first window), not yet answered for, ascending.
    open: Vec<(i64, bool)>,
}

impl AuctionRows {
    /// For the windows of a day.
    pub fn new(spec: &PrepareSpec) -> Self {
        let first = spec.windows.first().map(|w| w.0);
        let mut open: Vec<(i64, bool)> = spec.auction_starts_ns.iter().map(|&s| (s, Some(s) == first)).collect();
        open.sort_unstable();
        open.reverse();
        Self { open }
    }

    /// Whether the row's volume belongs to an auction. Rows come in order of time.
    ///
    /// `phase` is a [`Phase`] by its number, `volume_lots` the volume since the row before.
    pub fn carries(&mut self, ts_ns: i64, phase: u8, volume_lots: i32) -> bool {
        // A later window's auction is over when the next window's begins.
        while self.open.len() > 1 && self.open[self.open.len() - 2].0 - AUCTION_NS <= ts_ns {
            self.open.pop();
        }
        let Some(&(start_ns, first)) = self.open.last() else {
            return phase == Phase::Auction as u8;
        };
        if phase == Phase::Auction as u8 {
            if ts_ns >= start_ns - AUCTION_NS && (volume_lots > 0 || !first) {
                self.open.pop();
            }
            return true;
        }
        let carries = ts_ns >= start_ns && (volume_lots > 0 || !first);
        if carries {
            self.open.pop();
        }
        carries
    }
}
