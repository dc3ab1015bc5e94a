//! Everything that is served, and the order in which it becomes known.
//!
//! Nothing here changes after the start. What a client may see is a function of the step that the clock stands on, so
//! lines share the rows without a lock, and a slow one needs a cursor instead of a queue.

use crate::load::varieties;
use ghtrader_core::{
    Calendar, Column, ContractId, ContractSpec, ContractTable, L5_LEVELS, NS_PER_S, Phase, Problem, TickTable,
    TradingDay, Variety,
};
use ghtrader_pipeline::{Close, DayCloses, Listed, ScheduleRule, schedule_from_open_interest};
use std::collections::BTreeMap;
use std::ops::Range;

/// The rows of one contract on one trading day.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) contract: ContractId,
    pub(crate) day: TradingDay,
    pub(crate) ticks: TickTable,
}

/// A symbol's rows over all days, by id: the id of a row is its index.
#[derive(Debug)]
pub(crate) struct Series {
    /// `SHFE.cu2509` or `KQ.m@SHFE.cu`.
    pub(crate) symbol: String,
    /// The contract; `None` for a main contract, whose rows are those of the contract of each day.
    pub(crate) contract: Option<ContractId>,
    pub(crate) variety: Variety,
    pub(crate) ticks: TickTable,
    /// Ascending, without gaps between their rows.
    pub(crate) days: Vec<Day>,
    pub(crate) spec: ContractSpec,
    /// Price levels in the rows: 5, or 1.
    pub(crate) levels: usize,
}

/// A trading day of a series.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    /// Position in [`Tape::days`].
    pub(crate) index: usize,
    pub(crate) day: TradingDay,
    pub(crate) rows: Range<usize>,
    /// The series of the contract whose rows they are.
    pub(crate) contract: usize,
    pub(crate) close: f64,
    pub(crate) settlement: f64,
    /// Of the contract's day before; NaN on the first.
    pub(crate) pre_close: f64,
    pub(crate) pre_settlement: f64,
    pub(crate) pre_open_interest: f64,
    /// Price limits, on the grid.
    pub(crate) upper: f64,
    pub(crate) lower: f64,
}

impl Day {
    /// The price that margin, fees and limits of the day are told by: the last settlement, on the first day the first
    /// price.
    pub(crate) fn reference(&self, series: &Series) -> f64 {
        if self.pre_settlement.is_finite() { self.pre_settlement } else { series.first_price(&self.rows) }
    }
}

impl Series {
    #[inline]
    pub(crate) fn cell(&self, column: Column, row: usize) -> f64 {
        self.ticks.floats[column.index() - 1][row]
    }

    /// Rows known at a time.
    pub(crate) fn shown(&self, now_ns: i64) -> usize {
        self.ticks.ts_ns.partition_point(|t| *t <= now_ns)
    }

    /// The day of a row.
    pub(crate) fn day_of(&self, row: usize) -> &Day {
        let at = self.days.partition_point(|d| d.rows.end <= row);
        &self.days[at.min(self.days.len() - 1)]
    }

    /// The first price from a day's first row on; NaN if there is none.
    pub(crate) fn first_price(&self, rows: &Range<usize>) -> f64 {
        let prices = &self.ticks.floats[Column::LastPrice.index() - 1][rows.clone()];
        prices.iter().copied().find(|p| p.is_finite()).unwrap_or(f64::NAN)
    }

    /// Decimals of the price tick.
    pub(crate) fn price_decimals(&self) -> usize {
        self.spec.price_tick_text.split_once('.').map_or(0, |(_, d)| d.trim_end_matches('0').len())
    }
}

/// A moment at which something becomes known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) ts_ns: i64,
    /// Time in sessions up to here: what a clock waits for. The rest of the day passes at once.
    pub(crate) session_ns: i64,
    /// The trading day that is settled, by its position; else rows come.
    pub(crate) settles: Option<u32>,
}

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Tape {
    /// Contracts by symbol, then main contracts.
    pub(crate) series: Vec<Series>,
    by_symbol: BTreeMap<String, usize>,
    pub(crate) steps: Vec<Step>,
    /// Ascending.
    pub(crate) days: Vec<TradingDay>,
    /// The step at which each day is settled.
    pub(crate) settled_at: Vec<usize>,
    /// The main contract of each variety on each day.
    pub(crate) mains: BTreeMap<Variety, Vec<(TradingDay, ContractId)>>,
    pub(crate) calendar: Calendar,
}

impl Tape {
    /// Puts rows in order.
    ///
    /// # Errors
    /// `unknown_contract` for a product that the contract table lacks on its first day.
    pub(crate) fn new(
        parts: Vec<Part>,
        calendar: &Calendar,
        table: &ContractTable,
        limit_rate: f64,
    ) -> Result<Self, Problem> {
        let all = varieties(&parts);
        let mut days: Vec<TradingDay> = parts.iter().map(|p| p.day).collect();
        days.sort_unstable();
        days.dedup();
        let mut by_contract: BTreeMap<ContractId, Vec<(TradingDay, TickTable)>> = BTreeMap::new();
        for part in parts {
            by_contract.entry(part.contract).or_default().push((part.day, part.ticks));
        }
        let mut series = Vec::with_capacity(by_contract.len() + all.len());
        for (contract, mut parts) in by_contract {
            parts.sort_by_key(|(day, _)| *day);
            let on = parts.first().map_or(calendar.covered_to(), |(day, _)| *day);
            let spec = table.spec(contract.variety(), on)?.clone();
            series.push(contract_series(contract, parts, spec, &days, series.len(), limit_rate));
        }
        let mut mains = BTreeMap::new();
        for variety in all {
            let chosen = main_contracts(&series, &variety, &days, calendar);
            series.push(main_series(&series, &variety, &chosen));
            mains.insert(variety, chosen);
        }
        let by_symbol = series.iter().enumerate().map(|(i, s)| (s.symbol.clone(), i)).collect();
        let (steps, settled_at) = steps(&series, &days, calendar);
        Ok(Self { series, by_symbol, steps, days, settled_at, mains, calendar: calendar.clone() })
    }

    /// The series of a symbol.
    pub(crate) fn find(&self, symbol: &str) -> Option<usize> {
        self.by_symbol.get(symbol).copied()
    }

    /// The trading day at a step: after a day's settlement the next one.
    pub(crate) fn trading_day(&self, step: usize) -> TradingDay {
        let settled = self.settled_at.partition_point(|s| *s <= step);
        match self.days.get(settled) {
            Some(day) => *day,
            None => {
                let last = self.days.last().copied().unwrap_or(TradingDay::from_days(0));
                self.calendar.next_trading_day(last).unwrap_or(last.plus_days(1))
            }
        }
    }

    /// A day has been settled by a step.
    pub(crate) fn is_settled(&self, day: usize, step: usize) -> bool {
        self.settled_at.get(day).is_some_and(|s| *s <= step)
    }

    /// The first step at which a contract has a book of two sides in continuous trading.
    pub(crate) fn opening(&self) -> usize {
        let open = |s: &Series| {
            let row = (0..s.ticks.rows()).find(|row| {
                s.ticks.phase[*row] == Phase::Continuous as u8
                    && s.cell(Column::bid_price(0), *row).is_finite()
                    && s.cell(Column::ask_price(0), *row).is_finite()
            });
            row.map(|row| s.ticks.ts_ns[row])
        };
        let first = self.series.iter().filter_map(open).min().unwrap_or(i64::MIN);
        self.step_at(first)
    }

    /// The last step not after a time; the first one before all.
    pub(crate) fn step_at(&self, ts_ns: i64) -> usize {
        self.steps.partition_point(|s| s.ts_ns <= ts_ns).saturating_sub(1)
    }
}

fn contract_series(
    contract: ContractId,
    parts: Vec<(TradingDay, TickTable)>,
    spec: ContractSpec,
    days: &[TradingDay],
    own: usize,
    limit_rate: f64,
) -> Series {
    let mut series = Series {
        symbol: contract.to_string(),
        variety: contract.variety().clone(),
        contract: Some(contract),
        ticks: TickTable::default(),
        days: Vec::with_capacity(parts.len()),
        spec,
        levels: 1,
    };
    let mut before = (f64::NAN, f64::NAN, f64::NAN);
    for (day, ticks) in parts {
        let (from, rows) = (series.ticks.rows(), ticks.rows());
        if (0..rows).any(|row| ticks.view().has_l5(row)) {
            series.levels = L5_LEVELS;
        }
        series.ticks.extend_from(&ticks.view(), 0..rows);
        let rows = from..from + rows;
        let last_of = |column: Column| {
            let cells = &series.ticks.floats[column.index() - 1][rows.clone()];
            cells.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(f64::NAN)
        };
        let close = last_of(Column::LastPrice);
        let average = last_of(Column::Average);
        // As in a backtest: the day's average on the price grid, the last price where there is none.
        let on_grid = series.spec.ticks_to_price((average / series.spec.price_tick).round() as i64);
        let settlement = if average.is_finite() { on_grid } else { close };
        let (pre_close, pre_settlement, pre_open_interest) = before;
        let mut day = Day {
            index: days.partition_point(|d| *d < day),
            day,
            rows: rows.clone(),
            contract: own,
            close,
            settlement,
            pre_close,
            pre_settlement,
            pre_open_interest,
            upper: f64::NAN,
            lower: f64::NAN,
        };
        let reference = day.reference(&series) / series.spec.price_tick;
        if reference.is_finite() {
            day.upper = series.spec.ticks_to_price((reference * (1.0 + limit_rate)).floor() as i64);
            day.lower = series.spec.ticks_to_price((reference * (1.0 - limit_rate)).ceil() as i64);
        }
        before = (close, settlement, last_of(Column::OpenInterest));
        series.days.push(day);
    }
    series
}

/// The main contract of each day: by closing open interest of the days before; on days that have none before them, the
/// contract that opens with the most.
fn main_contracts(
    series: &[Series],
    variety: &Variety,
    days: &[TradingDay],
    calendar: &Calendar,
) -> Vec<(TradingDay, ContractId)> {
    let own: Vec<(&ContractId, &Series)> =
        series.iter().filter(|s| s.variety == *variety).filter_map(|s| Some((s.contract.as_ref()?, s))).collect();
    let mut closes: BTreeMap<TradingDay, BTreeMap<ContractId, Close>> = BTreeMap::new();
    let mut opening: BTreeMap<TradingDay, (f64, &ContractId)> = BTreeMap::new();
    for (contract, s) in &own {
        for day in &s.days {
            let column = |c: Column| &s.ticks.floats[c.index() - 1][day.rows.clone()];
            let last = |c: Column| column(c).iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
            let close = Close {
                open_interest_lots: last(Column::OpenInterest),
                volume_lots: last(Column::Volume),
                close_cny: day.close,
            };
            closes.entry(day.day).or_default().insert((*contract).clone(), close);
            let first = column(Column::OpenInterest).iter().copied().find(|v| v.is_finite()).unwrap_or(0.0);
            let best = opening.entry(day.day).or_insert((first, contract));
            if first > best.0 {
                *best = (first, contract);
            }
        }
    }
    let Some(first_day) = days.first() else { return Vec::new() };
    let listed: Vec<Listed> = own.iter().map(|(c, _)| Listed::by_rule((*c).clone(), calendar, *first_day)).collect();
    let closes: Vec<DayCloses> =
        closes.into_iter().map(|(trading_day, closes)| DayCloses { trading_day, closes }).collect();
    // A contract whose name does not tell its delivery, as on CZCE, leaves the opening open interest to decide.
    let by_rule: BTreeMap<TradingDay, ContractId> =
        match schedule_from_open_interest(&listed, &closes, ScheduleRule::default()) {
            Ok(schedule) => schedule.rows.into_iter().map(|r| (r.date, r.main_contract)).collect(),
            Err(_) => BTreeMap::new(),
        };
    opening
        .into_iter()
        .map(|(day, (_, most))| {
            let chosen =
                by_rule.get(&day).filter(|c| own.iter().any(|(o, s)| o == c && s.days.iter().any(|d| d.day == day)));
            (day, chosen.unwrap_or(most).clone())
        })
        .collect()
}

/// The rows of the main contract of each day, one after the other.
fn main_series(series: &[Series], variety: &Variety, chosen: &[(TradingDay, ContractId)]) -> Series {
    let mut main = Series {
        symbol: variety.main_symbol(),
        contract: None,
        variety: variety.clone(),
        ticks: TickTable::default(),
        days: Vec::with_capacity(chosen.len()),
        spec: ContractSpec { multiplier: 1.0, price_tick: 1.0, price_tick_text: "1".to_owned() },
        levels: 1,
    };
    for (day, contract) in chosen {
        let Some(of) = series.iter().find(|s| s.contract.as_ref() == Some(contract)) else { continue };
        let Some(part) = of.days.iter().find(|d| d.day == *day) else { continue };
        let from = main.ticks.rows();
        main.ticks.extend_from(&of.ticks.view(), part.rows.clone());
        main.days.push(Day { rows: from..main.ticks.rows(), ..part.clone() });
        main.spec = of.spec.clone();
        main.levels = main.levels.max(of.levels);
    }
    main
}

/// All moments in order, and where each day is settled.
fn steps(series: &[Series], days: &[TradingDay], calendar: &Calendar) -> (Vec<Step>, Vec<usize>) {
    let contracts = || series.iter().filter(|s| s.contract.is_some());
    let mut times: Vec<i64> = contracts().flat_map(|s| s.ticks.ts_ns.iter().copied()).collect();
    times.sort_unstable();
    times.dedup();
    let mut windows: Vec<(i64, i64)> = contracts()
        .flat_map(|s| s.days.iter().flat_map(|d| calendar.session_windows(&s.variety, d.day)))
        .map(|w| (w.start_ns, w.data_end_ns()))
        .collect();
    windows.sort_unstable();
    windows.dedup();
    let mut ends = Vec::with_capacity(days.len());
    for (index, _) in days.iter().enumerate() {
        let last = |s: &Series| {
            let day = s.days.iter().find(|d| d.index == index)?;
            s.ticks.ts_ns.get(day.rows.end.checked_sub(1)?).copied()
        };
        ends.push(contracts().filter_map(last).max().unwrap_or(i64::MIN));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(times.len() + days.len());
    let mut settled_at = Vec::with_capacity(days.len());
    let (mut session_ns, mut before, mut window) = (0, i64::MIN, 0);
    let mut next_day = 0;
    for (at, ts_ns) in times.iter().copied().enumerate() {
        session_ns += session_between(&windows, &mut window, before, ts_ns);
        before = ts_ns;
        steps.push(Step { ts_ns, session_ns, settles: None });
        while ends.get(next_day).is_some_and(|end| *end <= ts_ns) {
            // A second later, or as soon as the next day begins.
            let next = times.get(at + 1).map_or(i64::MAX, |t| t - 1);
            settled_at.push(steps.len());
            let ts_ns = (ts_ns + NS_PER_S).min(next);
            steps.push(Step { ts_ns, session_ns, settles: Some(next_day as u32) });
            next_day += 1;
        }
    }
    (steps, settled_at)
}

/// Time inside windows between two moments; `at` is the first window that may still hold some.
fn session_between(windows: &[(i64, i64)], at: &mut usize, from_ns: i64, to_ns: i64) -> i64 {
    let (mut sum, mut counted) = (0, from_ns);
    while let Some((_, end)) = windows.get(*at)
        && *end <= from_ns
    {
        *at += 1;
    }
    for (start, end) in windows.iter().skip(*at).take_while(|w| w.0 < to_ns) {
        let from = (*start).max(counted);
        let to = (*end).min(to_ns);
        if to > from {
            sum += to - from;
            counted = to;
        }
    }
    sum
}
