//! Questions about instruments, and what an answer says.

use super::value::{number, whole};
use ghtrader_core::{TradingDay, Variety};
use serde_json::Value;

/// One instrument of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// Symbol with exchange, such as `SHFE.cu2509`.
    pub symbol: String,
    /// `FUTURE`, `CONT`, `INDEX`, `OPTION` or `COMBINE`.
    pub class: String,
    /// Smallest price step; NaN if the server does not say.
    pub price_tick: f64,
    /// Quoted units of a lot; NaN if the server does not say.
    pub multiplier: f64,
    /// Its life is over.
    pub expired: bool,
    /// End of its life, ns since the epoch.
    pub expires_ns: Option<i64>,
    /// The trading day that the source is in; `None` if it does not say.
    pub trading_day: Option<TradingDay>,
    /// The contract that a continuous symbol stands for.
    pub underlying: Option<String>,
}

/// Members that are asked for; servers name types as the interfaces that they belong to.
const SELECTION: &str = "{ ... on basic { instrument_id exchange_id class price_tick trading_day } \
    ... on tradeable { volume_multiple } \
    ... on future { expired product_id expire_datetime } \
    ... on derivative { underlying { count edges { node { ... on basic { instrument_id } } } } } }";

fn quoted(texts: &[&str]) -> String {
    // The texts of GraphQL are quoted as those of JSON.
    let list: Vec<String> = texts.iter().map(|t| Value::from(*t).to_string()).collect();
    format!("[{}]", list.join(","))
}

/// The query about symbols by name.
pub fn symbols_query(symbols: &[&str]) -> String {
    format!("query {{ multi_symbol_info(instrument_id: {}) {SELECTION} }}", quoted(symbols))
}

/// The query about all contracts of a product, those that have expired too.
pub fn contracts_query(variety: &Variety) -> String {
    let (exchange, product) = (quoted(&[variety.exchange().as_str()]), quoted(&[variety.product()]));
    format!(
        "query {{ multi_symbol_info(class: [FUTURE], exchange_id: {exchange}, product_id: {product}) {SELECTION} }}"
    )
}

/// The instruments of an answer's `result`; entries without a name are left out.
pub fn read_instruments(result: &Value) -> Vec<Instrument> {
    let entries = result.get("multi_symbol_info").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(read_instrument).collect()
}

fn read_instrument(entry: &Value) -> Option<Instrument> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let underlying = entry.pointer("/underlying/edges/0/node/instrument_id").and_then(Value::as_str);
    Some(Instrument {
        symbol: text("instrument_id").filter(|s| !s.is_empty())?,
        class: text("class").unwrap_or_default(),
        price_tick: number(entry.get("price_tick")),
        multiplier: number(entry.get("volume_multiple")),
        expired: entry.get("expired").and_then(Value::as_bool).unwrap_or(false),
        expires_ns: whole(entry.get("expire_datetime")),
        trading_day: text("trading_day").and_then(|t| t.parse().ok()),
        underlying: underlying.map(str::to_owned),
    })
}
