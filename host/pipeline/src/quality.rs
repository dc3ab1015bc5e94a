//! What is wrong with single rows and fields of a symbol-day.

use ghtrader_core::{Column, ContractSpec, L5_LEVELS, TickView};
use serde::{Deserialize, Serialize};

/// How often something was found, and over what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Times found.
    pub count: u64,
    /// Times found over times looked; 0 over nothing.
    pub rate: f64,
}

impl Finding {
    fn of(count: u64, over: u64) -> Self {
        Self { count, rate: if over == 0 { 0.0 } else { count as f64 / over as f64 } }
    }
}

/// Defects of the book's fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldQuality {
    /// Best bid above best ask, over rows with both.
    pub crossed: Finding,
    /// Rows in which a deeper bid lies above a better one, over rows with an adjacent pair.
    pub bid_order: Finding,
    /// Rows in which a deeper ask lies below a better one, over rows with an adjacent pair.
    pub ask_order: Finding,
    /// Book sizes and volumes below 0, over rows × 11.
    pub negative_volume: Finding,
    /// Book prices and last prices below 0, over rows × 11.
    pub negative_price: Finding,
}

/// Counts defects of the book's fields. A missing price is NaN or 0.
pub fn compute_field_quality(rows: &TickView<'_>) -> FieldQuality {
    let n = rows.rows();
    let price = |c: Column| rows.float(c);
    let (bid, ask) = (price(Column::bid_price(0)), price(Column::ask_price(0)));
    let (mut both, mut crossed) = (0, 0);
    for (b, a) in bid.iter().zip(ask) {
        if *b > 0.0 && *a > 0.0 {
            both += 1;
            crossed += u64::from(b > a);
        }
    }
    let ladder = |column: fn(usize) -> Column, wrong: fn(f64, f64) -> bool| {
        let levels: [&[f64]; L5_LEVELS] = std::array::from_fn(|i| rows.float(column(i)));
        let (mut with_pair, mut bad) = (0, 0);
        for row in 0..n {
            let pairs = levels.windows(2).map(|w| (w[0][row], w[1][row])).filter(|(x, y)| *x > 0.0 && *y > 0.0);
            let (any, out_of_order) = pairs.fold((false, false), |(_, w), (x, y)| (true, w || wrong(x, y)));
            with_pair += u64::from(any);
            bad += u64::from(out_of_order);
        }
        Finding::of(bad, with_pair)
    };
    let below_zero = |columns: Vec<Column>| {
        let cells = columns.iter().map(|c| rows.float(*c).iter().filter(|x| **x < 0.0).count() as u64);
        Finding::of(cells.sum(), n as u64 * 11)
    };
    let book = |f: [fn(usize) -> Column; 2], extra: Column| {
        (0..L5_LEVELS).flat_map(|i| f.map(|c| c(i))).chain([extra]).collect::<Vec<_>>()
    };
    FieldQuality {
        crossed: Finding::of(crossed, both),
        bid_order: ladder(Column::bid_price, |better, deeper| better < deeper),
        ask_order: ladder(Column::ask_price, |better, deeper| better > deeper),
        negative_volume: below_zero(book([Column::bid_volume, Column::ask_volume], Column::Volume)),
        negative_price: below_zero(book([Column::bid_price, Column::ask_price], Column::LastPrice)),
    }
}

/// The defects of one row against the one before it in the same symbol-day, sorted by name.
///
/// Codes: `crossed_book`, `bid_ladder`, `ask_ladder` (equal neighbours count), `negative_volume`, `off_grid`,
/// `size_without_price`, and against `previous` `time_backwards`, `duplicate_time`, `volume_decreased`, `amount_decreased`.
/// A locked book and a one-sided one are legal.
pub fn row_findings(
    rows: &TickView<'_>,
    row: usize,
    previous: Option<usize>,
    spec: &ContractSpec,
) -> Vec<&'static str> {
    let at = |c: Column| rows.float(c)[row];
    let side = |c: fn(usize) -> Column| -> [f64; L5_LEVELS] { std::array::from_fn(|i| at(c(i))) };
    let (bid, ask) = (side(Column::bid_price), side(Column::ask_price));
    let (bid_size, ask_size) = (side(Column::bid_volume), side(Column::ask_volume));
    let prices = || bid.iter().chain(&ask);
    let sizes = || bid_size.iter().chain(&ask_size);
    let off_grid = |p: f64| !p.is_nan() && spec.price_to_ticks(p).is_none();
    let mut found = Vec::new();
    let mut note = |code, applies| {
        if applies {
            found.push(code);
        }
    };
    if let Some(p) = previous {
        let fell = |c: Column| at(c) < rows.float(c)[p];
        note("amount_decreased", fell(Column::Amount));
        note("duplicate_time", rows.ts_ns[row] == rows.ts_ns[p]);
        note("time_backwards", rows.ts_ns[row] < rows.ts_ns[p]);
        note("volume_decreased", fell(Column::Volume));
    }
    note("ask_ladder", ask.windows(2).any(|w| w[0] >= w[1]));
    note("bid_ladder", bid.windows(2).any(|w| w[0] <= w[1]));
    note("crossed_book", bid[0] > ask[0]);
    note("negative_volume", sizes().any(|s| *s < 0.0) || at(Column::Volume) < 0.0);
    note("off_grid", prices().any(|p| off_grid(*p)) || off_grid(at(Column::LastPrice)));
    note("size_without_price", prices().zip(sizes()).any(|(p, s)| p.is_nan() && *s > 0.0));
    found.sort_unstable();
    found
}

/// Field quality of a symbol-day beyond the book: null rates, counters, prices against each other, outliers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayQuality {
    /// Defects of the book's fields.
    #[serde(flatten)]
    pub fields: FieldQuality,
    /// Share of null cells: best bid, best ask, last price, volume, open interest.
    pub null_rate_core: f64,
    /// Share of null or empty cells over the twenty book columns.
    pub null_rate_book: f64,
    /// Rows whose volume is below the one before.
    pub volume_decreased: u64,
    /// Rows whose amount is below the one before.
    pub amount_decreased: u64,
    /// Rows whose last price lies outside the day's high and low so far.
    pub last_outside_high_low: u64,
    /// Rows whose average is off amount / volume / multiplier by more than 0.1 CNY.
    pub average_off: u64,
    /// Rows with the stamp of the row before.
    pub duplicate_time: u64,
    /// Mid changes over max(10 ticks, 8 σ), σ = 1.4826 × median absolute deviation of the changes other than 0.
    pub price_jumps: u64,
    /// Rows whose traded volume is over ten times the day's 99th percentile.
    pub volume_outliers: u64,
    /// Rows whose spread is over max(5 ticks, 5 × median).
    pub spread_outliers: u64,
}

impl DayQuality {
    /// What [`Self::defects`] counts, in order.
    pub const DEFECTS: [&'static str; 9] = [
        "crossed",
        "levels out of order",
        "negative",
        "falling counts",
        "last outside high–low",
        "average off",
        "price jumps",
        "volume outliers",
        "wide spreads",
    ];

    /// How often each kind of defect was found.
    pub fn defects(&self) -> [u64; 9] {
        let fields = &self.fields;
        [
            fields.crossed.count,
            fields.bid_order.count + fields.ask_order.count,
            fields.negative_price.count + fields.negative_volume.count,
            self.volume_decreased + self.amount_decreased,
            self.last_outside_high_low,
            self.average_off,
            self.price_jumps,
            self.volume_outliers,
            self.spread_outliers,
        ]
    }
}

/// Measures the rows of one symbol-day in order. `spec` gives tick and multiplier of the day.
pub fn compute_day_quality(rows: &TickView<'_>, spec: &ContractSpec) -> DayQuality {
    let n = rows.rows();
    let column = |c: Column| rows.float(c);
    let null_rate = |columns: &[Column], empty: fn(f64) -> bool| {
        let nulls: usize = columns.iter().map(|c| column(*c).iter().filter(|x| empty(**x)).count()).sum();
        if n == 0 { 0.0 } else { nulls as f64 / (n * columns.len()) as f64 }
    };
    let core = [Column::bid_price(0), Column::ask_price(0), Column::LastPrice, Column::Volume, Column::OpenInterest];
    let book: Vec<Column> = Column::all().skip(8).collect();
    let falls = |c: Column| column(c).windows(2).filter(|w| w[1] < w[0]).count() as u64;
    let (last, high, low) = (column(Column::LastPrice), column(Column::Highest), column(Column::Lowest));
    let (volume, amount, average) = (column(Column::Volume), column(Column::Amount), column(Column::Average));
    let count = |f: &dyn Fn(usize) -> bool| (0..n).filter(|i| f(*i)).count() as u64;
    let (bid, ask) = (column(Column::bid_price(0)), column(Column::ask_price(0)));
    let tick = spec.price_tick;

    let quotes: Vec<(f64, f64)> =
        bid.iter().zip(ask).filter(|(b, a)| **b > 0.0 && **a > 0.0).map(|(b, a)| ((b + a) / 2.0, a - b)).collect();
    let moves: Vec<f64> = quotes.windows(2).map(|w| w[1].0 - w[0].0).filter(|d| *d != 0.0).collect();
    let centre = quantile(&mut moves.clone(), 0.5).unwrap_or(0.0);
    let deviation = quantile(&mut moves.iter().map(|d| (d - centre).abs()).collect::<Vec<_>>(), 0.5).unwrap_or(0.0);
    let jump = (10.0 * tick).max(8.0 * 1.4826 * deviation);
    let traded: Vec<f64> = volume.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 0.0).collect();
    let heavy = 10.0 * quantile(&mut traded.clone(), 0.99).unwrap_or(f64::INFINITY);
    let mut spreads: Vec<f64> = quotes.iter().map(|q| q.1).collect();
    let wide = (5.0 * tick).max(5.0 * quantile(&mut spreads, 0.5).unwrap_or(0.0));

    DayQuality {
        fields: compute_field_quality(rows),
        null_rate_core: null_rate(&core, f64::is_nan),
        null_rate_book: null_rate(&book, |x| x.is_nan() || x == 0.0),
        volume_decreased: falls(Column::Volume),
        amount_decreased: falls(Column::Amount),
        last_outside_high_low: count(&|i| last[i] > high[i] || last[i] < low[i]),
        average_off: count(&|i| volume[i] > 0.0 && (average[i] - amount[i] / volume[i] / spec.multiplier).abs() > 0.1),
        duplicate_time: rows.ts_ns.windows(2).filter(|w| w[0] == w[1]).count() as u64,
        price_jumps: moves.iter().filter(|d| d.abs() > jump).count() as u64,
        volume_outliers: traded.iter().filter(|d| **d > heavy).count() as u64,
        spread_outliers: spreads.iter().filter(|s| **s > wide).count() as u64,
    }
}

/// The smallest value at or below which the share `q` of the values lies (nearest rank); `None` of none. Sorts in place.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
    values.get(rank.min(values.len()).checked_sub(1)?).copied()
}
