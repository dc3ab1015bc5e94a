//! Factors of one order-book snapshot.
//!
//! Prices in CNY, sizes in lots, level 1 first. An empty level has price NaN and size 0. Every function reads its
//! arguments alone.

/// Difference of the best prices, CNY; NaN where a side is empty, negative where the book is crossed.
#[inline]
pub fn spread(bid: f64, ask: f64) -> f64 {
    ask - bid
}

/// Middle of the best prices, CNY; NaN where a side is empty.
#[inline]
pub fn mid(bid: f64, ask: f64) -> f64 {
    (ask + bid) / 2.0
}

/// Best prices weighted by the opposite size, CNY; the mid where both sizes are 0, NaN where a side is empty.
///
/// Stoikov (2018) calls this the weighted mid-price; micro-price is the name in use.
#[inline]
pub fn microprice(bid: f64, bid_lots: f64, ask: f64, ask_lots: f64) -> f64 {
    let lots = bid_lots + ask_lots;
    if lots == 0.0 { mid(bid, ask) } else { (bid * ask_lots + ask * bid_lots) / lots }
}

/// (bid − ask)/(bid + ask), −1 to 1; 0 where both are 0. The queue imbalance of a level, or of totals over levels.
#[inline]
pub fn imbalance(bid: f64, ask: f64) -> f64 {
    let total = bid + ask;
    if total == 0.0 { 0.0 } else { (bid - ask) / total }
}

/// Sum over levels, lots.
#[inline]
pub fn total_lots(lots: &[f64]) -> f64 {
    lots.iter().fold(0.0, |sum, lots| sum + lots)
}

/// Sum over levels of level number (from 1) × size.
#[inline]
pub fn level_weighted_lots(lots: &[f64]) -> f64 {
    let mut level = 0.0;
    lots.iter().fold(0.0, |sum, lots| {
        level += 1.0;
        sum + level * lots
    })
}

/// Mean price of all displayed lots, CNY; levels without a price add nothing, NaN where none has lots.
#[inline]
pub fn depth_weighted_price(bid: &[f64], bid_lots: &[f64], ask: &[f64], ask_lots: &[f64]) -> f64 {
    let mut money = 0.0;
    let mut lots = 0.0;
    let levels = bid.iter().zip(bid_lots).zip(ask.iter().zip(ask_lots));
    for ((bid, bid_lots), (ask, ask_lots)) in levels {
        let (bid_money, bid_lots) = priced(*bid, *bid_lots);
        let (ask_money, ask_lots) = priced(*ask, *ask_lots);
        money += bid_money + ask_money;
        lots += bid_lots + ask_lots;
    }
    money / lots
}

#[inline]
fn priced(price: f64, lots: f64) -> (f64, f64) {
    if price.is_nan() { (0.0, 0.0) } else { (price * lots, lots) }
}

/// (Σ i·bid_i − Σ i·ask_i)/(Σ i·bid_i + Σ i·ask_i), −1 to 1: how much deeper the bid lies; 0 where the book is empty.
#[inline]
pub fn slope(bid_lots: &[f64], ask_lots: &[f64]) -> f64 {
    imbalance(level_weighted_lots(bid_lots), level_weighted_lots(ask_lots))
}
