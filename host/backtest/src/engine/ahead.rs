//! How far the exchange is matched before the strategy is asked.

use super::{Day, Engine};
use ghtrader_exchange::MatchEvent;

/// Rows that the exchange at least matches ahead while orders work; doubled as long as the strategy stays silent. The
/// second number is of those rows on which more happens than that queues move: strategies like to act on them.
pub(super) const AHEAD: Ahead = Ahead { rows: 8, moves: 1 };

#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    pub(super) rows: usize,
    pub(super) moves: usize,
}

/// How far the exchange was matched before the strategy was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    /// The last row that was.
    pub(super) matched: usize,
    /// The row up to which the strategy may run.
    pub(super) until: usize,
}

/// What was the last thing before a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Told {
    /// Nothing: the rows that could be matched ahead ended there.
    #[default]
    Nothing,
    /// The exchange answered what the strategy had just done.
    Answer,
    /// An order filled.
    Fill,
}

impl Told {
    pub(super) fn of(acted: bool, news: &[MatchEvent]) -> Self {
        if news.iter().any(|event| matches!(event, MatchEvent::Filled { .. })) {
            Self::Fill
        } else if acted {
            Self::Answer
        } else {
            Self::Nothing
        }
    }
}

/// Whether the strategy acts on the very row behind which it was told something, as it did the last times: then nothing is
/// matched ahead, which would be for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answering {
    pub(super) next: Told,
    /// By [`Told`], 0 to 3.
    confidence: [u8; 3],
}

impl Answering {
    fn likely(&self) -> bool {
        self.confidence[self.next as usize] >= 2
    }

    pub(super) fn learn(&mut self, at_once: bool) {
        let confidence = &mut self.confidence[self.next as usize];
        *confidence = if at_once { (*confidence + 1).min(3) } else { confidence.saturating_sub(1) };
    }
}

impl Engine {
    /// Matches behind `row` as far as the strategy may run before it has to be told something.
    ///
    /// With orders working the exchange can be put back to `row` from the checkpoint, if it went further than that.
    pub(super) fn look_ahead(&mut self, day: &Day<'_>, row: usize, limit: usize) -> Looked {
        if self.matching.is_idle() {
            return Looked { matched: row, until: limit };
        }
        if self.answering.likely() {
            return Looked { matched: row, until: row + 1 };
        }
        let rows = day.view.rows();
        let window = limit.min(row + self.ahead.rows);
        // Behind the last row there is only the day's end, which comes after the strategy has seen that row.
        if row + 1 >= rows {
            return Looked { matched: row, until: window };
        }
        self.checkpoint.clone_from(&self.matching);
        let to = (window + 1).min(rows);
        let next = self.matching.advance_within(day.prepared, row + 1, to, self.ahead.moves, &mut self.news);
        let until = match self.news.is_empty() {
            // News of a row comes before the strategy sees it.
            false => next - 1,
            true => next.min(window),
        };
        Looked { matched: next - 1, until }
    }
}
