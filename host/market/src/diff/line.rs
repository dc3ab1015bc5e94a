//! One market-data line as a state machine without I/O: frames in, frames out, events out; time is an argument.
//!
//! The line knows what its owner wants (quotes, charts, queries), asks for it again whenever it is opened, and keeps
//! one `peek_message` out. After a transaction the owner looks at the document for as long as it likes; only
//! [`MarketLine::peek`] asks for more. A slow owner so gets bigger transactions, and never an outdated one.

use super::chart::{ChartRequest, ChartView, chart_view};
use super::document::Document;
use super::frame::{FrameError, ServerFrame, ins_query, parse_frame, peek_message, subscribe_quote};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Symbols that a server takes in one subscription.
pub const MAX_QUOTES_A_LINE: usize = 2_000;
/// Rows that a chart may show.
pub const MAX_CHART_WIDTH: i64 = 10_000;

/// How long each kind of answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLimits {
    /// First transaction of a line.
    pub first: Duration,
    /// Quote of a symbol; behind it the symbol counts as unknown.
    pub quote: Duration,
    /// Answer to a query.
    pub query: Duration,
    /// A chart, from its request to its last row.
    pub chart: Duration,
    /// An empty series that a server never calls ready.
    pub empty: Duration,
}

impl Default for LineLimits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { first: s(60), quote: s(30), query: s(60), chart: s(60), empty: s(10) }
    }
}

/// What happened on a line. Rows and quotes are read from [`MarketLine::document`].
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// The line's first transaction is there.
    Ready,
    /// No first transaction within the time limit: the line is of no use.
    Dumb,
    /// A symbol's quote is there for the first time on this line.
    Quote(String),
    /// No quote within the time limit.
    UnknownSymbol(String),
    /// A query was answered: its result, or the server's refusal.
    Answer {
        /// The query.
        id: String,
        /// The member `result`, or the text of `error`.
        result: Result<Value, String>,
    },
    /// No answer within the time limit.
    NoAnswer {
        /// The query.
        id: String,
    },
    /// A chart is complete.
    Chart {
        /// The chart.
        id: String,
        /// [`ChartView::Settled`] or [`ChartView::Empty`].
        view: ChartView,
    },
    /// A chart is not complete within the time limit.
    ChartLate {
        /// The chart.
        id: String,
    },
}

/// More symbols than one line may subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{symbols} symbols on one line, which takes at most {MAX_QUOTES_A_LINE}")]
pub struct TooManySymbols {
    /// As many as were wanted.
    pub symbols: usize,
}

/// Cuts symbols into subscriptions that one line each can take; a symbol that is given twice is subscribed once.
pub fn quote_batches(symbols: impl IntoIterator<Item = String>) -> Vec<Vec<String>> {
    let all: BTreeSet<String> = symbols.into_iter().collect();
    let all: Vec<String> = all.into_iter().collect();
    all.chunks(MAX_QUOTES_A_LINE).map(<[String]>::to_vec).collect()
}

#[derive(Debug)]
struct Wait {
    since: Duration,
    /// The owner knows: it has the answer, or that there is none.
    told: bool,
}

impl Wait {
    fn new(now: Duration) -> Self {
        Self { since: now, told: false }
    }

    fn over(&self, limit: Duration, now: Duration) -> bool {
        !self.told && now.saturating_sub(self.since) >= limit
    }
}

#[derive(Debug)]
struct Chart {
    request: ChartRequest,
    wait: Wait,
    seems_empty_since: Option<Duration>,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct MarketLine {
    limits: LineLimits,
    document: Document,
    quotes: BTreeMap<String, Wait>,
    charts: BTreeMap<String, Chart>,
    queries: BTreeMap<String, (String, Wait)>,
    next_query: u64,
    open: bool,
    first: Wait,
    peek_out: bool,
    out: VecDeque<String>,
    events: VecDeque<LineEvent>,
}

impl MarketLine {
    /// A line that is not open yet.
    pub fn new(limits: LineLimits) -> Self {
        Self {
            limits,
            document: Document::default(),
            quotes: BTreeMap::new(),
            charts: BTreeMap::new(),
            queries: BTreeMap::new(),
            next_query: 0,
            open: false,
            first: Wait::new(Duration::ZERO),
            peek_out: false,
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What the server has told on this line.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The line is open and has said something.
    pub fn is_ready(&self) -> bool {
        self.open && self.first.told
    }

    /// A connection is there: asks for everything that is wanted, from an empty document on.
    pub fn opened(&mut self, now: Duration) {
        self.closed();
        self.open = true;
        self.first = Wait::new(now);
        self.peek();
        self.quotes.values_mut().for_each(|w| *w = Wait::new(now));
        self.send_quotes();
        for (id, (query, wait)) in &mut self.queries {
            *wait = Wait::new(now);
            self.out.push_back(ins_query(id, query));
        }
        for chart in self.charts.values_mut() {
            chart.wait = Wait::new(now);
            chart.seems_empty_since = None;
            self.out.push_back(chart.request.frame());
        }
    }

    /// The connection is gone. What the server told on it is forgotten: the next one sends full pictures.
    pub fn closed(&mut self) {
        self.open = false;
        self.peek_out = false;
        self.out.clear();
        self.document = Document::default();
    }

    /// The next frame to send.
    pub fn take_frame(&mut self) -> Option<String> {
        self.out.pop_front()
    }

    /// The next event.
    pub fn take_event(&mut self) -> Option<LineEvent> {
        self.events.pop_front()
    }

    /// Asks for the next transaction, once the last one has been used.
    pub fn peek(&mut self) {
        if self.open && !self.peek_out {
            self.peek_out = true;
            self.out.push_back(peek_message());
        }
    }

    /// Subscribes quotes in the place of all earlier ones.
    ///
    /// # Errors
    /// `TooManySymbols`; see [`quote_batches`].
    pub fn set_quotes(
        &mut self,
        symbols: impl IntoIterator<Item = String>,
        now: Duration,
    ) -> Result<(), TooManySymbols> {
        let symbols: BTreeSet<String> = symbols.into_iter().collect();
        if symbols.len() > MAX_QUOTES_A_LINE {
            return Err(TooManySymbols { symbols: symbols.len() });
        }
        let mut wanted = BTreeMap::new();
        for symbol in symbols {
            let wait = self.quotes.remove(&symbol).unwrap_or_else(|| Wait::new(now));
            wanted.insert(symbol, wait);
        }
        self.quotes = wanted;
        self.send_quotes();
        Ok(())
    }

    fn send_quotes(&mut self) {
        if self.open && !self.quotes.is_empty() {
            self.out.push_back(subscribe_quote(&self.ins_list()));
        }
    }

    fn ins_list(&self) -> String {
        self.quotes.keys().map(String::as_str).collect::<Vec<_>>().join(",")
    }

    /// Opens a chart, or asks the chart of that id for something else.
    pub fn set_chart(&mut self, request: ChartRequest, now: Duration) {
        if self.open {
            self.out.push_back(request.frame());
        }
        let chart = Chart { wait: Wait::new(now), seems_empty_since: None, request };
        self.charts.insert(chart.request.id.clone(), chart);
    }

    /// Deletes a chart.
    pub fn delete_chart(&mut self, id: &str) {
        if let Some(chart) = self.charts.remove(id)
            && self.open
        {
            self.out.push_back(chart.request.delete_frame());
        }
    }

    /// Texts of the notices on this line, as the server's operator wrote them.
    pub fn notices(&self) -> Vec<String> {
        let notices = self.document.object(&["notify"]).into_iter().flat_map(|n| n.values());
        notices.filter_map(|n| n.get("content").and_then(Value::as_str)).map(str::to_owned).collect()
    }

    /// How far a chart is; `None` if there is none of that id.
    pub fn chart(&self, id: &str) -> Option<ChartView> {
        self.charts.get(id).map(|c| chart_view(&self.document, &c.request))
    }

    /// Sends a GraphQL query about instruments; its answer comes as [`LineEvent::Answer`] under the id returned.
    pub fn query(&mut self, query: String, now: Duration) -> String {
        self.next_query += 1;
        let id = format!("ghtrader_query_{}", self.next_query);
        if self.open {
            self.out.push_back(ins_query(&id, &query));
        }
        self.queries.insert(id.clone(), (query, Wait::new(now)));
        id
    }

    /// The answer to a query is of no interest any more.
    pub fn forget_query(&mut self, id: &str) {
        self.queries.remove(id);
    }

    /// Forgets the rows of a symbol's ticks below an id.
    pub fn forget_ticks(&mut self, symbol: &str, below: i64) {
        self.document.forget_rows(&["ticks", symbol], below);
    }

    /// Takes a frame. The owner sends [`MarketLine::peek`] when it has used what came.
    ///
    /// # Errors
    /// A frame that cannot be read: nothing of it is applied, and the connection is to be closed.
    pub fn receive(&mut self, text: &str, now: Duration) -> Result<(), FrameError> {
        let patches = match parse_frame(text)? {
            ServerFrame::Data(patches) => patches,
            ServerFrame::Other(_) => return Ok(()),
        };
        self.document.apply(patches);
        self.peek_out = false;
        if !self.first.told {
            self.first.told = true;
            self.events.push_back(LineEvent::Ready);
        }
        self.look(now);
        Ok(())
    }

    /// Time has passed: waits that are over are told.
    pub fn tick(&mut self, now: Duration) {
        if !self.open {
            return;
        }
        if self.first.over(self.limits.first, now) {
            self.first.told = true;
            self.events.push_back(LineEvent::Dumb);
        }
        self.look(now);
        for (symbol, wait) in self.quotes.iter_mut().filter(|(_, w)| w.over(self.limits.quote, now)) {
            wait.told = true;
            self.events.push_back(LineEvent::UnknownSymbol(symbol.clone()));
        }
        for (id, chart) in self.charts.iter_mut().filter(|(_, c)| c.wait.over(self.limits.chart, now)) {
            chart.wait.told = true;
            self.events.push_back(LineEvent::ChartLate { id: id.clone() });
        }
        let late = |(id, (_, wait)): (&String, &(String, Wait))| wait.over(self.limits.query, now).then(|| id.clone());
        for id in self.queries.iter().filter_map(late).collect::<Vec<_>>() {
            self.queries.remove(&id);
            self.events.push_back(LineEvent::NoAnswer { id });
        }
    }

    /// Tells what the document answers.
    fn look(&mut self, now: Duration) {
        for (symbol, wait) in self.quotes.iter_mut().filter(|(_, w)| !w.told) {
            // An entry without a time is the shell of a quote: instruments fill it too.
            let quote = self.document.get(&["quotes", symbol, "datetime"]);
            if quote.and_then(Value::as_str).is_some_and(|t| !t.is_empty()) {
                wait.told = true;
                self.events.push_back(LineEvent::Quote(symbol.clone()));
            }
        }
        let answered = self.queries.iter().filter_map(|(id, (query, _))| {
            let answer = self.document.object(&["symbols", id])?;
            // The echo of an earlier query under the same id would be another's answer.
            if answer.get("query").is_some_and(|q| q.as_str() != Some(query)) {
                return None;
            }
            let refusal = answer.get("error").map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned));
            let result = match (refusal, answer.get("result")) {
                (Some(error), _) => Err(error),
                (None, Some(result)) => Ok(result.clone()),
                (None, None) => return None,
            };
            Some((id.clone(), result))
        });
        for (id, result) in answered.collect::<Vec<_>>() {
            self.queries.remove(&id);
            self.out.push_back(ins_query(&id, ""));
            self.events.push_back(LineEvent::Answer { id, result });
        }
        for (id, chart) in self.charts.iter_mut().filter(|(_, c)| !c.wait.told) {
            let view = match chart_view(&self.document, &chart.request) {
                ChartView::SeemsEmpty => {
                    let since = *chart.seems_empty_since.get_or_insert(now);
                    if now.saturating_sub(since) < self.limits.empty {
                        continue;
                    }
                    ChartView::Empty
                }
                view => {
                    chart.seems_empty_since = None;
                    view
                }
            };
            if view != ChartView::Waiting {
                chart.wait.told = true;
                self.events.push_back(LineEvent::Chart { id: id.clone(), view });
            }
        }
    }
}

#[cfg(test)]
mod tests;
