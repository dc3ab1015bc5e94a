//! Direction of the mid over fixed horizons of rows.
//!
//! d = m_{t+N} − m_t; d ≥ k·tick → 2 (up), d ≤ −k·tick → 0 (down), else 1 (flat), counted in whole half ticks, so that a
//! move of exactly k ticks is one. NaN (no label) where row t + N lies beyond the reach, or either book is one-sided.

use ghtrader_sdk::kernels::label::{direction, mid_half_ticks};
use ghtrader_sdk::{Instrument, Label, LabelDescription, Params, PluginError, Rows};

/// Longest look-ahead; the manifest promises it.
const MAX_HORIZON_ROWS: u32 = 10_000;

/// One output a horizon, `direction_N`.
#[derive(Debug)]
pub struct DirectionLabel {
    horizons_rows: Vec<u32>,
    threshold_ticks: u32,
    price_tick: f64,
}

impl Label for DirectionLabel {
    fn init(params: &Params, instrument: &Instrument) -> Result<(Self, LabelDescription), PluginError> {
        let horizons_rows = params
            .text("horizons_rows")?
            .split(',')
            .map(|text| horizon_rows(text.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = horizons_rows.iter().map(|rows| (format!("direction_{rows}"), "class"));
        let lookahead_rows = horizons_rows.iter().copied().max().unwrap_or(0);
        let description = LabelDescription::new(["bid_price1", "ask_price1"], outputs, lookahead_rows);
        let threshold_ticks = params.integer_in("threshold_ticks", 1..=1000)?;
        Ok((Self { horizons_rows, threshold_ticks, price_tick: instrument.price_tick }, description))
    }

    fn row(&self, rows: Rows<'_>, at: usize, out: &mut [f64]) {
        let mid = |at: usize| {
            let [bid, ask] = rows.get(at)?.numbers();
            mid_half_ticks(bid, ask, self.price_tick)
        };
        let Some(now) = mid(at) else { return };
        for (horizon, out) in self.horizons_rows.iter().zip(out) {
            if let Some(later) = mid(at + *horizon as usize) {
                *out = f64::from(direction(now, later, self.threshold_ticks) as u8);
            }
        }
    }
}

fn horizon_rows(text: &str) -> Result<u32, PluginError> {
    text.parse().ok().filter(|rows| (1..=MAX_HORIZON_ROWS).contains(rows)).ok_or_else(|| {
        PluginError::InvalidInput(format!(
            "parameter `horizons_rows` names `{text}`; give whole numbers from 1 to {MAX_HORIZON_ROWS}, such as 10,50,200"
        ))
    })
}

ghtrader_sdk::export_label!(DirectionLabel);
