//! Whole recorded days: what the preparation finds in them, and that the bracket holds on them.
#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_core::{Calendar, contract_spec, is_double_sided};
use ghtrader_exchange::{
    FillModel, MatchConfig, MatchEvent, Matching, NewOrder, Offset, PrepareSpec, PreparedDay, Side, SplitClass, Tif,
};
use ghtrader_market::{ReadOptions, SymbolDay, TickFile};
use std::path::Path;

/// The prepared days of a file; empty when the data are absent.
fn days(file: &str) -> Vec<PreparedDay> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(file);
    if !path.exists() {
        eprintln!("skipped: ../shared/data not found");
        return Vec::new();
    }
    let options = ReadOptions::default();
    let source = TickFile::open(&path, &options).unwrap();
    let contract = source.contract.clone();
    let variety = contract.variety();
    let prepare = |part: ghtrader_market::DayPart| {
        let date = part.day;
        let phases = Calendar::builtin().day_phases(variety, date);
        let day = SymbolDay::assemble(&contract, &phases, vec![part]);
        let terms = contract_spec(variety, date).unwrap();
        let double_sided = is_double_sided(variety.exchange(), date);
        let spec = PrepareSpec::of_day(Calendar::builtin(), variety, date, &terms, double_sided);
        PreparedDay::prepare(&day.ticks.view(), &spec).unwrap()
    };
    source.read(&options).unwrap().days.into_iter().map(prepare).collect()
}

/// Quotes one lot at each best price, a new one every 50 rows, and returns the lots filled.
fn quote(day: &PreparedDay, model: FillModel) -> u32 {
    let mut matching = Matching::new(MatchConfig::new(model));
    let mut events = Vec::new();
    for row in 0..day.rows() {
        matching.advance(day, row, row + 1, &mut events);
        if row % 50 == 0 && day.is_tradable(row) {
            for (side, id) in [(Side::Buy, 2 * row as u64), (Side::Sell, 2 * row as u64 + 1)] {
                matching.cancel(id.saturating_sub(100), day.ts_ns(row));
                if let Some((price, _)) = day.level(side, row, 0) {
                    let limit_ticks = Some(price);
                    let (tif, offset) = (Tif::Day, Offset::Auto);
                    let order = NewOrder { id, side, lots: 1, limit_ticks, tif, post_only: true, offset };
                    matching.submit(order, row, day.ts_ns(row));
                }
            }
        }
    }
    let fills = events.iter().filter_map(|e| match e {
        MatchEvent::Filled { row, lots, .. } => {
            assert!(day.is_matchable(*row));
            Some(*lots)
        }
        _ => None,
    });
    fills.sum()
}

/// B-05, B-13: most intervals split into two prices, hardly any fits nothing, and the models keep their order.
#[test]
fn bracket_on_recorded_days() {
    for file in [
        "tqsdk/SHFE.ad2511.csv",
        "tqsdk/SHFE.wr2510.csv",
        "tqsdk/CFFEX.IF2509.csv",
        "ctp_2018/SHFE.ru1901_20181009.tick-ctp.csv.gz",
    ] {
        for day in days(file) {
            let rows = day.rows();
            let matchable = (0..rows).filter(|&r| day.is_matchable(r)).count();
            let warnings = day.warnings();
            let fills = [FillModel::Pessimistic, FillModel::Central, FillModel::Optimistic].map(|m| quote(&day, m));
            eprintln!("{file}: {rows} rows, {matchable} matchable, {warnings:?}, fills {fills:?}");
            assert!(matchable > rows * 9 / 10, "{file}");
            assert!(warnings.volume_unsplit as usize <= rows / 100, "{file}: {warnings:?}");
            assert!(fills[0] <= fills[1] && fills[1] <= fills[2], "{file}: {fills:?}");
            assert!(fills[2] > 0, "{file}");
        }
    }
}

/// B-05: on recorded days what the two-price split leaves over is rounding, or another price traded.
#[test]
fn split_residuals_on_recorded_days() {
    for file in [
        "tqsdk/SHFE.ad2511.csv",
        "tqsdk/SHFE.wr2510.csv",
        "tqsdk/SHFE.cu1909_last200.csv",
        "tqsdk/CFFEX.IF2509.csv",
        "ctp_2018/SHFE.ru1901_20181009.tick-ctp.csv.gz",
    ] {
        for day in days(file) {
            let split = day.split_report();
            let of = |class: SplitClass| split.intervals[class as usize];
            let all: u64 = split.intervals.iter().sum();
            let shown: Vec<String> = SplitClass::ALL
                .iter()
                .map(|c| format!("{} {} ({} lots)", c.as_str(), of(*c), split.lots[*c as usize]))
                .collect();
            eprintln!("{file}: {all} intervals, {}; {:?}", shown.join(", "), split.residual_cny);
            assert_eq!(of(SplitClass::Unsplit), day.warnings().volume_unsplit, "{file}");
            assert_eq!(of(SplitClass::Bounded), day.warnings().volume_bounded, "{file}");
            // What the split calls exact leaves no more than the rounding of an amount.
            assert!(split.within_rounding >= of(SplitClass::Exact) + of(SplitClass::Moved), "{file}");
            assert!(all > 40 && split.residual_cny.p50 <= split.residual_cny.max, "{file}");
        }
    }
}
