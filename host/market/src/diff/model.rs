//! A market-data server small enough to be believed, with the bad habits of real ones as switches. For tests.

use super::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How the server answers.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Rows of a packet.
    pub(crate) packet: usize,
    /// Order of a page's packets, taken in turn; empty = as they lie.
    pub(crate) order: Vec<usize>,
    pub(crate) says_ready: bool,
    /// A page begins with the `ready` of the page before, and everything else as if it were complete.
    pub(crate) stale_ready: bool,
    pub(crate) clips: bool,
    /// The newest row is in every packet.
    pub(crate) repeats_newest: bool,
    /// Ids that are left out, so many times each.
    pub(crate) drops: BTreeMap<i64, u32>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            packet: 700,
            order: Vec::new(),
            says_ready: true,
            stale_ready: false,
            clips: false,
            repeats_newest: false,
            drops: BTreeMap::new(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ModelServer {
    pub(crate) habits: Habits,
    /// Times of the rows; the place is the id.
    pub(crate) rows: Vec<i64>,
    pub(crate) charts_asked: u64,
    waiting: VecDeque<Vec<Value>>,
    charts: BTreeMap<String, Value>,
    sent: BTreeSet<i64>,
    peeked: bool,
    pub(crate) most_peeks: u32,
    turn: usize,
}

const S: &str = "SHFE.cu2509";

impl ModelServer {
    pub(crate) fn new(rows: Vec<i64>, habits: Habits) -> Self {
        Self {
            habits,
            rows,
            charts_asked: 0,
            waiting: VecDeque::new(),
            charts: BTreeMap::new(),
            sent: BTreeSet::new(),
            peeked: false,
            most_peeks: 0,
            turn: 0,
        }
    }

    /// A new connection: nothing of the one before is known.
    pub(crate) fn reconnect(&mut self) {
        self.charts.clear();
        self.waiting.clear();
        self.sent.clear();
        self.peeked = false;
        self.waiting.push_back(vec![json!({"mdhis_more_data": false})]);
    }

    pub(crate) fn take(&mut self, frame: &str) {
        let frame: Value = serde_json::from_str(frame).unwrap();
        match frame["aid"].as_str().unwrap() {
            "peek_message" => {
                self.most_peeks = self.most_peeks.max(1 + u32::from(self.peeked));
                self.peeked = true;
            }
            "set_chart" => self.set_chart(&frame),
            _ => {}
        }
    }

    /// One transaction, if the client has asked and there is one.
    pub(crate) fn give(&mut self) -> Option<String> {
        if !self.peeked {
            return None;
        }
        let patches = self.waiting.pop_front()?;
        self.peeked = false;
        Some(json!({ "aid": "rtn_data", "data": patches }).to_string())
    }

    /// A row happens.
    pub(crate) fn append(&mut self, ts_ns: i64) {
        self.rows.push(ts_ns);
        let id = self.rows.len() as i64 - 1;
        let mut charts = Map::new();
        for (name, state) in &self.charts {
            if state.get("left_kline_id").is_none() && state.get("focus_datetime").is_none() {
                let width = state["view_width"].as_i64().unwrap();
                charts.insert(name.clone(), json!({"left_id": id - width + 1, "right_id": id}));
            }
        }
        if charts.is_empty() {
            return;
        }
        let rows = self.packet(std::iter::once(id));
        self.waiting.push_back(vec![
            json!({"charts": charts, "ticks": {S: {"last_id": id, "data": rows}}, "mdhis_more_data": false}),
        ]);
    }

    fn packet(&mut self, ids: impl Iterator<Item = i64>) -> Value {
        let mut rows = Map::new();
        for id in ids {
            match self.habits.drops.get_mut(&id) {
                Some(times) if *times > 0 => *times -= 1,
                _ => {
                    rows.insert(
                        id.to_string(),
                        json!({"datetime": self.rows[id as usize], "last_price": id, "volume": id}),
                    );
                    self.sent.insert(id);
                }
            }
        }
        Value::Object(rows)
    }

    fn set_chart(&mut self, frame: &Value) {
        let id = frame["chart_id"].as_str().unwrap().to_owned();
        if frame["ins_list"] == "" {
            self.charts.remove(&id);
            self.waiting.push_back(vec![json!({"charts": {id: null}})]);
            return;
        }
        self.charts_asked += 1;
        let last_id = self.rows.len() as i64 - 1;
        let width = frame["view_width"].as_i64().unwrap();
        let left = match (frame.get("left_kline_id"), frame.get("focus_datetime")) {
            (Some(left), _) => left.as_i64().unwrap(),
            (_, Some(focus)) => {
                let focus = focus.as_i64().unwrap();
                self.rows.partition_point(|t| *t < focus) as i64 - frame["focus_position"].as_i64().unwrap()
            }
            _ => last_id - width + 1,
        };
        let rolling = frame.get("left_kline_id").is_none() && frame.get("focus_datetime").is_none();
        let right = if rolling { last_id } else { left + width - 1 };
        let right = if self.habits.clips { right.min(last_id) } else { right };
        let mut state = frame.clone();
        let old = self.charts.insert(id.clone(), frame.clone());
        for key in ["left_kline_id", "focus_datetime", "focus_position"] {
            if old.as_ref().is_some_and(|o| o.get(key).is_some()) && frame.get(key).is_none() {
                state[key] = Value::Null;
            }
        }
        if last_id < 0 {
            let mut chart = json!({"state": state, "left_id": -1, "right_id": -1, "more_data": false});
            if self.habits.says_ready {
                chart["ready"] = json!(true);
            }
            let empty = json!({"charts": {id: chart}, "ticks": {S: {"last_id": -1}}, "mdhis_more_data": false});
            self.waiting.push_back(vec![empty]);
            return;
        }
        let stale = self.habits.stale_ready && old.is_some();
        let mut first = json!({"state": state});
        if stale {
            // Everything looks complete; only the rows are not there.
            (first["left_id"], first["right_id"]) = (json!(left), json!(right));
        } else {
            (first["left_id"], first["right_id"], first["more_data"]) = (json!(-1), json!(-1), json!(true));
            if self.habits.says_ready {
                first["ready"] = json!(false);
            }
        }
        self.waiting.push_back(vec![
            json!({"charts": {id.clone(): first}, "ticks": {S: {"last_id": last_id}}, "mdhis_more_data": !stale}),
        ]);
        // What the client has on this line is not sent again.
        let wanted: Vec<i64> = (left.max(0)..=right.min(last_id)).filter(|id| !self.sent.contains(id)).collect();
        let mut packets: Vec<Vec<i64>> = wanted.chunks(self.habits.packet).map(<[i64]>::to_vec).collect();
        let mut in_order = Vec::new();
        while !packets.is_empty() {
            let pick = self.habits.order.get(self.turn).copied().unwrap_or(0) % packets.len();
            self.turn = (self.turn + 1) % self.habits.order.len().max(1);
            in_order.push(packets.remove(pick));
        }
        for ids in in_order {
            let newest = self.habits.repeats_newest.then_some(last_id);
            let rows = self.packet(ids.into_iter().chain(newest));
            self.waiting.push_back(vec![json!({"ticks": {S: {"last_id": last_id, "data": rows}}}), json!({})]);
        }
        let mut done = json!({"left_id": left, "right_id": right, "more_data": false});
        if self.habits.says_ready {
            done["ready"] = json!(true);
        }
        self.waiting.push_back(vec![json!({"charts": {id: done}, "mdhis_more_data": false})]);
    }
}

/// A client's line and a server, and the time that passes between them.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) line: MarketLine,
    pub(crate) server: ModelServer,
    pub(crate) now: Duration,
}

impl Wire {
    pub(crate) fn new(rows: Vec<i64>, habits: Habits) -> Self {
        let line = MarketLine::new(LineLimits::default());
        let mut wire = Self { line, server: ModelServer::new(rows, habits), now: Duration::ZERO };
        wire.cut();
        wire
    }

    /// The connection ends and another begins.
    pub(crate) fn cut(&mut self) {
        self.server.reconnect();
        self.line.opened(self.now);
    }

    /// Frames go over, at most one transaction comes back; a second passes if there was none.
    pub(crate) fn turn(&mut self) -> Vec<LineEvent> {
        self.line.peek();
        while let Some(frame) = self.line.take_frame() {
            self.server.take(&frame);
        }
        match self.server.give() {
            Some(text) => self.line.receive(&text, self.now).unwrap(),
            None => self.now += Duration::from_secs(1),
        }
        self.line.tick(self.now);
        std::iter::from_fn(|| self.line.take_event()).collect()
    }
}
