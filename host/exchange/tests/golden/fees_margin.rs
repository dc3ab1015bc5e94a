use crate::{check_file, lots, number, text};
use ghtrader_core::{Exchange, TradingDay, Variety, is_double_sided};
use ghtrader_exchange::split::{Counts, normalise_counts};
use ghtrader_exchange::{
    CloseCheck, FeeRate, FeeRates, FeeRow, FeeTable, MarginPosition, RowKey, close_check, fee_cny, margin_cny,
};
use serde_json::{Value, json};

/// B-10, B-11, B-12
#[test]
fn every_case() {
    check_file("fees_margin.json", |op, input| match op {
        "fee" => fee(input),
        "normalise_counts" => counts(input),
        "close_check" => Ok(closing(input)),
        "margin" => Ok(margin(input)),
        other => panic!("unknown op {other}"),
    });
}

pub(crate) fn rates(row: &Value) -> FeeRates {
    let rate = |v: &Value| FeeRate { rate: number(&v["rate"]), per_lot_cny: number(&v["per_lot_cny"]) };
    FeeRates { open: rate(&row["open"]), close: rate(&row["close"]), close_today: rate(&row["close_today"]) }
}

fn fee(input: &Value) -> Result<Value, String> {
    let row = |row: &Value| FeeRow {
        key: RowKey {
            product: "cu".parse().unwrap(),
            contract_pattern: None,
            valid_from: text(&row["valid_from"]),
            valid_to: None,
            source: String::new(),
            confirmed: false,
        },
        rates: rates(row),
    };
    let table = FeeTable::new(input["rates"].as_array().unwrap().iter().map(row).collect());
    let trade = &input["trade"];
    let found = table.lookup(&"cu2602".parse().unwrap(), text(&trade["trading_day"])).map_err(|e| e.to_string())?;
    let rate = found.rates.of(text(&trade["offset"]));
    Ok(json!(fee_cny(rate, number(&trade["price_cny"]), number(&input["multiplier"]), lots(&trade["lots"]))))
}

fn counts(input: &Value) -> Result<Value, String> {
    let exchange: String = text(&input["exchange"]);
    let exchange: Exchange = format!("{exchange}.cu").parse::<Variety>().unwrap().exchange();
    let day: TradingDay = text(&input["trading_day"]);
    let raw = Counts {
        volume_lots: number(&input["volume_lots"]),
        amount_cny: number(&input["amount_cny"]),
        open_interest_lots: number(&input["open_interest_lots"]),
    };
    let one = normalise_counts(raw, is_double_sided(exchange, day)).map_err(|e| e.to_string())?;
    Ok(json!({
        "volume_lots": one.volume_lots,
        "amount_cny": one.amount_cny,
        "open_interest_lots": one.open_interest_lots,
    }))
}

fn closing(input: &Value) -> Value {
    let held = CloseCheck {
        today_lots: lots(&input["today_lots"]),
        history_lots: lots(&input["history_lots"]),
        frozen_today_lots: lots(&input["frozen_today_lots"]),
        frozen_history_lots: lots(&input["frozen_history_lots"]),
        separate_today: matches!(input["exchange"].as_str().unwrap(), "SHFE" | "INE"),
    };
    json!(if close_check(text(&input["offset"]), lots(&input["lots"]), held) { "ok" } else { "rejected" })
}

fn position(p: &Value) -> MarginPosition<'_> {
    let side = |today: &str, history: &str| {
        let today = p[today].as_array().unwrap().iter().map(|l| (number(&l[0]), lots(&l[1])));
        let history = (number(&p["pre_settlement_cny"]), lots(&p[history]));
        std::iter::once(history).chain(today).collect::<Vec<_>>().into_iter()
    };
    MarginPosition::new(
        p["product"].as_str().unwrap(),
        number(&p["multiplier"]),
        (number(&p["long_rate"]), number(&p["short_rate"])),
        side("long_today", "long_history_lots"),
        side("short_today", "short_history_lots"),
    )
}

fn margin(input: &Value) -> Value {
    let positions: Vec<_> = input["positions"].as_array().unwrap().iter().map(position).collect();
    json!({"margin_cny": margin_cny(&positions, input["large_side"].as_bool().unwrap())})
}
