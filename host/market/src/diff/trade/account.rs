//! Positions, and the sums that an account has to keep.

use crate::diff::value::{number, whole};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Share of the larger number by which two sums may differ: what is left of the digits of an f64.
const TOLERANCE: f64 = 1e-9;
/// The same in CNY for small sums.
const SMALL_CNY: f64 = 1e-6;

/// Lots of one side of a position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SideLots {
    /// Opened on this trading day.
    pub today: i64,
    /// Opened before.
    pub his: i64,
    /// Of today's, held by working closes.
    pub frozen_today: i64,
    /// Of those before, held by working closes.
    pub frozen_his: i64,
}

impl SideLots {
    /// Lots that no working close holds.
    pub const fn free(self) -> i64 {
        let free = self.today + self.his - self.frozen_today - self.frozen_his;
        if free < 0 { 0 } else { free }
    }
}

/// The lots of one symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
        let held = |when: &str| lots(format!("volume_{side}_frozen_{when}"));
        let (today, his) = (of("today").unwrap_or(0), of("his").unwrap_or(0));
        // A server that does not tell them apart: today's lots, which can be closed by one word everywhere, come first.
        let all = lots(format!("volume_{side}_frozen")).unwrap_or(0);
        let frozen_today = held("today").unwrap_or_else(|| all.min(today));
        SideLots { today, his, frozen_today, frozen_his: held("his").unwrap_or(all - frozen_today).max(0) }
    };
    positions.iter().map(|(s, p)| (s.clone(), Position { long: side(p, "long"), short: side(p, "short") })).collect()
}

/// One side of one symbol, with its money.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holding {
    /// Such as `SHFE.cu2509`.
    pub symbol: String,
    /// `long` or `short`.
    pub side: &'static str,
    /// Today's and his lots.
    #[serde(flatten)]
    pub lots: SideLots,
    /// Mean price at which they were opened, CNY per quoted unit.
    pub open_price: f64,
    /// Mean price at which they stand in the books: the last settlement for his lots.
    pub position_price: f64,
    /// CNY per quoted unit.
    pub last_price: f64,
    /// CNY since they were opened.
    pub float_profit: f64,
    /// CNY since the last settlement.
    pub position_profit: f64,
    /// CNY.
    pub margin: f64,
}

/// The sides that have lots, by symbol, long before short.
pub fn read_holdings(positions: &Map<String, Value>) -> Vec<Holding> {
    let lots = read_positions(positions);
    let mut holdings = Vec::new();
    for (symbol, position) in positions {
        let Some(held) = lots.get(symbol) else { continue };
        for (side, lots) in [("long", held.long), ("short", held.short)] {
            let of = |name: &str| number(position.get(format!("{name}_{side}")));
            if lots.today + lots.his != 0 {
                holdings.push(Holding {
                    symbol: symbol.clone(),
                    side,
                    lots,
                    open_price: of("open_price"),
                    position_price: of("position_price"),
                    last_price: number(position.get("last_price")),
                    float_profit: of("float_profit"),
                    position_profit: of("position_profit"),
                    margin: of("margin"),
                });
            }
        }
    }
    holdings.sort_by(|a, b| (&a.symbol, a.side).cmp(&(&b.symbol, b.side)));
    holdings
}

/// The money of an account, CNY; NaN where the server does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the protocol's words; their sums stand at `AccountSums`")]
pub struct Money {
    pub pre_balance: f64,
    pub deposit: f64,
    pub withdraw: f64,
    pub static_balance: f64,
    pub close_profit: f64,
    pub position_profit: f64,
    pub float_profit: f64,
    pub commission: f64,
    pub premium: f64,
    pub balance: f64,
    pub margin: f64,
    pub frozen_margin: f64,
    pub frozen_commission: f64,
    pub frozen_premium: f64,
    pub available: f64,
    pub risk_ratio: f64,
}

impl Money {
    /// From an account's members.
    pub fn of(account: &Map<String, Value>) -> Self {
        let of = |name: &str| number(account.get(name));
        Self {
            pre_balance: of("pre_balance"),
            deposit: of("deposit"),
            withdraw: of("withdraw"),
            static_balance: of("static_balance"),
            close_profit: of("close_profit"),
            position_profit: of("position_profit"),
            float_profit: of("float_profit"),
            commission: of("commission"),
            premium: of("premium"),
            balance: of("balance"),
            margin: of("margin"),
            frozen_margin: of("frozen_margin"),
            frozen_commission: of("frozen_commission"),
            frozen_premium: of("frozen_premium"),
            available: of("available"),
            risk_ratio: of("risk_ratio"),
        }
    }
}

/// A sum that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SumAlert {
    /// The member, such as `balance` or `SHFE.cu2509.float_profit`.
    pub member: String,
    /// What the server says.
    pub told: f64,
    /// What the other members give.
    pub computed: f64,
}

impl std::fmt::Display for SumAlert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is told as {}, the other members give {}", self.member, self.told, self.computed)
    }
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
