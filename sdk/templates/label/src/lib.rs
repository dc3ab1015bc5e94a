//! Move of the mid over the next rows, in ticks: (m_{t+N} − m_t)/tick.
//!
//! NaN (no label) where row t + N lies beyond the reach, or where one of both books has an empty side.

use ghtrader_sdk::kernels::label::mid_half_ticks;
use ghtrader_sdk::{Instrument, Label, LabelDescription, Params, PluginError, Rows};

/// A label keeps no state from row to row: it is handed the rows behind, and every cutting gives the same.
#[derive(Debug)]
pub struct MyIdea {
    horizon_rows: usize,
    price_tick: f64,
}

impl Label for MyIdea {
    /// Called once, before the first row. Parameters carry plugin.toml's defaults and lie inside its bounds.
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, LabelDescription), PluginError> {
        let horizon_rows: u32 = params.integer_in("horizon_rows", 1..=1000)?;
        let description = LabelDescription::new(["bid_price1", "ask_price1"], [("move", "ticks")], horizon_rows);
        Ok((Self { horizon_rows: horizon_rows as usize, price_tick: instrument.price_tick }, description))
    }

    /// Called for every row. `rows` end where the look-ahead must: a row that is not there is beyond the reach.
    fn row(&self, rows: Rows<'_>, at: usize, out: &mut [f64]) {
        let mid = |at: usize| {
            let [bid, ask] = rows.get(at)?.numbers();
            // Whole half ticks: a move of exactly one tick is 2 of them, whatever binary floats say.
            mid_half_ticks(bid, ask, self.price_tick)
        };
        if let (Some(now), Some(later)) = (mid(at), mid(at + self.horizon_rows)) {
            out[0] = (later - now) as f64 / 2.0;
        }
    }
}

ghtrader_sdk::export_label!(MyIdea);
