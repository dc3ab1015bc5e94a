use crate::fees_margin::rates;
use crate::{check_file, lots, number, text};
use ghtrader_exchange::{Account, AccountConfig, AccountState, Side, Terms, Trade};
use serde_json::{Value, json};

#[test]
fn every_case() {
    check_file("account.json", |op, input| match op {
        "account_days" => Ok(days(input)),
        other => panic!("unknown op {other}"),
    });
}

fn days(input: &Value) -> Value {
    let config = AccountConfig {
        large_side: input["large_side"].as_bool().unwrap(),
        ..AccountConfig::new(number(&input["initial_balance_cny"]))
    };
    let mut account = Account::new(config).unwrap();
    let product = &input["product"];
    let contract = account.add_contract(Terms {
        contract: format!("{}2602", product["product"].as_str().unwrap()).parse().unwrap(),
        multiplier: number(&product["multiplier"]),
        fees: rates(&product["fees"]),
        margin_rates: (number(&product["long_margin_rate"]), number(&product["short_margin_rate"])),
    });
    let mut results = Vec::new();
    for day in input["days"].as_array().unwrap() {
        for event in day["events"].as_array().unwrap() {
            if let Some(cny) = event.get("deposit_cny") {
                account.deposit(number(cny));
            } else if let Some(cny) = event.get("withdraw_cny") {
                account.deposit(-number(cny));
            } else {
                let trade = Trade {
                    contract,
                    side: text(&event["side"]),
                    offset: text(&event["offset"]),
                    lots: lots(&event["lots"]),
                    price_cny: number(&event["price_cny"]),
                    ts_ns: 0,
                };
                account.fill(&trade, &mut Vec::new());
            }
        }
        account.mark(contract, number(&day["mark_cny"]));
        let intraday = account.state();
        let line = account.equity_line(contract);
        let by_line = line.base_cny + line.units * number(&day["mark_cny"]);
        assert!((by_line - account.equity_cny()).abs() < 1e-6, "{by_line} {}", account.equity_cny());
        account.mark(contract, number(&day["settlement_cny"]));
        let settled = account.settle();
        let mut settled = state(&settled);
        for (key, side) in [("long_lots", Side::Buy), ("short_lots", Side::Sell)] {
            let (today, history) = account.lots(contract, side);
            settled[key] = json!(today + history);
        }
        results.push(json!({"intraday": state(&intraday), "settled": settled}));
    }
    json!(results)
}

fn state(s: &AccountState) -> Value {
    json!({
        "close_profit_cny": s.close_profit_cny,
        "position_profit_cny": s.position_profit_cny,
        "float_profit_cny": s.float_profit_cny,
        "commission_cny": s.commission_cny,
        "balance_cny": s.balance_cny,
        "margin_cny": s.margin_cny,
        "available_cny": s.available_cny,
        "risk_ratio": s.risk_ratio,
    })
}
