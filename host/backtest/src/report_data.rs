//! What the HTML report shows: results as they stand in `report.json`, and curves thinned for the eye.

use crate::record::{EquityPoint, FillRecord};
use crate::walk_forward::WalkForwardTraded;
use ghtrader_core::{Column, SessionWindow, TickView, TradingDay};
use ghtrader_kernels::wire::Side;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

const NS_PER_MS: i64 = 1_000_000;
/// Points of an equity curve that a screen can tell apart.
const CURVE_POINTS: usize = 1_600;

/// Everything on one page.
#[derive(Debug, Clone, Serialize)]
pub struct ReportData {
    /// Title.
    pub name: String,
    /// One line under it: variety, days, data.
    pub subtitle: String,
    /// The answer in one sentence.
    pub verdict: Verdict,
    /// Which colour a rise has; the reader can switch.
    pub up_colour: UpColour,
    /// Digest of all that decides the results.
    pub result_digest: String,
    /// Digest of the results.
    pub output_digest: String,
    /// The command that makes this page again.
    pub command: String,
    /// Facts beside the title: label and value.
    pub facts: Vec<(String, String)>,
    /// Trading days in order, with the windows of continuous trading.
    pub sessions: Vec<SessionDay>,
    /// One result a strategy.
    pub strategies: Vec<StrategyView>,
    /// Days whose prices and fills can be looked at.
    pub price_days: Vec<PriceDay>,
    /// How the model did outside its training rows; none without a model.
    pub training: Option<TrainingView>,
    /// What was traded fold by fold; none without a walk-forward.
    #[serde(skip)]
    pub walk_forward: Option<WalkForwardTraded>,
    /// Counted warnings; those of count 0 are left out.
    pub warnings: Vec<WarningLine>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
    /// What the results rest on: name and digest or version, shown at the end.
    pub provenance: Vec<(String, String)>,
}

/// The answer in one sentence.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// How it is meant.
    pub level: VerdictLevel,
    /// The sentence.
    pub text: String,
    /// What it rests on.
    pub detail: String,
}

/// How a verdict is meant; shown by icon, word and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictLevel {
    /// As hoped.
    Good,
    /// Undecided: the fill models disagree or the days are few.
    Warn,
    /// Loses under every model, or cannot be trusted.
    Bad,
}

/// Which colour a rise has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpColour {
    /// Red, as in China.
    #[default]
    Red,
    /// Green, as in most other places.
    Green,
}

/// A trading day on the axis of time.
#[derive(Debug, Clone, Serialize)]
pub struct SessionDay {
    /// The day.
    pub trading_day: TradingDay,
    /// The contract traded.
    pub contract: String,
    /// Windows of continuous trading, ms since the epoch.
    pub windows: Vec<(i64, i64)>,
}

impl SessionDay {
    /// From the windows of the calendar.
    pub fn new(trading_day: TradingDay, contract: &str, windows: &[SessionWindow]) -> Self {
        Self { trading_day, contract: contract.to_owned(), windows: windows_ms(windows) }
    }
}

fn windows_ms(windows: &[SessionWindow]) -> Vec<(i64, i64)> {
    windows.iter().map(|w| (w.start_ns / NS_PER_MS, w.end_ns / NS_PER_MS)).collect()
}

/// One strategy's result.
#[derive(Debug, Clone, Serialize)]
pub struct StrategyView {
    /// Its name, unique on the page.
    pub name: String,
    /// What it does, one sentence.
    pub description: String,
    /// Money at the start, CNY.
    pub initial_cny: f64,
    /// The strategy's `report.json`.
    pub report: Value,
    /// Equity by fill model.
    pub equity: BTreeMap<String, Curve>,
}

/// An equity curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Curve {
    /// Times, ms since the epoch, ascending.
    pub ts_ms: Vec<i64>,
    /// Equity, CNY, rounded to cents.
    pub cny: Vec<f64>,
}

impl Curve {
    /// Thins a curve: of each of equally long runs of points the first, lowest, highest and last stay, so that peaks and
    /// falls keep their height.
    pub fn thinned(points: &[EquityPoint]) -> Self {
        let run = points.len().div_ceil(CURVE_POINTS / 4).max(1);
        let mut curve = Self::default();
        for chunk in points.chunks(run) {
            let by = |f: fn(&f64, &f64) -> bool| {
                (1..chunk.len())
                    .fold(0, |best, i| if f(&chunk[i].equity_cny, &chunk[best].equity_cny) { i } else { best })
            };
            let mut kept = [0, by(|a, b| a < b), by(|a, b| a > b), chunk.len() - 1];
            kept.sort_unstable();
            for (i, at) in kept.into_iter().enumerate() {
                if i == 0 || at != kept[i - 1] {
                    curve.ts_ms.push(chunk[at].ts_ns / NS_PER_MS);
                    curve.cny.push((chunk[at].equity_cny * 100.0).round() / 100.0);
                }
            }
        }
        curve
    }
}

/// Best quotes of one day and what was filled on it.
#[derive(Debug, Clone, Serialize)]
pub struct PriceDay {
    /// The day.
    pub trading_day: TradingDay,
    /// The contract.
    pub contract: String,
    /// CNY.
    pub price_tick: f64,
    /// Windows of continuous trading, ms since the epoch.
    pub windows: Vec<(i64, i64)>,
    /// Start of the time axis, ms since the epoch.
    pub t0_ms: i64,
    /// Time since the point before (the first: since `t0_ms`), ms.
    pub dt_ms: Vec<i64>,
    /// Best bid in ticks; null without one.
    pub bid_ticks: Vec<Option<i64>>,
    /// Best ask in ticks; null without one.
    pub ask_ticks: Vec<Option<i64>>,
    /// Fills by strategy and fill model.
    pub fills: Vec<FillMarks>,
}

impl PriceDay {
    /// From continuous rows. A row whose best quotes are those of the row before is left out, which changes no line.
    pub fn new(
        trading_day: TradingDay,
        contract: &str,
        price_tick: f64,
        rows: &TickView<'_>,
        windows: &[SessionWindow],
    ) -> Self {
        let t0_ms = rows.ts_ns.first().copied().unwrap_or(0) / NS_PER_MS;
        let ticks = |price: f64| (!price.is_nan()).then(|| (price / price_tick).round() as i64);
        let (bid, ask) = (rows.float(Column::bid_price(0)), rows.float(Column::ask_price(0)));
        let mut day = Self {
            trading_day,
            contract: contract.to_owned(),
            price_tick,
            windows: windows_ms(windows),
            t0_ms,
            dt_ms: Vec::new(),
            bid_ticks: Vec::new(),
            ask_ticks: Vec::new(),
            fills: Vec::new(),
        };
        let mut before_ms = t0_ms;
        for (i, ts_ns) in rows.ts_ns.iter().enumerate() {
            let quotes = (ticks(bid[i]), ticks(ask[i]));
            let last = day.bid_ticks.last().copied().zip(day.ask_ticks.last().copied());
            if last == Some(quotes) && i + 1 < rows.rows() {
                continue;
            }
            day.dt_ms.push(ts_ns / NS_PER_MS - before_ms);
            before_ms = ts_ns / NS_PER_MS;
            day.bid_ticks.push(quotes.0);
            day.ask_ticks.push(quotes.1);
        }
        day
    }
}

/// Fills of one strategy under one model on one day, column by column.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FillMarks {
    /// The strategy's name.
    pub strategy: String,
    /// The fill model's name.
    pub model: String,
    /// Net position when the day began, lots.
    pub position_before_lots: i64,
    /// Times, ms since the epoch, ascending.
    pub ts_ms: Vec<i64>,
    /// Bought; sold otherwise.
    pub buy: Vec<bool>,
    /// Sizes.
    pub lots: Vec<u32>,
    /// Prices, CNY.
    pub price_cny: Vec<f64>,
    /// Rested in the book; took otherwise.
    pub maker: Vec<bool>,
    /// Net position behind the fill, lots.
    pub position_lots: Vec<i64>,
}

impl FillMarks {
    /// The fills of `fills` that are booked on `day`; `fills` in order of time.
    pub fn of_day(strategy: &str, model: &str, day: TradingDay, fills: &[FillRecord]) -> Self {
        let before = fills.iter().rev().find(|f| f.trading_day < day).map_or(0, |f| f.position_lots);
        let mut marks = Self {
            strategy: strategy.to_owned(),
            model: model.to_owned(),
            position_before_lots: before,
            ..Self::default()
        };
        for fill in fills.iter().filter(|f| f.trading_day == day) {
            marks.ts_ms.push(fill.ts_ns / NS_PER_MS);
            marks.buy.push(fill.side == Side::Buy);
            marks.lots.push(fill.lots);
            marks.price_cny.push(fill.price_cny);
            marks.maker.push(fill.maker);
            marks.position_lots.push(fill.position_lots);
        }
        marks
    }
}

/// How the model did outside its training rows.
#[derive(Debug, Clone, Serialize)]
pub struct TrainingView {
    /// What was predicted from what, one sentence.
    pub summary: String,
    /// The walk-forward report as JSON: `folds[].test` and `pooled` with figures and intervals.
    pub walk_forward: Value,
    /// The best that any predictor could reach; none on real data.
    pub bound: Option<BestReachable>,
}

/// The best AUC that any predictor could reach, known for synthetic markets only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestReachable {
    /// UP against the rest.
    pub auc_up: f64,
    /// UP against DOWN.
    pub auc_up_down: f64,
}

/// A counted warning.
#[derive(Debug, Clone, Serialize)]
pub struct WarningLine {
    /// Its stable code.
    pub code: String,
    /// What it means for the result.
    pub text: String,
    /// How often.
    pub count: u64,
}
