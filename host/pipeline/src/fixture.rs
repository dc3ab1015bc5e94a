//! Rows on which plugins are tried: the standard stretch, and stretches that authors bring.

use ghtrader_core::{
    BorderKind, Calendar, Column, ContractId, ContractTable, Exchange, L5_LEVELS, Phase, TickTable, Variety,
    day_borders,
};
use ghtrader_market::PlainTicks;
use ghtrader_market::synth::{SynthMarket, SynthSpec};
use ghtrader_plugin::{Boundary, Fixture, Instrument};
use std::ops::Range;
use std::sync::OnceLock;

/// Rows of each of the two days of the standard stretch.
const DAY_ROWS: usize = 1_000;
/// Dense enough for gaps to be rare.
const ROWS_PER_DAY: u32 = 15_000;
const SEED: u64 = 20_250_701;
/// Places of what a market rarely shows, in the rows of the second day.
const GAP_AT: usize = 300;
const ONE_SIDED: Range<usize> = 500..520;
const NO_BOOK: Range<usize> = 600..604;
const NO_LAST: Range<usize> = 700..703;

/// The stretch on which every plugin is tried before it may be used: 2,000 rows of copper of two synthetic days, with a new
/// trading day, a session border, a gap, a one-sided book and missing prices. The same rows in every process.
///
/// # Panics
/// Never: where the calendar does not have the two days of July 2025, the built-in one does.
pub fn standard_fixture(calendar: &Calendar) -> Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE
        .get_or_init(|| {
            let found = make(calendar).or_else(|| make(Calendar::builtin()));
            #[expect(clippy::expect_used, reason = "a test makes it with the built-in calendar")]
            found.expect("a synthetic market of two days")
        })
        .clone()
}

fn make(calendar: &Calendar) -> Option<Fixture> {
    let spec = SynthSpec {
        rows_per_day: ROWS_PER_DAY,
        ..SynthSpec::new(Variety::new(Exchange::Shfe, "cu").ok()?, 2, SEED, 0.5)
    };
    let market = SynthMarket::new(spec, calendar).ok()?;
    let contract = market.main_contracts().next()?.1.clone();
    let mut ticks = TickTable::default();
    let mut days = Vec::new();
    for index in (0..market.symbol_days()).filter(|i| *market.key(*i).0 == contract) {
        let day = market.generate(index);
        let (view, windows) = (day.ticks.view(), calendar.session_windows(contract.variety(), day.trading_day));
        let first = view.phase.iter().position(|p| *p == Phase::Continuous as u8)?;
        let session = day_borders(view.ts_ns, &windows).into_iter().rfind(|b| b.kind == BorderKind::Session)?.row;
        // The first day around its last session border, the second from its opening on.
        let from = if days.is_empty() { session.checked_sub(DAY_ROWS / 2)? } else { first };
        let continuous = (from..view.rows()).filter(|row| view.phase[*row] == Phase::Continuous as u8);
        days.push((ticks.rows(), day.trading_day));
        let skipped = if days.len() == 1 { 0..0 } else { GAP_AT..GAP_AT + 20 };
        for (_, row) in continuous.take(DAY_ROWS + skipped.len()).enumerate().filter(|(i, _)| !skipped.contains(i)) {
            ticks.extend_from(&view, row..row + 1);
        }
    }
    let second = days.get(1)?.0;
    let mut set = |rows: Range<usize>, column: Column, value: f64| {
        let column = ticks.floats.get_mut(column.index() - 1);
        column.and_then(|c| c.get_mut(second + rows.start..second + rows.end)).map(|c| c.fill(value))
    };
    for level in 0..L5_LEVELS {
        set(ONE_SIDED, Column::ask_price(level), f64::NAN)?;
        set(ONE_SIDED, Column::ask_volume(level), 0.0)?;
        for column in [Column::ask_price(level), Column::bid_price(level)] {
            set(NO_BOOK, column, f64::NAN)?;
        }
    }
    set(NO_LAST, Column::LastPrice, f64::NAN)?;
    let spec = ContractTable::builtin().spec(contract.variety(), days.first()?.1).ok()?;
    let instrument =
        Instrument { symbol: contract.to_string(), price_tick: spec.price_tick, multiplier: spec.multiplier };
    Some(fixture_of(
        PlainTicks { symbol: Some(contract.to_string()), ticks, missing: Vec::new(), days },
        instrument,
        calendar,
    ))
}

/// A file's rows as a fixture: a roll and a trading day before the first row, then the borders that lie in it.
///
/// A contract that is not known has one session a day.
pub fn fixture_of(plain: PlainTicks, instrument: Instrument, calendar: &Calendar) -> Fixture {
    let variety = instrument.symbol.parse().ok().map(|c: ContractId| c.variety().clone());
    let rows = plain.ticks.rows();
    let mut borders = vec![(0, Boundary::Roll)];
    let ends = plain.days.iter().skip(1).map(|(row, _)| *row).chain([rows]);
    for ((start, day), end) in plain.days.iter().zip(ends) {
        borders.push((*start, Boundary::TradingDay));
        let windows = variety.as_ref().map_or(Vec::new(), |v| calendar.session_windows(v, *day));
        borders.extend(day_borders(&plain.ticks.ts_ns[*start..end], &windows).into_iter().map(|b| {
            let kind = match b.kind {
                BorderKind::Session => Boundary::Session,
                BorderKind::Gap => Boundary::Gap,
            };
            (start + b.row, kind)
        }));
    }
    Fixture { instrument, ticks: plain.ticks, borders }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_standard_stretch_holds_what_it_promises() {
        let began = Instant::now();
        let fixture = make(Calendar::builtin()).unwrap();
        println!("made in {:?}", began.elapsed());
        assert_eq!(fixture.ticks.rows(), 2 * DAY_ROWS);
        assert_eq!(fixture.instrument.symbol, "SHFE.cu2508");
        let kinds = |kind: Boundary| fixture.borders.iter().filter(|(_, k)| *k == kind).count();
        assert_eq!((kinds(Boundary::Roll), kinds(Boundary::TradingDay), kinds(Boundary::Session)), (1, 2, 1));
        assert!(fixture.borders.contains(&(DAY_ROWS + GAP_AT, Boundary::Gap)), "{:?}", fixture.borders);
        let view = fixture.ticks.view();
        let at = |column: Column, row: usize| view.float(column)[DAY_ROWS + row];
        assert!(at(Column::ask_price(0), 505).is_nan() && at(Column::bid_price(0), 505) > 0.0);
        assert!(at(Column::bid_price(0), 601).is_nan() && at(Column::LastPrice, 701).is_nan());
        assert_eq!(format!("{fixture:?}"), format!("{:?}", standard_fixture(Calendar::builtin())));
        let bytes = fixture.encode().unwrap();
        assert_eq!(format!("{:?}", Fixture::decode(&bytes).unwrap()), format!("{fixture:?}"));
        println!("{} bytes, borders {:?}", bytes.len(), fixture.borders);
    }
}
