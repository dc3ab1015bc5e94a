//! Borders inside a trading day's continuous rows: new session windows and gaps.

use crate::{NS_PER_S, SessionWindow};

/// A longer silence than this inside a session is a gap.
pub const GAP_NS: i64 = 5 * NS_PER_S;

/// What lies before a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BorderKind {
    /// The row is the first of another window of the same trading day.
    Session,
    /// More than [`GAP_NS`] without a row inside a window.
    Gap,
}

/// A border before a row of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Border {
    /// The first row behind it.
    pub row: usize,
    /// What it is.
    pub kind: BorderKind,
}

/// All borders of one trading day, ascending by row; the start of the day is none of them.
///
/// `ts_ns` ascends; `windows` ascend and do not overlap. A row belongs to the last window that started at or before it.
pub fn day_borders(ts_ns: &[i64], windows: &[SessionWindow]) -> Vec<Border> {
    let mut borders = Vec::new();
    let mut window = 0;
    let advance = |mut window: usize, ts: i64| {
        while windows.get(window + 1).is_some_and(|next| next.start_ns <= ts) {
            window += 1;
        }
        window
    };
    for (row, pair) in ts_ns.windows(2).enumerate() {
        if row == 0 {
            window = advance(window, pair[0]);
        }
        let next = advance(window, pair[1]);
        if next != window {
            window = next;
            borders.push(Border { row: row + 1, kind: BorderKind::Session });
        } else if pair[1] - pair[0] > GAP_NS {
            borders.push(Border { row: row + 1, kind: BorderKind::Gap });
        }
    }
    borders
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F-05
    #[test]
    fn a_break_is_a_session_border_and_a_silence_a_gap() {
        let window = |start_s: i64, end_s: i64| SessionWindow {
            start_ns: start_s * NS_PER_S,
            end_ns: end_s * NS_PER_S,
            night: false,
        };
        let windows = [window(0, 100), window(200, 300)];
        let ts: Vec<i64> = [1, 6, 12, 100, 200, 205].iter().map(|s| s * NS_PER_S).collect();
        let kinds: Vec<_> = day_borders(&ts, &windows).iter().map(|b| (b.row, b.kind)).collect();
        assert_eq!(kinds, [(2, BorderKind::Gap), (3, BorderKind::Gap), (4, BorderKind::Session)]);
        let second_only = day_borders(&ts[4..], &windows);
        assert!(second_only.is_empty(), "a stream may start in any window");
    }
}
