//! Charts: windows over a series, by id.

use crate::bars::{Bars, DAY_NS};
use crate::line::Fault;
use crate::tape::Tape;
use ghtrader_core::NS_PER_S;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Widest window, rows.
pub(crate) const MOST_WIDTH: i64 = 10_000;
/// Most symbols of one chart.
const MOST_SYMBOLS: usize = 20;
/// Longest bar, days.
const MOST_DAYS: i64 = 366;
const LONGEST_ID: usize = 256;

/// Which rows a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// The last ones.
    Rolling,
    /// From an id on.
    From(i64),
    /// Around a time.
    Focus {
        /// ns.
        time_ns: i64,
        /// Rows before it.
        position: i64,
    },
}

/// A chart as it was asked for, and what its client was told of it.
#[derive(Debug)]
pub(crate) struct Chart {
    /// The request, echoed as its state.
    request: Map<String, Value>,
    /// Keys of the state that the client has.
    told: BTreeSet<String>,
    /// `None` for an unknown symbol, which is an empty series.
    pub(crate) series: Vec<Option<usize>>,
    pub(crate) symbols: Vec<String>,
    /// 0 = ticks.
    pub(crate) duration_ns: i64,
    pub(crate) width: i64,
    pub(crate) window: Window,
    pub(crate) answered: bool,
    pub(crate) left: i64,
    pub(crate) right: i64,
}

/// Reads `set_chart`; no chart if it deletes one. The first part is the chart's id.
///
/// # Errors
/// Fields that are missing, of another kind or out of bounds.
pub(crate) fn parse(frame: &Map<String, Value>, tape: &Tape) -> Result<(String, Option<Chart>), Fault> {
    let text = |name: &str| frame.get(name).and_then(Value::as_str);
    let id = text("chart_id").filter(|id| (1..=LONGEST_ID).contains(&id.len()));
    let id = id.ok_or_else(|| Fault::request("set_chart has no chart_id"))?.to_owned();
    let list = text("ins_list").ok_or_else(|| Fault::request("set_chart has no ins_list"))?;
    let symbols: Vec<String> = list.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    if symbols.is_empty() {
        return Ok((id, None));
    }
    let whole = |name: &str| frame.get(name).map(|v| v.as_i64().or_else(|| v.as_f64().map(|f| f as i64)));
    let number = |name: &str| match whole(name) {
        None => Ok(None),
        Some(Some(n)) => Ok(Some(n)),
        Some(None) => Err(Fault::request(format!("{name} is no number"))),
    };
    let bounded = |name: &str, from: i64, to: i64| match number(name)? {
        Some(n) if (from..=to).contains(&n) => Ok(n),
        other => Err(Fault::request(format!("{name} is {}, not {from} to {to}", shown(other)))),
    };
    let duration_ns = bounded("duration", 0, MOST_DAYS * DAY_NS)?;
    if duration_ns % NS_PER_S != 0 || (duration_ns > DAY_NS && duration_ns % DAY_NS != 0) {
        return Err(Fault::request(format!("duration is {duration_ns}, no whole seconds or days")));
    }
    let width = bounded("view_width", 1, MOST_WIDTH)?;
    if symbols.len() > MOST_SYMBOLS || (duration_ns == 0 && symbols.len() > 1) {
        return Err(Fault::request(format!("ins_list has {} symbols, more than a chart may have", symbols.len())));
    }
    let window = match (number("left_kline_id")?, number("focus_datetime")?) {
        (Some(left), _) => Window::From(left),
        (None, Some(time_ns)) => Window::Focus { time_ns, position: number("focus_position")?.unwrap_or(0) },
        (None, None) => Window::Rolling,
    };
    let series = symbols.iter().map(|s| tape.find(s)).collect();
    let chart = Chart {
        request: frame.clone(),
        told: BTreeSet::new(),
        series,
        symbols,
        duration_ns,
        width,
        window,
        answered: false,
        left: -1,
        right: -1,
    };
    Ok((id, Some(chart)))
}

fn shown(number: Option<i64>) -> String {
    number.map_or_else(|| "missing".to_owned(), |n| n.to_string())
}

impl Chart {
    /// Takes the place of an earlier chart of the same id: its client still has that one's state.
    pub(crate) fn replaces(&mut self, before: Self) {
        self.told = before.told;
    }

    /// The state as a patch: the whole request, and null for what only earlier requests had.
    pub(crate) fn state(&mut self) -> Value {
        let mut state = self.request.clone();
        for key in std::mem::take(&mut self.told) {
            state.entry(key).or_insert(Value::Null);
        }
        self.told = self.request.keys().cloned().collect();
        Value::Object(state)
    }

    /// Left and right id, both included and not clipped: rows past the end are just missing.
    ///
    /// `count` rows are known; `at` gives the number of those before a time.
    pub(crate) fn ids(&self, count: usize, at: impl Fn(i64) -> usize) -> (i64, i64) {
        let last = count as i64 - 1;
        let left = match self.window {
            Window::Rolling => last.saturating_sub(self.width - 1),
            Window::From(left) => left,
            Window::Focus { time_ns, position } => (at(time_ns).min(count) as i64).saturating_sub(position),
        };
        (left, left.saturating_add(self.width - 1))
    }
}

/// For each bar of the first series its last bar of another that is not later.
pub(crate) fn bind(bars: &Bars, other: &Bars, known: usize, id: usize) -> Option<usize> {
    let start_ns = bars.bars.get(id)?.start_ns;
    other.bars[..known].partition_point(|b| b.start_ns <= start_ns).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chart(window: Window, width: i64) -> Chart {
        Chart {
            request: Map::new(),
            told: BTreeSet::new(),
            series: vec![Some(0)],
            symbols: vec!["SHFE.cu2509".to_owned()],
            duration_ns: 0,
            width,
            window,
            answered: false,
            left: -1,
            right: -1,
        }
    }

    /// DS-13
    #[test]
    fn windows_are_not_clipped() {
        let at = |t: i64| t.max(0) as usize;
        for (window, width, count, want) in [
            (Window::Rolling, 3, 10, (7, 9)),
            (Window::Rolling, 20, 10, (-10, 9)),
            (Window::Rolling, 5, 0, (-5, -1)),
            (Window::From(8), 5, 10, (8, 12)),
            (Window::From(-3), 5, 10, (-3, 1)),
            (Window::From(i64::MAX), 5, 10, (i64::MAX, i64::MAX)),
            (Window::Focus { time_ns: 4, position: 0 }, 5, 10, (4, 8)),
            (Window::Focus { time_ns: 4, position: 2 }, 5, 10, (2, 6)),
            (Window::Focus { time_ns: 99, position: 0 }, 5, 10, (10, 14)),
            (Window::Focus { time_ns: 99, position: 10_000 }, 10_000, 10, (-9_990, 9)),
        ] {
            assert_eq!(chart(window, width).ids(count, at), want, "{window:?}");
        }
    }

    /// DS-14
    #[test]
    fn keys_that_only_the_earlier_request_had_are_nulled() {
        let mut first = chart(Window::Rolling, 2);
        first.request = json!({"aid": "set_chart", "focus_datetime": 1}).as_object().cloned().unwrap();
        assert_eq!(first.state(), json!({"aid": "set_chart", "focus_datetime": 1}));
        let mut next = chart(Window::Rolling, 2);
        next.request = json!({"aid": "set_chart", "left_kline_id": 2}).as_object().cloned().unwrap();
        next.replaces(first);
        assert_eq!(next.state(), json!({"aid": "set_chart", "left_kline_id": 2, "focus_datetime": null}));
        assert_eq!(next.state(), json!({"aid": "set_chart", "left_kline_id": 2}));
    }
}
