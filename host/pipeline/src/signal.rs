//! Two figures that say how much a day's book tells about its prices.

use ghtrader_core::{Column, NS_PER_S, TickView};

/// Width of the bins over which order flow is summed; bins are aligned to the epoch.
const BIN_NS: i64 = 10 * NS_PER_S;

/// Best quotes of the rows that have both: (time ns, bid price, bid size, ask price, ask size).
type Quote = (i64, f64, f64, f64, f64);

/// How well the best quotes tell the next move, and how much of the moves order flow explains.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct SignalFigures {
    /// Rows with both best prices.
    pub rows: usize,
    /// Area under the ROC curve of the score (bv − av)/(bv + av) for the direction of the first later mid price that
    /// differs; rows without one are dropped. `None` unless both directions occur. Reads later rows: a measure, no feature.
    pub queue_imbalance_auc: Option<f64>,
    /// Share of the variance of the mid's change from bin to bin (10 s, last mid of a bin, bins without rows left out) that
    /// order-flow imbalance summed over the later bin explains, by least squares. `None` where either does not vary.
    ///
    /// Source: Cont, Kukanov, Stoikov, "The price impact of order book events", 2014, eq. 4.
    pub ofi_r2: Option<f64>,
}

/// Measures rows in order of time. Prices CNY (NaN or 0 = none), sizes lots.
pub fn compute_signal_figures(rows: &TickView<'_>) -> SignalFigures {
    let (bid, bid_size) = (rows.float(Column::bid_price(0)), rows.float(Column::bid_volume(0)));
    let (ask, ask_size) = (rows.float(Column::ask_price(0)), rows.float(Column::ask_volume(0)));
    let quotes: Vec<Quote> = (0..rows.rows())
        .filter(|&i| bid[i] > 0.0 && ask[i] > 0.0)
        .map(|i| (rows.ts_ns[i], bid[i], bid_size[i], ask[i], ask_size[i]))
        .collect();
    SignalFigures {
        rows: quotes.len(),
        queue_imbalance_auc: queue_imbalance_auc(&quotes),
        ofi_r2: order_flow_r2(&quotes),
    }
}

fn queue_imbalance_auc(quotes: &[Quote]) -> Option<f64> {
    let mut scored: Vec<(f64, bool)> = Vec::with_capacity(quotes.len());
    // Twice the mid: exact where the mid itself may round.
    let mut next: Option<f64> = None;
    let mut differing: Option<f64> = None;
    for &(_, bid, bid_size, ask, ask_size) in quotes.iter().rev() {
        let mid = bid + ask;
        if next.is_some_and(|n| n != mid) {
            differing = next;
        }
        next = Some(mid);
        let size = bid_size + ask_size;
        if let Some(later) = differing.filter(|_| size > 0.0) {
            scored.push(((bid_size - ask_size) / size, later > mid));
        }
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ups = scored.iter().filter(|(_, up)| *up).count() as f64;
    let downs = scored.len() as f64 - ups;
    if ups == 0.0 || downs == 0.0 {
        return None;
    }
    // Mann–Whitney: ties share the mean rank.
    let mut rank_sum = 0.0;
    let mut before = 0.0;
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let mean_rank = before + (tied.len() as f64 + 1.0) / 2.0;
        rank_sum += mean_rank * tied.iter().filter(|(_, up)| *up).count() as f64;
        before += tied.len() as f64;
    }
    Some((rank_sum - ups * (ups + 1.0) / 2.0) / (ups * downs))
}

fn order_flow_r2(quotes: &[Quote]) -> Option<f64> {
    // (bin, order-flow imbalance, last mid)
    let mut bins: Vec<(i64, f64, f64)> = Vec::new();
    let mut previous: Option<&Quote> = None;
    for q in quotes {
        let flow = previous.map_or(0.0, |p| order_flow(p, q));
        let (bin, mid) = (q.0.div_euclid(BIN_NS), (q.1 + q.3) / 2.0);
        match bins.last_mut() {
            Some(last) if last.0 == bin => (last.1, last.2) = (last.1 + flow, mid),
            _ => bins.push((bin, flow, mid)),
        }
        previous = Some(q);
    }
    let pairs: Vec<(f64, f64)> = bins.windows(2).map(|w| (w[1].1, w[1].2 - w[0].2)).collect();
    let n = pairs.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let (x0, y0) = (mean(|p| p.0), mean(|p| p.1));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in &pairs {
        xx += (x - x0) * (x - x0);
        xy += (x - x0) * (y - y0);
        yy += (y - y0) * (y - y0);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy * xy / (xx * yy))
}

/// Contribution of one change of the best quotes: what came to the bid less what came to the ask, lots.
fn order_flow(p: &Quote, q: &Quote) -> f64 {
    let when = |applies: bool, size: f64| if applies { size } else { 0.0 };
    when(q.1 >= p.1, q.2) - when(q.1 <= p.1, p.2) - when(q.3 <= p.3, q.4) + when(q.3 >= p.3, p.4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::TickTable;

    fn table(quotes: &[Quote]) -> TickTable {
        let mut t = TickTable { ts_ns: quotes.iter().map(|q| q.0).collect(), ..Default::default() };
        t.seq = (0..quotes.len() as u32).collect();
        t.phase = vec![2; quotes.len()];
        t.floats = std::array::from_fn(|_| vec![f64::NAN; quotes.len()]);
        let mut set = |c: Column, f: fn(&Quote) -> f64| t.floats[c.index() - 1] = quotes.iter().map(f).collect();
        set(Column::bid_price(0), |q| q.1);
        set(Column::bid_volume(0), |q| q.2);
        set(Column::ask_price(0), |q| q.3);
        set(Column::ask_volume(0), |q| q.4);
        t
    }

    #[test]
    fn a_book_that_tells_all_has_auc_one() {
        let s = NS_PER_S;
        // The heavier side wins each time; the row without a bid is left out, the last has no later mid.
        let quotes = [
            (0, 10.0, 9.0, 11.0, 1.0),
            (s, 11.0, 1.0, 12.0, 9.0),
            (2 * s, f64::NAN, 0.0, 12.0, 9.0),
            (3 * s, 10.0, 7.0, 11.0, 3.0),
            (4 * s, 11.0, 5.0, 12.0, 5.0),
        ];
        let f = compute_signal_figures(&table(&quotes).view());
        assert_eq!((f.rows, f.queue_imbalance_auc), (4, Some(1.0)));
    }

    #[test]
    fn flow_of_one_bin_by_hand() {
        // Bid up: +5; ask up: +4 (the old size left). Then both unchanged: +(2) −(−1) …
        let a = (0, 10.0, 3.0, 11.0, 4.0);
        let b = (1, 10.5, 5.0, 11.5, 6.0);
        let c = (2, 10.5, 7.0, 11.5, 5.0);
        assert_eq!(order_flow(&a, &b), 9.0);
        assert_eq!(order_flow(&b, &c), 3.0);
        assert_eq!(order_flow(&b, &a), -5.0 - 4.0);
    }

    #[test]
    fn nothing_to_measure_is_none() {
        let empty = compute_signal_figures(&table(&[]).view());
        assert_eq!((empty.queue_imbalance_auc, empty.ofi_r2), (None, None));
    }
}
