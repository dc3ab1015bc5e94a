//! Positions, and the sums that an account has to keep.

use crate::diff::value::{number, whole};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Share of the larger number by which two sums may differ: what is left of the digits of an f64.
const TOLERANCE: f64 = 1e-9;
/// The same in CNY for small sums.
const SMALL_CNY: f64 = 1e-6;

/// Lots of one side of a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SideLots {
    /// Opened on this trading day.
    pub today: i64,
    /// Opened before.
    pub his: i64,
    /// Of both, held by working closes.
    pub frozen: i64,
}

/// The lots of one symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Bought.
    pub long: SideLots,
    /// Sold.
    pub short: SideLots,
}

/// Positions by symbol; an entry without lots is one of zeros.
pub fn read_positions(positions: &Map<String, Value>) -> BTreeMap<String, Position> {
    let side = |p: &Value, side: &str| {
        let lots = |name: String| whole(p.get(name));
        let of = |when: &str| lots(format!("pos_{side}_{when}")).or_else(|| lots(format!("volume_{side}_{when}")));
        SideLots {
            today: of("today").unwrap_or(0),
            his: of("his").unwrap_or(0),
            frozen: lots(format!("volume_{side}_frozen")).unwrap_or(0),
        }
    };
    positions.iter().map(|(s, p)| (s.clone(), Position { long: side(p, "long"), short: side(p, "short") })).collect()
}

/// How an order closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseOffset {
    /// Lots of days before; anywhere but on SHFE and INE today's too.
    Close,
    /// Today's lots.
    CloseToday,
}

/// The orders that close `lots` of a side: SHFE and INE keep today's lots and those of days before apart.
///
/// # Errors
/// The lots that may be closed, if they are fewer.
pub fn close_legs(exchange: &str, held: SideLots, lots: i64) -> Result<Vec<(CloseOffset, i64)>, i64> {
    let free = (held.today + held.his - held.frozen).max(0);
    if lots > free || lots < 0 {
        return Err(free);
    }
    let legs = if matches!(exchange, "SHFE" | "INE") {
        let his = lots.min(held.his);
        vec![(CloseOffset::Close, his), (CloseOffset::CloseToday, lots - his)]
    } else {
        vec![(CloseOffset::Close, lots)]
    };
    Ok(legs.into_iter().filter(|(_, lots)| *lots > 0).collect())
}

/// A sum that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct SumAlert {
    /// The member, such as `balance` or `SHFE.cu2509.float_profit`.
    pub member: String,
    /// What the server says.
    pub told: f64,
    /// What the other members give.
    pub computed: f64,
}

/// The sums of an account's members.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccountSums {
    /// `pre_balance + deposit − withdraw`.
    pub static_balance: f64,
    /// `static_balance + close_profit + position_profit − commission + premium`.
    pub balance: f64,
    /// `balance` less margin and everything frozen.
    pub available: f64,
}

impl AccountSums {
    /// From an account's own members; a missing one counts 0.
    pub fn of(account: &Map<String, Value>) -> Self {
        let of = |name: &str| Some(number(account.get(name))).filter(|n| n.is_finite()).unwrap_or(0.0);
        let static_balance = of("pre_balance") + of("deposit") - of("withdraw");
        let profit = of("close_profit") + of("position_profit");
        let balance = static_balance + profit - of("commission") + of("premium");
        let frozen = of("frozen_margin") + of("frozen_commission") + of("frozen_premium");
        Self { static_balance, balance, available: balance - of("margin") - frozen }
    }
}

/// Checks an account against its own members and its positions; a member that is not there is not checked.
pub fn check_sums(account: &Map<String, Value>, positions: Option<&Map<String, Value>>) -> Vec<SumAlert> {
    let mut alerts = Vec::new();
    let mut check = |member: String, told: f64, computed: f64| {
        let bound = (TOLERANCE * told.abs().max(computed.abs())).max(SMALL_CNY);
        if told.is_finite() && computed.is_finite() && (told - computed).abs() > bound {
            alerts.push(SumAlert { member, told, computed });
        }
    };
    let told = |name: &str| number(account.get(name));
    let sums = AccountSums::of(account);
    check("static_balance".to_owned(), told("static_balance"), sums.static_balance);
    check("balance".to_owned(), told("balance"), sums.balance);
    check("available".to_owned(), told("available"), sums.available);
    if told("balance") != 0.0 {
        check("risk_ratio".to_owned(), told("risk_ratio"), told("margin") / told("balance"));
    }
    let Some(positions) = positions else { return alerts };
    for (symbol, position) in positions {
        let of = |name: &str| number(position.get(name));
        for (side, sign) in [("long", 1.0), ("short", -1.0)] {
            let of = |name: &str| of(&name.replace('S', side));
            let lots = of("pos_S_today") + of("pos_S_his");
            check(format!("{symbol}.volume_{side}"), of("volume_S"), lots);
            for kind in ["open", "position"] {
                let (price, cost) = (of(&format!("{kind}_price_S")), of(&format!("{kind}_cost_S")));
                // The multiplier is what makes cost of price and lots; with it the profit follows from the last price.
                let value = number(position.get("last_price")) * cost / price;
                let profit = if kind == "open" { "float_profit_S" } else { "position_profit_S" };
                if lots > 0.0 && price > 0.0 {
                    check(format!("{symbol}.{}", profit.replace('S', side)), of(profit), sign * (value - cost));
                }
            }
        }
        for sum in ["float_profit", "position_profit", "margin"] {
            let sides = of(&format!("{sum}_long")) + of(&format!("{sum}_short"));
            check(format!("{symbol}.{sum}"), of(sum), sides);
        }
    }
    for sum in ["float_profit", "position_profit", "margin"] {
        let all = positions.values().map(|p| number(p.get(sum))).filter(|n| n.is_finite()).sum();
        check(sum.to_owned(), told(sum), all);
    }
    alerts
}
