//! The rows of one contract on one day: book, trades, totals.

use super::SynthSpec;
use super::path::{LEVELS, MovePath};
use super::plan::DayPlan;
use super::rng::{Geometric, Rng};
use ghtrader_core::{ContractSpec, L5_LEVELS, Phase, TickTable};
use std::sync::LazyLock;

/// Levels kept a side: the five shown, and one for when the innermost is empty.
const KEPT: usize = L5_LEVELS + 1;

/// Draws of order sizes. Sizes added on a side grow with the hidden level, so the book shows it.
struct Sizes {
    /// Lots added at a price in one row, by hidden level as the bid side sees it.
    added: [Geometric<1024>; LEVELS],
    traded: Geometric<1024>,
    /// A side trades in a row if eight random bits are below.
    trades_below: u64,
}

impl Sizes {
    fn new(mean_added: u64, mean_traded: u64, trades_below: u64) -> Self {
        // From half the mean at the lowest level to one and a half at the highest.
        let added = std::array::from_fn(|level| Geometric::new(1_000, mean_added * (500 + 1_000 * level as u64 / 6)));
        Self { added, traded: Geometric::new(1_000, mean_traded * 1_000), trades_below }
    }
}

static LIQUID: LazyLock<Sizes> = LazyLock::new(|| Sizes::new(10, 5, 90));
static THIN: LazyLock<Sizes> = LazyLock::new(|| Sizes::new(4, 2, 30));

/// Makes the rows of a planned day.
pub(super) fn make_rows(spec: &SynthSpec, plan: &DayPlan, law: &MovePath) -> TickTable {
    let (mut clock, mut path) = (plan.clock(spec.seed), plan.path(spec.seed, law));
    let mut table = TickTable::with_capacity(plan.rows());
    let mut day = Day::new(plan, spec.seed, path.level());
    day.write_reset(&mut table, plan.reset_ns);
    let mut row_of_day = 0;
    for (i, window) in plan.windows.iter().enumerate() {
        if let Some(t) = plan.auctions_ns[i] {
            let gap = if i == 0 { 0 } else { plan.morning_gap_ticks };
            day.auction(gap);
            day.write(&mut table, t, Phase::Auction);
        }
        clock.each_row(window, |t, closing| {
            let change = path.step();
            row_of_day += 1;
            day.go_on(change, path.level(), closing);
            day.count_interest(row_of_day, closing && i + 1 == plan.windows.len());
            day.write(&mut table, t, Phase::Continuous);
        });
    }
    table
}

/// Whole-number state of the market in one contract; prices in ticks.
struct Day<'a> {
    plan: &'a DayPlan,
    sizes: &'static Sizes,
    rng: Rng,
    money: Money,
    /// Innermost bid price; the innermost ask is one tick above.
    bid: i64,
    /// 1 while the innermost price of both sides is empty, so that the spread is three ticks and the mid unchanged.
    inner_empty: usize,
    bids: [u32; KEPT],
    asks: [u32; KEPT],
    last: Option<i64>,
    high: i64,
    low: i64,
    volume: i64,
    /// Σ price in ticks × lots.
    turnover_ticks: i64,
    open_interest: i64,
    interest_noise: i64,
    traded: bool,
    average: f64,
}

impl<'a> Day<'a> {
    fn new(plan: &'a DayPlan, seed: u64, level: usize) -> Self {
        let mut day = Self {
            plan,
            sizes: if plan.liquid { &LIQUID } else { &THIN },
            rng: plan.stream(seed, "book"),
            money: Money::new(&plan.contract_spec),
            bid: plan.open_ticks,
            inner_empty: 0,
            bids: [1; KEPT],
            asks: [1; KEPT],
            last: None,
            high: i64::MIN,
            low: i64::MAX,
            volume: 0,
            turnover_ticks: 0,
            open_interest: plan.open_interest.0,
            interest_noise: 0,
            traded: false,
            average: f64::NAN,
        };
        // Long enough for the sizes to forget that they began with 1.
        for _ in 0..60 {
            day.refresh_sizes(level);
        }
        day
    }

    /// Lots at a price that has become part of the book.
    fn fresh(&mut self, side_level: usize) -> u32 {
        let r = self.rng.next();
        let added = &self.sizes.added[side_level];
        (0..3).map(|i| u32::from(added.draw(r >> (10 * i)))).sum()
    }

    /// Adds and cancels at every price kept.
    fn refresh_sizes(&mut self, level: usize) {
        let (up, down) = (&self.sizes.added[level], &self.sizes.added[LEVELS - 1 - level]);
        for i in 0..KEPT {
            let r = self.rng.next();
            // Of 256: chance to change in a row, share cancelled when it does.
            let (changes, cancelled) = if i == 0 { (180, 64) } else { (128, 48) };
            for (size, added, r) in [(&mut self.bids[i], up, r), (&mut self.asks[i], down, r >> 32)] {
                if r & 0xFF < changes {
                    let gone = (*size * cancelled + (r >> 8 & 0xFF) as u32) >> 8;
                    *size = (*size + u32::from(added.draw(r >> 16)) - gone).max(1);
                }
            }
        }
    }

    /// An opening auction `gap` ticks from where trading stopped: one price, the book stands around it.
    fn auction(&mut self, gap: i64) {
        self.bid += gap;
        self.inner_empty = 0;
        let r = self.rng.next();
        let lots = self.sizes.trades_below as i64 * i64::from(self.sizes.traded.draw(r)) / 16;
        // In a thin contract half of the auctions match nothing.
        if lots > 0 && (self.plan.liquid || r >> 20 & 1 == 1) {
            self.trade(self.bid + (r >> 10 & 1) as i64, lots);
        }
        self.update_average();
    }

    fn trade(&mut self, price: i64, lots: i64) {
        self.volume += lots;
        self.turnover_ticks += price * lots;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.last = Some(price);
        self.traded = true;
    }

    fn shown(&self) -> [u32; 2 * L5_LEVELS] {
        std::array::from_fn(|i| {
            if i < L5_LEVELS { self.bids[self.inner_empty + i] } else { self.asks[self.inner_empty + i - L5_LEVELS] }
        })
    }

    /// One snapshot on: the mid price changes by `change` ticks, the book then shows hidden level `level`.
    ///
    /// All trades of the interval are at the best bid and ask of the snapshot before. A price that the mid price leaves
    /// behind was bought or sold out, so who rests there is filled just when the price goes against him.
    fn go_on(&mut self, change: i64, level: usize, closing: bool) {
        let (before, volume_before, best) = (self.shown(), self.volume, self.inner_empty);
        let (bid, ask) = (self.bid - best as i64, self.bid + 1 + best as i64);
        let r = self.rng.next();
        let sold_out = change < 0 && best == 0;
        let bought_out = change > 0 && best == 0;
        let lots = |r: u64, size: u32, out: bool| match (out, r & 0xFF < self.sizes.trades_below) {
            (true, _) if r >> 8 & 3 != 0 => size,
            (true, _) => 1 + (r >> 16) as u32 % size,
            (false, true) => u32::from(self.sizes.traded.draw(r >> 16)).min(size - 1),
            (false, false) => 0,
        };
        let mut sold = lots(r & 0x3FF_FFFF, self.bids[best], sold_out);
        let bought = lots(r >> 26 & 0x3FF_FFFF, self.asks[best], bought_out);
        if closing && sold + bought == 0 {
            sold = 1.min(self.bids[best] - 1);
        }
        self.traded = false;
        let buy_last = r >> 52 & 1 == 1;
        for (lots, price) in if buy_last { [(sold, bid), (bought, ask)] } else { [(bought, ask), (sold, bid)] } {
            if lots > 0 {
                self.trade(price, i64::from(lots));
            }
        }
        if self.traded {
            self.update_average();
        }
        self.bids[best] = (self.bids[best] - sold).max(1);
        self.asks[best] = (self.asks[best] - bought).max(1);
        self.move_book(change, level);
        // The innermost prices empty and fill again whatever the price is about to do.
        let dice = r >> 53;
        let empty = usize::from(change == 0 && if best == 1 { dice & 1 == 1 } else { dice & 63 == 0 });
        if best == 0 && empty == 1 {
            self.bids[0] = self.fresh(level);
            self.asks[0] = self.fresh(LEVELS - 1 - level);
        }
        self.inner_empty = empty;
        self.refresh_sizes(level);
        // The exchange sends a snapshot only when something changed.
        if change == 0 && self.volume == volume_before && self.shown() == before {
            self.bids[self.inner_empty] += 1;
        }
    }

    fn move_book(&mut self, change: i64, level: usize) {
        let mirrored = LEVELS - 1 - level;
        self.bid += change;
        match change {
            1 => {
                self.asks.rotate_left(1);
                self.asks[KEPT - 1] = self.fresh(mirrored);
                self.bids.rotate_right(1);
                self.bids[0] = self.fresh(level);
            }
            -1 => {
                self.bids.rotate_left(1);
                self.bids[KEPT - 1] = self.fresh(level);
                self.asks.rotate_right(1);
                self.asks[0] = self.fresh(mirrored);
            }
            _ => {}
        }
    }

    /// Open interest changes with trades, around a straight line over the day, and ends at the planned level.
    fn count_interest(&mut self, row: i64, last_row: bool) {
        let (open, close) = self.plan.open_interest;
        if last_row {
            self.open_interest = close;
        } else if self.traded {
            let noise = self.interest_noise + (self.rng.next() >> 61) as i64 - 3;
            self.interest_noise = noise.clamp(-60, 60);
            let line = open + (close - open) * row / self.plan.continuous_rows as i64;
            self.open_interest = (line + self.interest_noise).max(0);
        }
    }

    fn update_average(&mut self) {
        if self.volume > 0 {
            self.average = self.money.average(self.turnover_ticks, self.volume);
        }
    }

    fn write_reset(&self, table: &mut TickTable, t_ns: i64) {
        begin(table, t_ns, Phase::PreOpen);
        for (i, column) in table.floats.iter_mut().enumerate() {
            // Prices are null, volume and amount 0, sizes 0; open interest is that of the last close.
            let is_price = i < 4 || (i >= 7 && i % 2 == 1);
            column.push(if is_price {
                f64::NAN
            } else if i == 6 {
                self.open_interest as f64
            } else {
                0.0
            });
        }
    }

    fn write(&self, table: &mut TickTable, t_ns: i64, phase: Phase) {
        begin(table, t_ns, phase);
        let price = |ticks: i64| self.money.price(ticks);
        let dealt = |ticks: i64| if self.last.is_some() { price(ticks) } else { f64::NAN };
        let mut row = [0.0; 27];
        row[0] = self.last.map_or(f64::NAN, price);
        row[1] = self.average;
        row[2] = dealt(self.high);
        row[3] = dealt(self.low);
        row[4] = self.volume as f64;
        row[5] = self.money.amount(self.turnover_ticks);
        row[6] = self.open_interest as f64;
        let best = self.inner_empty;
        for i in 0..L5_LEVELS {
            let depth = (best + i) as i64;
            row[7 + 4 * i] = price(self.bid - depth);
            row[8 + 4 * i] = f64::from(self.bids[best + i]);
            row[9 + 4 * i] = price(self.bid + 1 + depth);
            row[10 + 4 * i] = f64::from(self.asks[best + i]);
        }
        for (column, value) in table.floats.iter_mut().zip(row) {
            column.push(value);
        }
    }
}

fn begin(table: &mut TickTable, t_ns: i64, phase: Phase) {
    table.seq.push(table.rows() as u32);
    table.ts_ns.push(t_ns);
    table.phase.push(phase as u8);
}

/// Whole ticks and lots as prices and money, each the float nearest to the decimal number.
struct Money {
    /// Price tick = `tick_units` / `units`.
    tick_units: i64,
    units: i64,
    multiplier: i64,
    /// Steps of the average price in one CNY.
    average_steps: i64,
}

impl Money {
    fn new(spec: &ContractSpec) -> Self {
        let decimals = spec.price_tick_text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u32);
        let units = 10i64.pow(decimals);
        let tick_units = (spec.price_tick * units as f64).round() as i64;
        Self { tick_units, units, multiplier: spec.multiplier.round() as i64, average_steps: units.max(10) }
    }

    #[inline]
    fn price(&self, ticks: i64) -> f64 {
        (ticks * self.tick_units) as f64 / self.units as f64
    }

    #[inline]
    fn amount(&self, turnover_ticks: i64) -> f64 {
        (turnover_ticks * self.tick_units * self.multiplier) as f64 / self.units as f64
    }

    /// Turnover a lot and unit, rounded as the vendor does it to a tenth of a CNY or the price's own decimals.
    #[inline]
    fn average(&self, turnover_ticks: i64, volume: i64) -> f64 {
        let of = volume * self.units;
        let steps = (2 * turnover_ticks * self.tick_units * self.average_steps + of) / (2 * of);
        steps as f64 / self.average_steps as f64
    }
}
