//! What a record says, in the figures of the field. Nothing is annualised from ticks; what cannot be computed is null.

use crate::record::{FillRecord, MARKOUT_ROWS, OrderEnd, Record};
use ghtrader_kernels::wire::Side;
use ghtrader_stats as stats;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// What the metrics need beside the record.
#[derive(Debug, Clone, Copy)]
pub struct MetricContext<'a> {
    /// Money at the start, CNY.
    pub initial_cny: f64,
    /// Trading days a year.
    pub annual_days: f64,
    /// Quoted units a lot, by contract number.
    pub multiplier: &'a [f64],
    /// Price tick, CNY, by contract number.
    pub price_tick: &'a [f64],
    /// Names of the contracts.
    pub contracts: &'a [String],
}

/// Sums of one part of the fills.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Part {
    /// Fills.
    pub fills: u64,
    /// Lots.
    pub lots: u64,
    /// Fees, CNY.
    pub fees_cny: f64,
    /// Price × lots × multiplier, CNY.
    pub turnover_cny: f64,
    /// Profit of round trips closed here, net of fees, CNY.
    pub closed_pnl_cny: f64,
}

/// Mean signed moves of the mid price behind fills, in price ticks; null without a fill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Markout {
    /// Fills that rested.
    pub maker: Option<f64>,
    /// Fills that took.
    pub taker: Option<f64>,
}

/// Takers between two snapshots on either book, over orders that trade on at least one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TakerBookFigures {
    /// Orders.
    pub orders: u64,
    /// Lots of the book before.
    pub k_lots: u64,
    /// Lots of the book after, which are those filled.
    pub k_plus_1_lots: u64,
    /// Mean by which the book after is worse, price ticks, over the lots that both give; null without any.
    pub worse_ticks: Option<f64>,
    /// The same in CNY over all these lots: what the choice of the book is worth.
    pub worse_cny: f64,
}

/// The figures of one fill model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are defined once, in the report's own explanations and PRD.md")]
pub struct ModelMetrics {
    pub orders: u64,
    pub fills: u64,
    pub cancels: u64,
    pub rejects: BTreeMap<&'static str, u64>,
    pub lots: u64,
    pub position: i64,
    pub pnl_cny: f64,
    pub gross_pnl_cny: f64,
    pub fees_cny: f64,
    pub pnl_daily_cny: Vec<f64>,
    pub sharpe: Option<f64>,
    pub sharpe_se: Option<f64>,
    pub psr: Option<f64>,
    pub sortino: Option<f64>,
    pub calmar: Option<f64>,
    pub max_drawdown_cny: f64,
    pub max_drawdown_pct: f64,
    pub max_drawdown_daily_cny: f64,
    pub drawdown_days: u64,
    pub turnover_cny: f64,
    pub turnover_ratio: Option<f64>,
    pub round_trips: u64,
    pub hit_rate: Option<f64>,
    pub profit_factor: Option<f64>,
    pub payoff: Option<f64>,
    pub avg_hold_s: Option<f64>,
    pub exposure: Option<f64>,
    pub max_abs_position: u64,
    pub maker_share: Option<f64>,
    pub fill_ratio: Option<f64>,
    pub cancel_ratio: Option<f64>,
    pub max_messages_per_s: u64,
    pub markout_ticks: BTreeMap<String, Markout>,
    pub slippage_ticks: Option<f64>,
    pub breakeven_cost_cny_per_lot: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taker_books: Option<TakerBookFigures>,
    pub var95_cny: Option<f64>,
    pub cvar95_cny: Option<f64>,
    pub by_day: BTreeMap<String, Part>,
    pub by_hour: BTreeMap<String, Part>,
    pub by_contract: BTreeMap<String, Part>,
    pub by_side: BTreeMap<String, Part>,
    pub warnings: BTreeMap<&'static str, u64>,
    pub bust: bool,
    /// Why a figure is null.
    pub notes: Vec<String>,
}

/// One lot bought and sold, or sold and bought.
struct RoundTrip {
    pnl_cny: f64,
    lots: u32,
    hold_ns: i64,
    closed_by: usize,
}

/// Computes every figure of a record.
pub fn compute_metrics(record: &Record, context: &MetricContext<'_>) -> ModelMetrics {
    let daily: Vec<f64> = record.days.iter().map(|d| d.pnl_cny).collect();
    let equity: Vec<f64> =
        std::iter::once(context.initial_cny).chain(record.days.iter().map(|d| d.equity_cny)).collect();
    let fees_cny: f64 = record.fills.iter().map(|f| f.fee_cny).sum();
    let pnl_cny = equity.last().copied().unwrap_or(context.initial_cny) - context.initial_cny;
    let lots: u64 = record.fills.iter().map(|f| u64::from(f.lots)).sum();
    let accepted: Vec<_> = record.orders.iter().filter(|o| o.accepted).collect();
    let ordered_lots: u64 = accepted.iter().map(|o| u64::from(o.lots)).sum();
    let maker_lots: u64 = record.fills.iter().filter(|f| f.maker).map(|f| u64::from(f.lots)).sum();
    let turnover = |f: &FillRecord| f.price_cny * f64::from(f.lots) * multiplier(context, f.contract);
    let turnover_cny: f64 = record.fills.iter().map(turnover).sum();
    let mut rejects: BTreeMap<&'static str, u64> = BTreeMap::new();
    for order in record.orders.iter().filter(|o| o.end == OrderEnd::Rejected) {
        *rejects.entry(order.reason_name()).or_default() += 1;
    }
    for (reason, count) in &record.refused {
        *rejects.entry(reason).or_default() += count;
    }
    let trips = round_trips(record, context);
    let won: f64 = trips.iter().map(|t| t.pnl_cny).filter(|p| *p > 0.0).sum();
    let lost: f64 = trips.iter().map(|t| t.pnl_cny).filter(|p| *p <= 0.0).sum::<f64>().abs();
    let wins = trips.iter().filter(|t| t.pnl_cny > 0.0).count();
    let losses = trips.len() - wins;
    let held_lots: f64 = trips.iter().map(|t| f64::from(t.lots)).sum();
    let held: f64 = trips.iter().map(|t| t.hold_ns as f64 / 1e9 * f64::from(t.lots)).sum();
    let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);

    let sharpe = stats::sharpe(&daily, context.annual_days);
    let daily_sharpe = stats::sharpe(&daily, 1.0);
    let shape = stats::skew_kurtosis(&daily);
    let with_shape = |f: fn(f64, usize, f64, f64) -> Option<f64>| {
        daily_sharpe.zip(shape).and_then(|(s, (skew, kurtosis))| f(s, daily.len(), skew, kurtosis))
    };
    let mean = if daily.is_empty() { 0.0 } else { stats::mean(&daily) };
    let below: f64 = daily.iter().map(|x| x.min(0.0).powi(2)).sum::<f64>() / (daily.len().max(1) as f64);
    let mut notes = Vec::new();
    if sharpe.is_none() {
        notes.push("sharpe, sharpe_se, psr: need two days with different results".to_owned());
    }
    let tail = (daily.len() >= 20).then(|| {
        let mut ascending = daily.clone();
        ascending.sort_by(f64::total_cmp);
        let var = stats::quantile(&ascending, 0.05);
        let worst: Vec<f64> = ascending.iter().copied().filter(|x| *x <= var).collect();
        (var, stats::mean(&worst))
    });
    if tail.is_none() {
        notes.push(format!("var95_cny, cvar95_cny: {} days, at least 20 are needed", daily.len()));
    }
    let slips: Vec<f64> = record.fills.iter().map(|f| f.slippage_ticks).filter(|s| !s.is_nan()).collect();
    let max_drawdown_cny = record.max_drawdown_cny;

    let mut metrics = ModelMetrics {
        orders: accepted.len() as u64,
        fills: record.fills.len() as u64,
        cancels: record.cancels,
        rejects,
        lots,
        position: record.fills.last().map_or(0, |f| f.position_lots),
        pnl_cny,
        gross_pnl_cny: pnl_cny + fees_cny,
        fees_cny,
        sharpe,
        sharpe_se: with_shape(stats::sharpe_se),
        psr: with_shape(|s, n, skew, kurtosis| stats::psr(s, 0.0, n, skew, kurtosis)),
        sortino: ratio(mean * context.annual_days.sqrt(), below.sqrt()),
        calmar: ratio(mean * context.annual_days, max_drawdown_cny),
        max_drawdown_cny,
        max_drawdown_pct: record.max_drawdown_pct,
        max_drawdown_daily_cny: stats::max_drawdown(&equity),
        drawdown_days: drawdown_days(&equity),
        turnover_cny,
        turnover_ratio: ratio(turnover_cny, context.initial_cny * daily.len() as f64),
        round_trips: trips.len() as u64,
        hit_rate: ratio(wins as f64, trips.len() as f64),
        profit_factor: ratio(won, lost),
        payoff: (wins > 0 && losses > 0 && lost > 0.0).then(|| (won / wins as f64) / (lost / losses as f64)),
        avg_hold_s: ratio(held, held_lots),
        exposure: ratio(record.exposed_ns as f64, record.session_ns as f64),
        max_abs_position: record.max_abs_position_lots,
        maker_share: ratio(maker_lots as f64, lots as f64),
        fill_ratio: ratio(lots as f64, ordered_lots as f64),
        cancel_ratio: ratio(record.cancels as f64, accepted.len() as f64),
        max_messages_per_s: busiest_second(&record.messages_ts_ns),
        markout_ticks: markouts(&record.fills),
        slippage_ticks: (!slips.is_empty()).then(|| stats::mean(&slips)),
        breakeven_cost_cny_per_lot: ratio(pnl_cny + fees_cny, lots as f64),
        taker_books: taker_books(record, context),
        var95_cny: tail.map(|t| t.0),
        cvar95_cny: tail.map(|t| t.1),
        by_day: split(record, &trips, context, |f| f.trading_day, ToString::to_string),
        by_hour: split(
            record,
            &trips,
            context,
            |f| ghtrader_core::ExchangeTimeNs(f.ts_ns).cst_hms().0,
            |hour| format!("{hour:02}"),
        ),
        by_contract: split(
            record,
            &trips,
            context,
            |f| context.contracts.get(f.contract as usize).map_or("", String::as_str),
            |name| (*name).to_owned(),
        ),
        by_side: split(
            record,
            &trips,
            context,
            |f| if f.side == Side::Buy { "buy" } else { "sell" },
            |name| (*name).to_owned(),
        ),
        pnl_daily_cny: daily,
        warnings: record.warnings.clone(),
        bust: record.bust,
        notes,
    };
    let m = &metrics;
    let reasons = [
        (m.sortino, "sortino: no day lost"),
        (m.calmar, "calmar: equity never fell"),
        (m.turnover_ratio, "turnover_ratio: no day, or nothing traded"),
        (m.hit_rate, "hit_rate: no round trip"),
        (m.profit_factor, "profit_factor: no round trip lost"),
        (m.payoff, "payoff: needs a round trip won and one lost"),
        (m.avg_hold_s, "avg_hold_s: no round trip"),
        (m.exposure, "exposure: no session time"),
        (m.maker_share, "maker_share: no fill"),
        (m.fill_ratio, "fill_ratio: no order was accepted"),
        (m.cancel_ratio, "cancel_ratio: no order was accepted"),
        (m.slippage_ticks, "slippage_ticks: no fill with a mid price at its decision"),
        (m.breakeven_cost_cny_per_lot, "breakeven_cost_cny_per_lot: no fill"),
    ];
    metrics.notes.extend(reasons.iter().filter(|(value, _)| value.is_none()).map(|(_, why)| (*why).to_owned()));
    metrics
}

fn multiplier(context: &MetricContext<'_>, contract: u32) -> f64 {
    context.multiplier.get(contract as usize).copied().unwrap_or(f64::NAN)
}

/// FIFO pairs by contract, net of the fees of both legs.
fn round_trips(record: &Record, context: &MetricContext<'_>) -> Vec<RoundTrip> {
    struct Open {
        side: Side,
        lots: u32,
        price_cny: f64,
        fee_a_lot_cny: f64,
        ts_ns: i64,
    }
    let mut open: BTreeMap<u32, VecDeque<Open>> = BTreeMap::new();
    let mut trips = Vec::new();
    for (closed_by, fill) in record.fills.iter().enumerate() {
        let queue = open.entry(fill.contract).or_default();
        let fee_a_lot_cny = fill.fee_cny / f64::from(fill.lots.max(1));
        let mut left = fill.lots;
        while left > 0
            && let Some(first) = queue.front_mut()
            && first.side != fill.side
        {
            let lots = left.min(first.lots);
            let sign = if first.side == Side::Buy { 1.0 } else { -1.0 };
            let gross = sign * (fill.price_cny - first.price_cny) * multiplier(context, fill.contract);
            trips.push(RoundTrip {
                pnl_cny: (gross - first.fee_a_lot_cny - fee_a_lot_cny) * f64::from(lots),
                lots,
                hold_ns: fill.ts_ns - first.ts_ns,
                closed_by,
            });
            left -= lots;
            first.lots -= lots;
            if first.lots == 0 {
                queue.pop_front();
            }
        }
        if left > 0 {
            let price_cny = fill.price_cny;
            queue.push_back(Open { side: fill.side, lots: left, price_cny, fee_a_lot_cny, ts_ns: fill.ts_ns });
        }
    }
    trips
}

/// Figures by what fills have in common; `name` is that of a key.
fn split<K: Ord>(
    record: &Record,
    trips: &[RoundTrip],
    context: &MetricContext<'_>,
    key: impl Fn(&FillRecord) -> K,
    name: impl Fn(&K) -> String,
) -> BTreeMap<String, Part> {
    let mut parts: BTreeMap<K, Part> = BTreeMap::new();
    for fill in &record.fills {
        let part = parts.entry(key(fill)).or_default();
        part.fills += 1;
        part.lots += u64::from(fill.lots);
        part.fees_cny += fill.fee_cny;
        part.turnover_cny += fill.price_cny * f64::from(fill.lots) * multiplier(context, fill.contract);
    }
    for trip in trips {
        if let Some(fill) = record.fills.get(trip.closed_by) {
            parts.entry(key(fill)).or_default().closed_pnl_cny += trip.pnl_cny;
        }
    }
    parts.into_iter().map(|(key, part)| (name(&key), part)).collect()
}

fn markouts(fills: &[FillRecord]) -> BTreeMap<String, Markout> {
    let mean_of = |maker: bool, at: usize| {
        let moves: Vec<f64> =
            fills.iter().filter(|f| f.maker == maker).map(|f| f.markout_ticks[at]).filter(|m| !m.is_nan()).collect();
        (!moves.is_empty()).then(|| stats::mean(&moves))
    };
    let one = |(at, rows): (usize, &usize)| {
        (rows.to_string(), Markout { maker: mean_of(true, at), taker: mean_of(false, at) })
    };
    MARKOUT_ROWS.iter().enumerate().map(one).collect()
}

/// `None` where no taker met two books.
fn taker_books(record: &Record, context: &MetricContext<'_>) -> Option<TakerBookFigures> {
    let (mut lots, mut ticks, mut worse_cny) = (0.0, 0.0, 0.0);
    for books in &record.taker_books {
        let Some(order) = record.order(books.order_id) else { continue };
        let shared = f64::from(books.k_lots.min(books.k_plus_1_lots));
        if shared > 0.0 {
            let contract = order.contract as usize;
            let worse = order.side.sign() as f64 * (books.k_plus_1_price_cny - books.k_price_cny) * shared;
            lots += shared;
            ticks += worse / context.price_tick.get(contract).copied().unwrap_or(f64::NAN);
            worse_cny += worse * multiplier(context, order.contract);
        }
    }
    (!record.taker_books.is_empty()).then(|| TakerBookFigures {
        orders: record.taker_books.len() as u64,
        k_lots: record.taker_books.iter().map(|b| u64::from(b.k_lots)).sum(),
        k_plus_1_lots: record.taker_books.iter().map(|b| u64::from(b.k_plus_1_lots)).sum(),
        worse_ticks: (lots > 0.0).then(|| ticks / lots),
        worse_cny,
    })
}

/// Longest run of days from a peak until equity is back at it, or until the end.
fn drawdown_days(equity: &[f64]) -> u64 {
    let (mut peak, mut peak_at, mut longest) = (f64::NEG_INFINITY, 0, 0);
    for (i, e) in equity.iter().enumerate() {
        if *e >= peak {
            (peak, peak_at) = (*e, i);
        } else {
            longest = longest.max(i - peak_at);
        }
    }
    longest as u64
}

/// Most messages in any window of one second.
fn busiest_second(ascending_ns: &[i64]) -> u64 {
    let (mut first, mut most) = (0, 0);
    for (last, ts) in ascending_ns.iter().enumerate() {
        while ascending_ns[first] <= ts - 1_000_000_000 {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::DayRecord;
    use ghtrader_core::TradingDay;

    fn fill(side: Side, lots: u32, price_cny: f64, fee_cny: f64, ts_ns: i64, position_lots: i64) -> FillRecord {
        FillRecord {
            order_id: 1,
            contract: 0,
            trading_day: TradingDay::from_days(20_000),
            ts_ns,
            side,
            lots,
            price_cny,
            fee_cny,
            maker: side == Side::Buy,
            position_lots,
            row: None,
            markout_ticks: [1.0, f64::NAN, 0.0, 0.0],
            slippage_ticks: 0.5,
        }
    }

    fn context() -> MetricContext<'static> {
        MetricContext {
            initial_cny: 1_000_000.0,
            annual_days: 252.0,
            multiplier: &[5.0],
            price_tick: &[10.0],
            contracts: &[],
        }
    }

    /// B-15
    #[test]
    fn round_trips_are_first_in_first_out_and_net() {
        let fills = vec![
            fill(Side::Buy, 2, 70_000.0, 20.0, 0, 2),
            fill(Side::Sell, 3, 70_010.0, 30.0, 4_000_000_000, -1),
            fill(Side::Buy, 1, 70_020.0, 10.0, 6_000_000_000, 0),
        ];
        let m = compute_metrics(&Record { fills, ..Record::default() }, &context());
        assert_eq!(m.round_trips, 2);
        // (10 × 5 − 10 − 10) × 2 lots won; −10 × 5 − 10 − 10 lost.
        assert_eq!((m.hit_rate, m.profit_factor), (Some(0.5), Some(60.0 / 70.0)));
        assert_eq!(m.avg_hold_s, Some((4.0 * 2.0 + 2.0) / 3.0));
        assert_eq!((m.lots, m.maker_share), (6, Some(0.5)));
        assert_eq!(m.markout_ticks["1"].maker, Some(1.0));
        assert_eq!(m.markout_ticks["10"].maker, None);
    }

    /// B-15
    #[test]
    fn what_cannot_be_computed_is_null_with_a_note() {
        let m = compute_metrics(&Record::default(), &context());
        assert_eq!((m.sharpe, m.hit_rate, m.exposure, m.var95_cny), (None, None, None, None));
        let body = serde_json::to_value(&m).expect("JSON");
        for (key, _) in body.as_object().expect("an object").iter().filter(|(_, value)| value.is_null()) {
            assert!(m.notes.iter().any(|note| note.contains(key.as_str())), "{key} is null without a note");
        }
        let day = |pnl_cny: f64, equity_cny: f64| DayRecord {
            trading_day: TradingDay::from_days(20_000),
            equity_cny,
            pnl_cny,
            fees_cny: 0.0,
            fills: 0,
            lots: 0,
            position_lots: 0,
        };
        let days = vec![day(0.01, 1.01), day(-0.005, 1.005), day(0.02, 1.025), day(0.0, 1.025)];
        let m =
            compute_metrics(&Record { days, ..Record::default() }, &MetricContext { initial_cny: 1.0, ..context() });
        assert!((m.sharpe.expect("four days") - 8.949_008_088_202_394).abs() < 1e-9);
        assert_eq!(m.drawdown_days, 1);
    }

    #[test]
    fn the_busiest_second_is_half_open() {
        assert_eq!(busiest_second(&[]), 0);
        assert_eq!(busiest_second(&[0, 999_999_999, 1_000_000_000]), 2);
    }
}
