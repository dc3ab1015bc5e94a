//! An account as the trading document shows it.

use crate::desk::{Desk, Fill, Held, Notice, Order};
use crate::tape::Tape;
use ghtrader_exchange::{Side, SideState};
use serde_json::{Map, Value, json};

/// A number; missing ones are `"-"`, never null, which would delete them.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!("-") }
}

/// `accounts.CNY`.
pub(crate) fn money(user: &str, desk: &Desk) -> Value {
    let state = desk.ledger.state();
    json!({
        "user_id": user,
        "currency": "CNY",
        "pre_balance": number(desk.pre_balance_cny),
        "deposit": number(desk.deposit_cny),
        "withdraw": number(desk.withdraw_cny),
        "static_balance": number(desk.ledger.static_cny()),
        "close_profit": number(state.close_profit_cny),
        "position_profit": number(state.position_profit_cny),
        "float_profit": number(state.float_profit_cny),
        "commission": number(state.commission_cny),
        "premium": 0.0,
        "balance": number(state.balance_cny),
        "margin": number(state.margin_cny),
        "frozen_margin": number(desk.ledger.held_margin_cny()),
        "frozen_commission": 0.0,
        "frozen_premium": 0.0,
        "available": number(desk.ledger.available_cny()),
        "risk_ratio": number(state.risk_ratio),
    })
}

/// `positions.SYMBOL`: whole, and zeros where nothing is held.
pub(crate) fn position(user: &str, desk: &Desk, tape: &Tape, series: usize, held: &Held) -> Value {
    let of = &tape.series[series];
    let mut fields = Map::new();
    let mut put = |name: String, value: Value| {
        fields.insert(name, value);
    };
    put("user_id".to_owned(), json!(user));
    put("exchange_id".to_owned(), json!(of.variety.exchange().as_str()));
    put("instrument_id".to_owned(), json!(of.contract.as_ref().map(|c| c.instrument())));
    let mark = desk.ledger.mark_cny(held.number);
    put("last_price".to_owned(), number(mark));
    let multiplier = of.spec.multiplier;
    let (mut float_profit, mut position_profit, mut margin) = (0.0, 0.0, 0.0);
    for (side, name, begun) in [(Side::Buy, "long", held.begun.0), (Side::Sell, "short", held.begun.1)] {
        let s: SideState = desk.ledger.side(held.number, side);
        let lots = s.today_lots + s.history_lots;
        let units = f64::from(lots) * multiplier;
        let price = |cost: f64| if lots == 0 { 0.0 } else { cost / units };
        let value = if lots == 0 { 0.0 } else { mark * units };
        let sign = f64::from(side.sign());
        let profits = (sign * (value - s.open_cost_cny), sign * (value - s.position_cost_cny));
        float_profit += profits.0;
        position_profit += profits.1;
        margin += s.margin_cny;
        for (field, value) in [
            (format!("pos_{name}_his"), s.history_lots),
            (format!("pos_{name}_today"), s.today_lots),
            (format!("volume_{name}_his"), s.history_lots),
            (format!("volume_{name}_today"), s.today_lots),
            (format!("volume_{name}"), lots),
            (format!("volume_{name}_yd"), begun),
            (format!("volume_{name}_frozen_his"), s.frozen_history_lots),
            (format!("volume_{name}_frozen_today"), s.frozen_today_lots),
            (format!("volume_{name}_frozen"), s.frozen_history_lots + s.frozen_today_lots),
        ] {
            put(field, json!(value));
        }
        for (field, value) in [
            (format!("open_cost_{name}"), s.open_cost_cny),
            (format!("open_price_{name}"), price(s.open_cost_cny)),
            (format!("position_cost_{name}"), s.position_cost_cny),
            (format!("position_price_{name}"), price(s.position_cost_cny)),
            (format!("float_profit_{name}"), profits.0),
            (format!("position_profit_{name}"), profits.1),
            (format!("margin_{name}"), s.margin_cny),
        ] {
            put(field, number(value));
        }
    }
    put("float_profit".to_owned(), number(float_profit));
    put("position_profit".to_owned(), number(position_profit));
    put("margin".to_owned(), number(margin));
    Value::Object(fields)
}

/// `orders.ID`.
pub(crate) fn order(user: &str, order: &Order) -> Value {
    json!({
        "user_id": user,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "exchange_id": order.exchange,
        "instrument_id": order.instrument,
        "direction": order.text.direction,
        "offset": order.text.offset,
        "volume_orign": order.lots,
        "volume_left": order.left,
        "price_type": order.text.price_type,
        "limit_price": number(order.limit_price.unwrap_or(f64::NAN)),
        "volume_condition": order.text.volume_condition,
        "time_condition": order.text.time_condition,
        "insert_date_time": order.insert_ns,
        "status": if order.alive { "ALIVE" } else { "FINISHED" },
        "last_msg": order.last_msg,
        "seqno": order.seqno,
    })
}

/// `trades.ID`.
pub(crate) fn fill(user: &str, fill: &Fill) -> Value {
    json!({
        "user_id": user,
        "trade_id": fill.trade_id,
        "order_id": fill.order_id,
        "exchange_trade_id": fill.trade_id,
        "exchange_id": fill.exchange,
        "instrument_id": fill.instrument,
        "direction": fill.direction,
        "offset": fill.offset,
        "price": number(fill.price),
        "volume": fill.lots,
        "trade_date_time": fill.ts_ns,
        "commission": number(fill.commission_cny),
        "seqno": fill.seqno,
    })
}

/// `notify.ID`.
pub(crate) fn notice(notice: &Notice) -> Value {
    json!({
        "type": notice.kind,
        "level": notice.level.as_str(),
        "code": notice.code,
        "content": notice.content,
    })
}
