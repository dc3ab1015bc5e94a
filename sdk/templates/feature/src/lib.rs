//! Imbalance of the best level, averaged over the last 20 rows.
//!
//! (bid lots − ask lots)/(bid lots + ask lots), −1 to 1. NaN until 20 rows of one contract were seen. Each row reads
//! itself and the 19 before it.

use ghtrader_sdk::kernels::book;
use ghtrader_sdk::kernels::rolling::{Window, mean};
use ghtrader_sdk::{Boundary, Feature, FeatureDescription, Instrument, Params, PluginError, Row};

/// Keeps the window itself and sums it afresh: a running sum would carry the rounding of every row since the start, and
/// a value may depend on its window alone, to the bit.
#[derive(Debug, Default)]
pub struct MyIdea {
    imbalances: Window<20>,
}

impl Feature for MyIdea {
    /// Called once, before the first row. Parameters carry plugin.toml's defaults and lie inside its bounds.
    fn init(_: &Params, _: &Instrument) -> Result<(Self, FeatureDescription), PluginError> {
        Ok((Self::default(), FeatureDescription::new(["bid_volume1", "ask_volume1"], [("lean", "1")], 20)))
    }

    /// Called for a border before the next row. A roll must forget everything: no window may mix two contracts.
    fn boundary(&mut self, kind: Boundary) {
        if kind == Boundary::Roll {
            *self = Self::default();
        }
    }

    /// Called for every row, in order. `out` has a place for each output, NaN at first.
    fn row(&mut self, row: Row<'_>, out: &mut [f64]) {
        let [bid_lots, ask_lots] = row.numbers();
        self.imbalances.push(book::imbalance(bid_lots, ask_lots));
        out[0] = mean(self.imbalances.values());
    }
}

ghtrader_sdk::export_feature!(MyIdea);
