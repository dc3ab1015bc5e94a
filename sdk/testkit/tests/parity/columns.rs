//! Features and labels.

use crate::stream::{Rng, cuts, rows};
use crate::{assert_same, bits, component, instrument};
use core_factors::CoreFactors;
use direction::DirectionLabel;
use ghtrader_plugin::{Boundary, FeatureInstance, LabelInstance, ParamValue, Params};
use ghtrader_testkit::{NativeFeature, NativeLabel};
use proptest::prelude::*;
use std::ops::Range;

/// Where borders lie, the same for every cutting: before row `i`, by the seed alone.
fn borders(seed: u64, rows: usize) -> Vec<(usize, Boundary)> {
    let mut rng = Rng(seed ^ 0xb0de);
    let mut borders = Vec::new();
    for row in 1..rows {
        if rng.one_in(200) {
            borders.push((row, Boundary::ALL[rng.below(Boundary::ALL.len() as u64) as usize]));
        }
    }
    borders
}

/// All outputs of a stream; blocks are cut at borders too.
fn run(
    feature: &mut dyn FeatureInstance,
    words: &[u64],
    blocks: &[Range<usize>],
    borders: &[(usize, Boundary)],
) -> Vec<u64> {
    let width = feature.description().inputs.len();
    let mut out = Vec::new();
    for block in blocks {
        let mut at = block.start;
        while at < block.end {
            if let Some((_, kind)) = borders.iter().find(|(row, _)| *row == at) {
                feature.boundary(*kind).unwrap();
            }
            let end = borders.iter().map(|b| b.0).find(|row| *row > at).unwrap_or(block.end).min(block.end);
            feature.compute(&words[at * width..end * width], &mut out).unwrap();
            at = end;
        }
    }
    bits(&out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// F-02
    #[test]
    fn core_factors_give_the_same_bits(seed: u64, count in 1usize..6000) {
        let plugin = component("features/core-factors");
        let params = plugin.manifest().resolve_params(&Params::new()).unwrap();
        let mut native = NativeFeature::<CoreFactors>::new(&params, &instrument()).unwrap();
        let (inputs, outputs) = (native.description().inputs.clone(), native.description().outputs.len());
        let (words, borders) = (rows(seed, count, &inputs), borders(seed, count));
        let single: Vec<_> = (0..count).map(|i| i..i + 1).collect();
        let expected = run(&mut native, &words, &[0..count], &borders);
        assert_eq!(expected.len(), count * outputs);
        for (what, blocks) in [("row by row", single), ("random blocks", cuts(seed, count)), ("one block", vec![0..count])] {
            let mut wasm = plugin.feature(&params, &instrument()).unwrap();
            let got = run(wasm.as_mut(), &words, &blocks, &borders);
            assert_same(what, outputs, &expected, &got);
        }
    }

    /// F-03: what comes later changes nothing.
    #[test]
    fn core_factors_read_no_later_row(seed: u64, cut in 1usize..500) {
        let plugin = component("features/core-factors");
        let inputs = plugin.manifest().plugin.inputs.clone();
        let mut words = rows(seed, 500, &inputs);
        let compute = |words: &[u64]| {
            let mut out = Vec::new();
            plugin.feature(&Params::new(), &instrument()).unwrap().compute(words, &mut out).unwrap();
            bits(&out)
        };
        let before = compute(&words);
        words[cut * inputs.len()..].iter_mut().for_each(|w| *w = 1e9_f64.to_bits());
        let known = cut * plugin.manifest().output.len();
        assert_same("causality", plugin.manifest().output.len(), &before[..known], &compute(&words)[..known]);
    }

    /// F-02
    #[test]
    fn direction_labels_give_the_same_bits(seed: u64, count in 1usize..3000, horizon in 8i64..300) {
        let plugin = component("labels/direction");
        let given = Params::from([("horizons_rows".to_owned(), ParamValue::Text(format!("{horizon},7")))]);
        let params = plugin.manifest().resolve_params(&given).unwrap();
        let mut native = NativeLabel::<DirectionLabel>::new(&params, &instrument()).unwrap();
        let description = native.description().clone();
        let (width, look) = (description.inputs.len(), description.lookahead_rows as usize);
        let words = rows(seed, count, &description.inputs);
        let labels = |label: &mut dyn LabelInstance, blocks: &[Range<usize>]| {
            let mut out = Vec::new();
            for block in blocks {
                let end = (block.end + look).min(count);
                label.compute(&words[block.start * width..end * width], block.len() as u32, &mut out).unwrap();
            }
            bits(&out)
        };
        let expected = labels(&mut native, &[0..count]);
        let single: Vec<_> = (0..count).map(|i| i..i + 1).collect();
        for (what, blocks) in [("row by row", single), ("random blocks", cuts(seed, count))] {
            let mut wasm = plugin.label(&params, &instrument()).unwrap();
            prop_assert_eq!(wasm.description(), &description);
            assert_same(what, description.outputs.len(), &expected, &labels(wasm.as_mut(), &blocks));
        }
    }
}

#[test]
fn dynamic_outputs_follow_the_parameters() {
    let plugin = component("labels/direction");
    let given = Params::from([("horizons_rows".to_owned(), ParamValue::Text("3,9".to_owned()))]);
    let label = plugin.label(&given, &instrument()).unwrap();
    let names: Vec<&str> = label.description().outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!((names, label.description().lookahead_rows), (vec!["direction_3", "direction_9"], 9));
    let bad = Params::from([("horizons_rows".to_owned(), ParamValue::Text("0".to_owned()))]);
    assert_eq!(plugin.label(&bad, &instrument()).err().unwrap().code(), "plugin_error");
}
