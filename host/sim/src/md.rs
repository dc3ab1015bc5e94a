//! The market data line: quotes, charts, instruments.

use crate::bars::{Bar, Bars, Running};
use crate::chart::{self, Chart, MOST_WIDTH, Window};
use crate::hub::{Hub, News};
use crate::instruments;
use crate::line::{Fault, Session};
use crate::wire;
use ghtrader_market::push_whole;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most symbols with a quote.
const MOST_QUOTES: usize = 2_000;
/// Most charts.
const MOST_CHARTS: usize = 10_000;
/// Answers that wait for a peek, bytes.
const MOST_PENDING: usize = 64 << 20;
/// A frame that has reached this size takes no further chart; the next one does.
const ENOUGH: usize = 8 << 20;

struct Quote {
    series: usize,
    /// The row that was sent, and whether its day was settled then.
    sent: Option<(usize, bool)>,
}

/// What was sent of a series that goes on.
#[derive(Default)]
struct Serial {
    /// Ids below are sent.
    sent: usize,
    running: Option<Running>,
    /// The last bar as sent.
    last: Option<Bar>,
}

/// A market data line.
pub(crate) struct Market {
    hub: Arc<Hub>,
    greeted: bool,
    /// To be echoed.
    ins_list: Option<String>,
    quotes: Vec<Quote>,
    charts: BTreeMap<String, Chart>,
    serials: BTreeMap<(usize, i64), Serial>,
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
}

impl Market {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            greeted: false,
            ins_list: None,
            quotes: Vec::new(),
            charts: BTreeMap::new(),
            serials: BTreeMap::new(),
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    fn answer(&mut self, patch: &Value) -> Result<(), Fault> {
        let patch = patch.to_string().into_bytes();
        self.pending_bytes += patch.len();
        if self.pending_bytes > MOST_PENDING {
            return Err(Fault::request("too many answers wait to be taken"));
        }
        self.pending.push(patch);
        Ok(())
    }

    fn subscribe(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let list = frame.get("ins_list").and_then(Value::as_str);
        let list = list.ok_or_else(|| Fault::request("subscribe_quote has no ins_list"))?;
        let mut before: BTreeMap<usize, Quote> = self.quotes.drain(..).map(|q| (q.series, q)).collect();
        let mut wanted: Vec<usize> = Vec::new();
        for symbol in list.split(',').filter(|s| !s.is_empty()) {
            if let Some(series) = self.hub.tape.find(symbol)
                && !wanted.contains(&series)
            {
                wanted.push(series);
            }
        }
        if wanted.len() > MOST_QUOTES {
            return Err(Fault::request(format!("more than {MOST_QUOTES} quotes are asked for")));
        }
        let quote = |series| before.remove(&series).unwrap_or(Quote { series, sent: None });
        self.quotes = wanted.into_iter().map(quote).collect();
        self.ins_list = Some(list.to_owned());
        Ok(())
    }

    fn set_chart(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let (id, chart) = chart::parse(frame, &self.hub.tape)?;
        let before = self.charts.remove(&id);
        match chart {
            Some(mut chart) => {
                if self.charts.len() >= MOST_CHARTS {
                    return Err(Fault::request(format!("more than {MOST_CHARTS} charts are asked for")));
                }
                if let Some(before) = before {
                    chart.replaces(before);
                }
                self.charts.insert(id, chart);
            }
            None => self.answer(&json!({ "charts": { id: null } }))?,
        }
        Ok(())
    }

    fn query(&mut self, frame: &Map<String, Value>) -> Result<(), Fault> {
        let text = |name: &str| frame.get(name).and_then(Value::as_str);
        let id = text("query_id").ok_or_else(|| Fault::request("ins_query has no query_id"))?;
        let query = text("query").ok_or_else(|| Fault::request("ins_query has no query"))?;
        if query.is_empty() {
            return self.answer(&json!({ "symbols": { id: null } }));
        }
        let variables = frame.get("variables");
        let step = self.hub.news().step;
        let mut answer = Map::new();
        answer.insert("query".to_owned(), json!(query));
        // Only where the client sent some: beside an error they mean to it that it may look into a table of its own.
        if let Some(variables) = variables {
            answer.insert("variables".to_owned(), variables.clone());
        }
        match instruments::answer(&self.hub.tape, &self.hub.terms, step, query, variables) {
            Ok(result) => answer.insert("result".to_owned(), result),
            Err(reason) => answer.insert("error".to_owned(), json!(reason)),
        };
        self.answer(&json!({ "symbols": { id: answer } }))
    }

    /// Quotes that have changed.
    fn write_quotes(&mut self, out: &mut Patches, step: usize, now_ns: i64) {
        let tape = &self.hub.tape;
        let mut first = true;
        for quote in &mut self.quotes {
            let series = &tape.series[quote.series];
            let Some(row) = series.shown(now_ns).checked_sub(1) else { continue };
            let day = series.day_of(row);
            let now = (row, tape.is_settled(day.index, step));
            if quote.sent == Some(now) {
                continue;
            }
            let text = if first { out.open(b"{\"quotes\":{") } else { out.more() };
            first = false;
            wire::key(text, &series.symbol);
            match quote.sent {
                Some((from, _)) if day.rows.contains(&from) => wire::quote_change(text, series, from, row, now.1),
                _ => {
                    let underlying = series.contract.is_none().then(|| tape.series[day.contract].symbol.as_str());
                    wire::quote(text, series, underlying, row, now.1);
                }
            }
            quote.sent = Some(now);
        }
        let echo = self.ins_list.take();
        match (first, echo) {
            (true, None) => {}
            (true, Some(list)) => {
                // Subscribed in vain, or to what was sent already: the echo alone tells that it arrived.
                let text = out.open(b"{\"quotes\":{},\"ins_list\":");
                wire::text(text, &list);
                text.push(b'}');
            }
            (false, None) => out.text.extend_from_slice(b"}}"),
            (false, Some(list)) => {
                out.text.extend_from_slice(b"},\"ins_list\":");
                wire::text(&mut out.text, &list);
                out.text.push(b'}');
            }
        }
    }

    /// New rows of the series that charts follow, and where rolling charts stand then.
    fn write_live(&mut self, out: &mut Patches, now_ns: i64) {
        let mut live: BTreeMap<(usize, i64), bool> = BTreeMap::new();
        for chart in self.charts.values().filter(|c| c.answered) {
            for (at, series) in chart.series.iter().enumerate() {
                let Some(series) = series else { continue };
                let key = (*series, chart.duration_ns);
                let sent = self.serials.get(&key).map_or(0, |s| s.sent);
                // A window in the past has all it will ever show.
                let open = at > 0 || chart.window == Window::Rolling || chart.right >= sent as i64 - 1;
                *live.entry(key).or_insert(false) |= open;
            }
        }
        self.serials.retain(|key, _| live.get(key).copied().unwrap_or(false));
        let hub = self.hub.clone();
        let mut moved: Vec<(usize, i64)> = Vec::new();
        for (key, serial) in &mut self.serials {
            let (series, duration_ns) = *key;
            let of = &hub.tape.series[series];
            let rows = of.shown(now_ns);
            if duration_ns == 0 {
                if rows > serial.sent {
                    // Nobody may look further back than the widest window.
                    let from = serial.sent.max(rows.saturating_sub(MOST_WIDTH as usize));
                    write_ticks(out, of, rows, from..rows);
                    serial.sent = rows;
                    moved.push(*key);
                }
                continue;
            }
            let bars = hub.bars(series, duration_ns);
            let count = bars.shown(rows);
            let Some(last) = count.checked_sub(1) else { continue };
            let running = Running::at(serial.running, of, &bars, last, rows);
            serial.running = Some(running);
            if count == serial.sent && serial.last == Some(running.bar) {
                continue;
            }
            let from = serial.sent.saturating_sub(1).max(count.saturating_sub(MOST_WIDTH as usize));
            write_bars(out, of, duration_ns, &bars, running.bar, from..count);
            serial.sent = count;
            serial.last = Some(running.bar);
            moved.push(*key);
        }
        if moved.is_empty() {
            return;
        }
        for (id, chart) in self.charts.iter_mut().filter(|(_, c)| c.answered) {
            let Some(Some(main)) = chart.series.first().copied() else { continue };
            let counts = Counts::new(&hub, chart, now_ns);
            if chart.series.len() > 1 && chart.series.iter().flatten().any(|s| moved.contains(&(*s, chart.duration_ns)))
            {
                let last = counts.count as i64 - 1;
                write_binding(out, &hub, chart, &counts, chart.right.min(last).max(0)..last + 1);
            }
            if chart.window == Window::Rolling && moved.contains(&(main, chart.duration_ns)) {
                let (left, right) = chart.ids(counts.count, |_| 0);
                if (left, right) != (chart.left, chart.right) {
                    (chart.left, chart.right) = (left, right);
                    let text = out.open(b"{\"charts\":{");
                    wire::key(text, id);
                    write_ids(text, b"{\"left_id\":", left, right);
                    text.extend_from_slice(b"}}}");
                }
            }
        }
    }

    /// Charts that were asked for: state, window and rows in one transaction.
    fn write_charts(&mut self, out: &mut Patches, now_ns: i64) {
        let hub = self.hub.clone();
        for (id, chart) in self.charts.iter_mut().filter(|(_, c)| !c.answered) {
            if out.text.len() > ENOUGH {
                break;
            }
            let counts = Counts::new(&hub, chart, now_ns);
            let (left, right) = chart.ids(counts.count, |t| counts.before(&hub, t));
            (chart.left, chart.right, chart.answered) = (left, right, true);
            let text = out.open(b"{\"charts\":{");
            wire::key(text, id);
            text.extend_from_slice(b"{\"state\":");
            let state = chart.state();
            text.extend_from_slice(state.to_string().as_bytes());
            write_ids(text, b",\"left_id\":", left, right);
            text.extend_from_slice(b",\"more_data\":false,\"ready\":true}},\"mdhis_more_data\":false}");
            let clip = |from: i64, to: i64, count: usize| {
                let from = from.max(0).min(count as i64) as usize;
                from..(to.saturating_add(1).max(0).min(count as i64) as usize).max(from)
            };
            let ids = clip(left, right, counts.count);
            for (at, (series, symbol)) in chart.series.iter().zip(&chart.symbols).enumerate() {
                let Some(series) = *series else {
                    write_empty(out, symbol, chart.duration_ns);
                    continue;
                };
                let of = &hub.tape.series[series];
                let rows = of.shown(now_ns);
                let key = (series, chart.duration_ns);
                let fresh = !self.serials.contains_key(&key);
                let serial = self.serials.entry(key).or_default();
                match counts.bars.get(at) {
                    None => {
                        write_ticks(out, of, rows, ids.clone());
                        serial.sent = rows;
                    }
                    Some((bars, count)) => {
                        let wanted = if at == 0 { ids.clone() } else { counts.bound(at, &ids) };
                        let last = count.checked_sub(1);
                        match last.map(|last| Running::at(serial.running, of, bars, last, rows)) {
                            Some(running) => {
                                write_bars(out, of, chart.duration_ns, bars, running.bar, wanted);
                                serial.running = Some(running);
                                if fresh {
                                    serial.last = Some(running.bar);
                                }
                            }
                            None => write_empty(out, symbol, chart.duration_ns),
                        }
                        serial.sent = *count;
                    }
                }
            }
            write_binding(out, &hub, chart, &counts, ids.start as i64..ids.end as i64);
        }
    }
}

/// How much of a chart's series is known.
struct Counts {
    series: Option<usize>,
    /// Rows or bars of the first.
    count: usize,
    rows: usize,
    /// Bars of each and how many have begun; none for ticks.
    bars: Vec<(Arc<Bars>, usize)>,
}

impl Counts {
    fn new(hub: &Hub, chart: &Chart, now_ns: i64) -> Self {
        let series = chart.series.first().copied().flatten();
        let shown = |series: usize| hub.tape.series[series].shown(now_ns);
        let rows = series.map_or(0, shown);
        if chart.duration_ns == 0 {
            return Self { series, count: rows, rows, bars: Vec::new() };
        }
        let bars = chart.series.iter().map(|series| match series {
            Some(series) => {
                let bars = hub.bars(*series, chart.duration_ns);
                let count = bars.shown(shown(*series));
                (bars, count)
            }
            None => (Arc::new(Bars { bars: Vec::new() }), 0),
        });
        let bars: Vec<_> = bars.collect();
        let count = bars.first().map_or(0, |(_, count)| *count);
        Self { series, count, rows, bars }
    }

    /// Known ids before a time.
    fn before(&self, hub: &Hub, time_ns: i64) -> usize {
        match (self.bars.first(), self.series) {
            (Some((bars, count)), _) => bars.bars[..*count].partition_point(|b| b.start_ns < time_ns),
            (None, Some(series)) => hub.tape.series[series].ticks.ts_ns[..self.rows].partition_point(|t| *t < time_ns),
            (None, None) => 0,
        }
    }

    /// The bars of another series that bars of the first are bound to.
    fn bound(&self, at: usize, ids: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let (Some((first, _)), Some((other, known))) = (self.bars.first(), self.bars.get(at)) else { return 0..0 };
        let of = |id: usize| chart::bind(first, other, *known, id);
        let to = ids.end.checked_sub(1).filter(|_| !ids.is_empty()).and_then(of).map_or(0, |id| id + 1);
        let from = ids.clone().find_map(of).unwrap_or(to);
        from.min(to)..to
    }
}

/// `"left_id":…,"right_id":…`, begun by the bytes given.
fn write_ids(text: &mut Vec<u8>, begin: &[u8], left: i64, right: i64) {
    text.extend_from_slice(begin);
    push_whole(text, left);
    text.extend_from_slice(b",\"right_id\":");
    push_whole(text, right);
}

fn write_ticks(out: &mut Patches, of: &crate::tape::Series, rows: usize, ids: std::ops::Range<usize>) {
    let text = out.open(b"{\"ticks\":{");
    wire::key(text, &of.symbol);
    text.extend_from_slice(b"{\"last_id\":");
    push_whole(text, rows as i64 - 1);
    text.extend_from_slice(b",\"data\":{");
    let from = ids.start;
    for id in ids {
        if id > from {
            text.push(b',');
        }
        wire::id_key(text, id as i64);
        wire::tick(text, of, id);
    }
    text.extend_from_slice(b"}}}}");
}

/// Bars `ids`; the last known one is `running`.
fn write_bars(
    out: &mut Patches,
    of: &crate::tape::Series,
    duration_ns: i64,
    bars: &Bars,
    running: Bar,
    ids: std::ops::Range<usize>,
) {
    let last = bars.bars.partition_point(|b| b.first_row <= running.first_row).saturating_sub(1);
    let day_start = of.day_of(running.first_row).rows.start;
    let text = out.open(b"{\"klines\":{");
    wire::key(text, &of.symbol);
    text.push(b'{');
    wire::id_key(text, duration_ns);
    text.extend_from_slice(b"{\"last_id\":");
    push_whole(text, last as i64);
    text.extend_from_slice(b",\"trading_day_start_id\":");
    push_whole(text, bars.bars.partition_point(|b| b.first_row < day_start) as i64);
    text.extend_from_slice(b",\"trading_day_end_id\":");
    push_whole(text, last as i64);
    text.extend_from_slice(b",\"data\":{");
    let from = ids.start;
    for id in ids {
        if id > from {
            text.push(b',');
        }
        wire::id_key(text, id as i64);
        wire::bar(text, if id == last { &running } else { &bars.bars[id] });
    }
    text.extend_from_slice(b"}}}}}");
}

/// A series without rows.
fn write_empty(out: &mut Patches, symbol: &str, duration_ns: i64) {
    let serial = json!({ "last_id": -1, "data": {} });
    let patch = if duration_ns == 0 {
        json!({ "ticks": { symbol: serial } })
    } else {
        json!({ "klines": { symbol: { duration_ns.to_string(): serial } } })
    };
    out.open(patch.to_string().as_bytes());
}

/// Which bars of the other series belong to bars `ids` of the first.
fn write_binding(out: &mut Patches, hub: &Hub, chart: &Chart, counts: &Counts, ids: std::ops::Range<i64>) {
    let Some(Some(main)) = chart.series.first() else { return };
    let Some((first, _)) = counts.bars.first() else { return };
    for (at, symbol) in chart.symbols.iter().enumerate().skip(1) {
        let Some((other, known)) = counts.bars.get(at) else { continue };
        let text = out.open(b"{\"klines\":{");
        wire::key(text, &hub.tape.series[*main].symbol);
        text.push(b'{');
        wire::id_key(text, chart.duration_ns);
        text.extend_from_slice(b"{\"binding\":{");
        wire::key(text, symbol);
        text.push(b'{');
        let mut begun = false;
        for id in ids.clone() {
            if let Some(bound) = chart::bind(first, other, *known, id as usize) {
                if begun {
                    text.push(b',');
                }
                begun = true;
                wire::id_key(text, id);
                push_whole(text, bound as i64);
            }
        }
        text.extend_from_slice(b"}}}}}}");
    }
}

/// Patches of one transaction as text.
#[derive(Default)]
struct Patches {
    text: Vec<u8>,
}

impl Patches {
    /// Begins another patch.
    fn open(&mut self, begin: &[u8]) -> &mut Vec<u8> {
        let head: &[u8] = if self.text.is_empty() { b"{\"aid\":\"rtn_data\",\"data\":[" } else { b"," };
        self.text.extend_from_slice(head);
        self.text.extend_from_slice(begin);
        &mut self.text
    }

    /// Goes on with the present patch behind a comma.
    fn more(&mut self) -> &mut Vec<u8> {
        self.text.push(b',');
        &mut self.text
    }

    fn close(mut self) -> Option<Vec<u8>> {
        if self.text.is_empty() {
            return None;
        }
        self.text.extend_from_slice(b"]}");
        Some(self.text)
    }
}

impl Session for Market {
    const LEADS: bool = false;

    fn greeting(&self) -> Option<Vec<u8>> {
        None
    }

    fn request(&mut self, aid: &str, frame: &Map<String, Value>) -> Result<(), Fault> {
        match aid {
            "subscribe_quote" => self.subscribe(frame),
            "set_chart" => self.set_chart(frame),
            "ins_query" => self.query(frame),
            // What newer clients ask beside is no reason to lose them.
            _ => Ok(()),
        }
    }

    fn transaction(&mut self, news: News) -> Option<Vec<u8>> {
        let now_ns = self.hub.tape.steps.get(news.step)?.ts_ns;
        let mut out = Patches::default();
        if !self.greeted {
            self.greeted = true;
            out.open(b"{\"account_id\":\"\",\"ins_list\":\"\",\"mdhis_more_data\":false}");
        }
        for answer in self.pending.drain(..) {
            out.open(&answer);
        }
        self.pending_bytes = 0;
        self.write_quotes(&mut out, news.step, now_ns);
        self.write_live(&mut out, now_ns);
        self.write_charts(&mut out, now_ns);
        out.close()
    }

    fn follows(&self) -> bool {
        !self.quotes.is_empty() || self.charts.values().any(|c| c.window == Window::Rolling)
    }
}
