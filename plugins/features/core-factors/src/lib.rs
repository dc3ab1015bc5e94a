//! The core set: eleven factors, in this order.
//!
//! | factor | formula | zero and null rule |
//! |---|---|---|
//! | spread, mid | a − b, (a + b)/2 in CNY | NaN where a side is empty |
//! | microprice | (b·w₁ + a·v₁)/(v₁ + w₁) | mid where both sizes are 0; NaN where a side is empty |
//! | imbalance_1, imbalance_total | (v − w)/(v + w) at level 1, over levels 1–5 | 0 where both are 0 |
//! | depth_weighted_price | Σ price·size/Σ size over both sides | empty levels add nothing; NaN where all are empty |
//! | return_10 | m_t/m_{t−10} − 1 | NaN before row 10 |
//! | volatility_20 | sample standard deviation of 20 one-row mid returns | NaN before row 20 |
//! | volume_delta_10 | Σ of the last 10 changes of volume, lots | NaN before row 10 |
//! | oi_delta_10 | OI_t − OI_{t−10}, lots | NaN before row 10 |
//! | book_slope | (Σ i·v_i − Σ i·w_i)/(Σ i·v_i + Σ i·w_i) | 0 where the book is empty |
//!
//! b, a, v, w are price and size of bid and ask, m the mid; windows count rows. Each row reads itself and the twenty
//! before it. A roll forgets everything; a trading day restarts the volume counter; sessions and gaps change nothing.

use ghtrader_sdk::kernels::book;
use ghtrader_sdk::kernels::flow::CumulativeChange;
use ghtrader_sdk::kernels::rolling::{Window, sample_variance, simple_return, sum};
use ghtrader_sdk::{Boundary, Feature, FeatureDescription, Instrument, Params, PluginError, Row};

const LEVELS: usize = 5;
const WIDTH: usize = 4 * LEVELS + 2;

/// The eleven factors.
#[derive(Debug, Default)]
pub struct CoreFactors {
    mids: Window<10>,
    last_mid: Window<1>,
    returns: Window<20>,
    volume: CumulativeChange,
    volume_changes: Window<10>,
    open_interests: Window<10>,
}

impl Feature for CoreFactors {
    fn init(_: &Params, _: &Instrument) -> Result<(Self, FeatureDescription), PluginError> {
        let sides = ["bid_price", "bid_volume", "ask_price", "ask_volume"];
        let levels = sides.into_iter().flat_map(|side| (1..=LEVELS).map(move |level| format!("{side}{level}")));
        let inputs = levels.chain(["volume".to_owned(), "open_interest".to_owned()]);
        let outputs = [
            ("spread", "CNY"),
            ("mid", "CNY"),
            ("microprice", "CNY"),
            ("imbalance_1", "1"),
            ("imbalance_total", "1"),
            ("depth_weighted_price", "CNY"),
            ("return_10", "1"),
            ("volatility_20", "1"),
            ("volume_delta_10", "lots"),
            ("oi_delta_10", "lots"),
            ("book_slope", "1"),
        ];
        Ok((Self::default(), FeatureDescription::new(inputs, outputs, 20)))
    }

    fn boundary(&mut self, kind: Boundary) {
        match kind {
            Boundary::Roll => *self = Self::default(),
            _ => self.volume.boundary(kind),
        }
    }

    fn row(&mut self, row: Row<'_>, out: &mut [f64]) {
        let words = row.numbers::<WIDTH>();
        let side = |from: usize| -> [f64; LEVELS] { std::array::from_fn(|level| words[from + level]) };
        let (bid, bid_lots, ask, ask_lots) = (side(0), side(LEVELS), side(2 * LEVELS), side(3 * LEVELS));
        let (volume, open_interest) = (words[4 * LEVELS], words[4 * LEVELS + 1]);

        let mid = book::mid(bid[0], ask[0]);
        let Some(out) = out.first_chunk_mut::<11>() else { return };
        // The book's factors before the windows', so that twenty prices and sizes need not be kept over those.
        out[0] = book::spread(bid[0], ask[0]);
        out[1] = mid;
        out[2] = book::microprice(bid[0], bid_lots[0], ask[0], ask_lots[0]);
        out[3] = book::imbalance(bid_lots[0], ask_lots[0]);
        out[4] = book::imbalance(book::total_lots(&bid_lots), book::total_lots(&ask_lots));
        out[5] = book::depth_weighted_price(&bid, &bid_lots, &ask, &ask_lots);
        out[10] = book::slope(&bid_lots, &ask_lots);

        self.returns.push(simple_return(mid, self.last_mid.push(mid)));
        self.volume_changes.push(self.volume.next(volume));
        out[6] = simple_return(mid, self.mids.push(mid));
        out[7] = sample_variance(self.returns.values()).sqrt();
        out[8] = sum(self.volume_changes.values());
        out[9] = open_interest - self.open_interests.push(open_interest);
    }
}

ghtrader_sdk::export_feature!(CoreFactors);
