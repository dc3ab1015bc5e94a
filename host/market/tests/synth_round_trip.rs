//! A synthetic symbol-day written as a file and imported again is the same symbol-day.

#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_core::{Calendar, TickTable};
use ghtrader_market::synth::{SynthMarket, SynthSpec, write_tqsdk_csv};
use ghtrader_market::{ReadOptions, SymbolDay, TickFile};
use proptest::prelude::*;

fn bits(table: &TickTable) -> (Vec<i64>, Vec<u32>, Vec<u8>, Vec<Vec<u64>>) {
    let floats = table.floats.iter().map(|c| c.iter().map(|v| v.to_bits()).collect()).collect();
    (table.ts_ns.clone(), table.seq.clone(), table.phase.clone(), floats)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// D-08, D-12: every number to the bit, nulls, sequence and phase included; nothing rejected, nothing dropped.
    #[test]
    fn imports_to_identical_rows(seed: u64, variety in prop::sample::select(vec!["cu", "au", "ag"]), signal in 0.0f64..=1.0) {
        let spec = SynthSpec { rows_per_day: 1_500, ..SynthSpec::new(variety.parse().unwrap(), 2, seed, signal) };
        let market = SynthMarket::new(spec, Calendar::builtin()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for made in market.iter() {
            let path = folder.path().join("ticks.csv");
            let mut text = Vec::new();
            write_tqsdk_csv(&mut text, &made.contract, &made.ticks.view()).unwrap();
            std::fs::write(&path, text).unwrap();
            let options = ReadOptions::default();
            let file = TickFile::open(&path, &options).unwrap();
            prop_assert_eq!(&file.contract, &made.contract);
            let rows = file.read(&options).unwrap();
            prop_assert_eq!(rows.rejects.len(), 0, "{:?}", rows.rejects.first());
            prop_assert_eq!(rows.days.len(), 1);
            let part = rows.days.into_iter().next().unwrap();
            prop_assert_eq!((part.day, part.duplicates), (made.trading_day, 0));
            let phases = Calendar::builtin().day_phases(made.contract.variety(), part.day);
            let read = SymbolDay::assemble(&made.contract, &phases, vec![part]);
            prop_assert!(bits(&read.ticks) == bits(&made.ticks), "{} {}", made.contract, made.trading_day);
        }
    }
}
