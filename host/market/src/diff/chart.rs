//! Charts: windows over a series, what a server has been asked for, and when its answer is complete.

use super::document::Document;
use super::value::{same, whole};
use serde_json::{Map, Value};

/// Which rows of a series a chart shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The newest rows, and every row to come.
    Rolling,
    /// From this id on.
    From(i64),
    /// From the first row at or after an instant (ns since the epoch), with `position` rows before it.
    At {
        /// The instant, ns since the epoch.
        focus_ns: i64,
        /// Rows before it.
        position: i64,
    },
}

/// One chart as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartRequest {
    /// The caller's name of it; the same name replaces.
    pub id: String,
    /// Symbols; more than one only for klines, whose window follows the first.
    pub symbols: Vec<String>,
    /// Length of a kline, ns; 0 = ticks.
    pub duration_ns: i64,
    /// Rows, 1 to 10,000.
    pub width: i64,
    /// Which rows.
    pub window: Window,
}

/// Keys that only some windows have: a server must not keep them from an earlier request.
const WINDOW_KEYS: [&str; 3] = ["left_kline_id", "focus_datetime", "focus_position"];

impl ChartRequest {
    /// A chart of ticks of one symbol.
    pub fn ticks(id: &str, symbol: &str, width: i64, window: Window) -> Self {
        Self { id: id.to_owned(), symbols: vec![symbol.to_owned()], duration_ns: 0, width, window }
    }

    fn members(&self) -> Map<String, Value> {
        let mut m = Map::new();
        m.insert("aid".to_owned(), "set_chart".into());
        m.insert("chart_id".to_owned(), self.id.as_str().into());
        m.insert("ins_list".to_owned(), self.symbols.join(",").into());
        m.insert("duration".to_owned(), self.duration_ns.into());
        m.insert("view_width".to_owned(), self.width.into());
        match self.window {
            Window::Rolling => {}
            Window::From(id) => {
                m.insert("left_kline_id".to_owned(), id.into());
            }
            Window::At { focus_ns, position } => {
                m.insert("focus_datetime".to_owned(), focus_ns.into());
                m.insert("focus_position".to_owned(), position.into());
            }
        }
        m
    }

    /// The frame that asks for it.
    pub fn frame(&self) -> String {
        Value::Object(self.members()).to_string()
    }

    /// The frame that deletes it.
    pub fn delete_frame(&self) -> String {
        let mut members = self.members();
        WINDOW_KEYS.iter().for_each(|k| drop(members.remove(*k)));
        members.insert("ins_list".to_owned(), "".into());
        Value::Object(members).to_string()
    }

    /// Where the rows of its first symbol lie in the document.
    pub fn with_series<T>(&self, look: impl FnOnce(&[&str]) -> T) -> T {
        let symbol = self.symbols.first().map_or("", String::as_str);
        if self.duration_ns == 0 {
            look(&["ticks", symbol])
        } else {
            look(&["klines", symbol, &self.duration_ns.to_string()])
        }
    }

    /// The echo of the request says that the server answers this one, not one before it.
    fn echoed(&self, state: &Map<String, Value>) -> bool {
        let wanted = self.members();
        wanted.iter().all(|(k, v)| same(Some(v), state.get(k)))
            && WINDOW_KEYS.iter().all(|k| wanted.contains_key(*k) || same(None, state.get(*k)))
    }
}

/// How far the answer to a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartView {
    /// Something is still to come.
    Waiting,
    /// The series has no rows, if the server is to be believed: it has not said that the chart is ready.
    SeemsEmpty,
    /// The series has no rows.
    Empty,
    /// The server wants to send no more.
    Settled {
        /// First id of the window; below 0 if a rolling one is wider than the series.
        left: i64,
        /// Last id of the window, which may lie beyond the series.
        right: i64,
        /// Last id of the series.
        last_id: i64,
    },
}

/// Judges the answer to a chart by everything that the server has told so far.
///
/// `ready` alone is not believed: an old server never sends it, and one that is left from the page before would cut the
/// page short. So the window has to be the one that was asked for. Whether its rows are all there is for the reader of
/// the rows to see: a server does not send again what it has sent on the line before.
pub fn chart_view(document: &Document, request: &ChartRequest) -> ChartView {
    let Some(chart) = document.object(&["charts", &request.id]) else { return ChartView::Waiting };
    let echoed = chart.get("state").and_then(Value::as_object).is_some_and(|s| request.echoed(s));
    let flag = |v: Option<&Value>| v.and_then(Value::as_bool);
    let ready = flag(chart.get("ready"));
    let more = flag(chart.get("more_data")) == Some(true) || flag(document.get(&["mdhis_more_data"])) == Some(true);
    if !echoed || more || ready == Some(false) {
        return ChartView::Waiting;
    }
    request.with_series(|series| {
        let Some(last_id) = document.last_id(series) else { return ChartView::Waiting };
        if last_id < 0 {
            return if ready == Some(true) { ChartView::Empty } else { ChartView::SeemsEmpty };
        }
        let (Some(left), Some(right)) = (whole(chart.get("left_id")), whole(chart.get("right_id"))) else {
            return ChartView::Waiting;
        };
        let asked_for = match request.window {
            Window::Rolling => right >= 0,
            Window::From(id) => left == id,
            Window::At { .. } => left != -1 || right != -1,
        };
        if !asked_for {
            return ChartView::Waiting;
        }
        // With a row in front of the focus the window is that of another request.
        if let Window::At { focus_ns, position: 0 } = request.window {
            let id = left.max(0).to_string();
            let mut path = series.to_vec();
            path.extend(["data", id.as_str(), "datetime"]);
            if whole(document.get(&path)).is_some_and(|t| t < focus_ns) {
                return ChartView::Waiting;
            }
        }
        ChartView::Settled { left, right, last_id }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(request: &ChartRequest, patches: Vec<Value>, want: ChartView) {
        let mut document = Document::default();
        let text = format!("{patches:?}");
        document.apply(patches);
        assert_eq!(chart_view(&document, request), want, "{text}");
    }

    fn answer(request: &ChartRequest, left: i64, right: i64, ids: &[i64], last_id: i64) -> Vec<Value> {
        let state: Value = serde_json::from_str(&request.frame()).unwrap();
        let rows: Map<String, Value> = ids.iter().map(|i| (i.to_string(), json!({ "datetime": 100 + i }))).collect();
        vec![json!({"charts": {"c": {"state": state, "left_id": left, "right_id": right, "more_data": false,
                                     "ready": true}},
                    "ticks": {"S": {"last_id": last_id, "data": rows}}, "mdhis_more_data": false})]
    }

    fn with(mut patches: Vec<Value>, more: Value) -> Vec<Value> {
        patches.push(more);
        patches
    }

    /// DC-07
    #[test]
    fn an_answer_is_complete_when_state_flags_and_window_say_so() {
        let page = ChartRequest::ticks("c", "S", 10, Window::From(20));
        let whole = answer(&page, 20, 29, &[20, 25, 29], 40);
        let settled = ChartView::Settled { left: 20, right: 29, last_id: 40 };
        check(&page, vec![], ChartView::Waiting);
        check(&page, whole.clone(), settled);
        for missing in [
            json!({"charts": {"c": {"more_data": true}}}),
            json!({"mdhis_more_data": true}),
            json!({"charts": {"c": {"ready": false}}}),
            json!({"charts": {"c": {"state": {"left_kline_id": 10}}}}),
            json!({"charts": {"c": {"state": {"focus_datetime": 7}}}}),
            json!({"charts": {"c": {"state": null}}}),
            json!({"charts": {"c": {"left_id": 10, "right_id": 19}}}),
            json!({"charts": {"c": {"left_id": -1, "right_id": -1}}}),
            json!({"charts": {"c": null}}),
            json!({"ticks": {"S": {"last_id": null}}}),
        ] {
            check(&page, with(whole.clone(), missing), ChartView::Waiting);
        }
        // What a server adds, writes as floats or never sends makes no difference.
        for harmless in [
            json!({"charts": {"c": {"ready": null}}}),
            json!({"charts": {"c": {"state": {"account_id": "", "view_width": 10.0}}}}),
            json!({"charts": {"c": {"state": {"focus_datetime": null}}}}),
            json!({"ticks": {"S": {"data": {"41": {}, "_rows": 5}}}}),
        ] {
            check(&page, with(whole.clone(), harmless), settled);
        }
    }

    /// DC-09
    #[test]
    fn a_window_may_end_beyond_the_series_or_with_it() {
        let page = ChartRequest::ticks("c", "S", 10, Window::From(20));
        check(&page, answer(&page, 20, 29, &[20, 23], 23), ChartView::Settled { left: 20, right: 29, last_id: 23 });
        check(&page, answer(&page, 20, 23, &[20, 23], 23), ChartView::Settled { left: 20, right: 23, last_id: 23 });
        check(&page, answer(&page, 20, 29, &[], 19), ChartView::Settled { left: 20, right: 29, last_id: 19 });
    }

    #[test]
    fn a_focus_is_met_by_the_first_row_at_or_after_it() {
        let at = |focus_ns| ChartRequest::ticks("c", "S", 10, Window::At { focus_ns, position: 0 });
        let rows = |request: &ChartRequest| answer(request, 20, 29, &[20, 29], 40);
        check(&at(120), rows(&at(120)), ChartView::Settled { left: 20, right: 29, last_id: 40 });
        check(&at(121), rows(&at(121)), ChartView::Waiting);
        let none = answer(&at(500), 41, 50, &[], 40);
        check(&at(500), none, ChartView::Settled { left: 41, right: 50, last_id: 40 });
    }

    /// DC-10
    #[test]
    fn an_empty_series_is_an_answer() {
        let rolling = ChartRequest::ticks("c", "S", 10, Window::Rolling);
        let empty = answer(&rolling, -1, -1, &[], -1);
        check(&rolling, empty.clone(), ChartView::Empty);
        check(&rolling, with(empty, json!({"charts": {"c": {"ready": null}}})), ChartView::SeemsEmpty);
        check(&rolling, answer(&rolling, -8, 1, &[0, 1], 1), ChartView::Settled { left: -8, right: 1, last_id: 1 });
    }

    #[test]
    fn klines_lie_by_their_duration() {
        let kline = ChartRequest { duration_ns: 60_000_000_000, ..ChartRequest::ticks("c", "S", 2, Window::Rolling) };
        let state: Value = serde_json::from_str(&kline.frame()).unwrap();
        let patch = json!({"charts": {"c": {"state": state, "left_id": 1, "right_id": 2}}, "klines": {"S": {
            "60000000000": {"last_id": 2, "data": {"1": {}, "2": {}}}}}});
        check(&kline, vec![patch], ChartView::Settled { left: 1, right: 2, last_id: 2 });
        let delete: Value = serde_json::from_str(&kline.delete_frame()).unwrap();
        assert_eq!((delete["ins_list"].as_str(), delete["chart_id"].as_str()), (Some(""), Some("c")));
    }
}
