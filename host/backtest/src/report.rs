//! `report.json`: a result with everything that it depends on.

use crate::record::Record;
use crate::run::{DayData, RunResult};
use crate::spec::RunSpec;
use ghtrader_core::{Column, Problem, TradingDay};
use ghtrader_exchange::{SplitClass, SplitReport};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the document's form.
const SCHEMA_VERSION: u32 = 1;

/// A component as it was loaded.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentRecord {
    /// `role/name`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the artefact.
    pub digest: String,
    /// Every parameter, defaults included.
    pub params: Value,
}

/// What a report says beside the result itself.
#[derive(Debug, Clone, Default)]
pub struct ReportContext {
    /// Feature plugins, in order.
    pub features: Vec<ComponentRecord>,
    /// The model's digests by the first day they score; null if there is none.
    pub model: Value,
    /// The strategy plugin.
    pub strategy: Option<ComponentRecord>,
    /// Hash of the main schedule.
    pub schedule_hash: String,
    /// Warnings about the data.
    pub data_warnings: Vec<String>,
    /// Remarks for the reader.
    pub notes: Vec<String>,
}

/// The whole document, without timing: equal results give equal bytes.
///
/// # Errors
/// Never on a result of this room; a figure that JSON cannot hold would be an internal error.
pub fn report_json(
    spec: &RunSpec,
    days: &[DayData],
    result: &RunResult,
    context: &ReportContext,
) -> Result<Value, Problem> {
    let mut models = Map::new();
    for ((name, record, metrics), digest) in result.models.iter().zip(&result.model_digests) {
        let mut body = value(metrics)?;
        if let Value::Object(body) = &mut body {
            body.insert("output_digest".to_owned(), json!(digest));
            body.insert("params".to_owned(), json!({ "central_power": spec.fills.central_power }));
            body.insert("equity_daily".to_owned(), value(&record.days)?);
        }
        models.insert(name.as_str().to_owned(), body);
    }
    let mut notes = context.notes.clone();
    if !result.fees_confirmed {
        notes.push(
            "fees and margins are built-in rows without a checked source: no gate accepts this result".to_owned(),
        );
    }
    if result.models.iter().any(|(name, ..)| name.as_str() == "central") {
        notes.push("central_power is a guess until it is fitted on own live fills".to_owned());
    }
    let warnings = json!({
        "volume_unsplit": result.prepared.volume_unsplit,
        "volume_bounded": result.prepared.volume_bounded,
        "auction_rows": result.prepared.auction_rows,
        "closed_rows": result.prepared.closed_rows,
        "crossed_rows": result.prepared.crossed_rows,
        "gaps": result.prepared.gaps,
        "locked_rows": result.prepared.locked_rows,
        "data": context.data_warnings,
    });
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "result_digest": result.result_digest,
        "output_digest": result.output_digest,
        "engine": { "version": env!("CARGO_PKG_VERSION"), "target": std::env::consts::ARCH },
        "spec": value(spec)?,
        "lineup": {
            "features": value(&context.features)?,
            "model": context.model,
            "strategy": value(&context.strategy)?,
        },
        "data": {
            "manifest_digests": days.iter().map(|d| d.digest.to_string()).collect::<Vec<_>>(),
            "days": days.iter().map(|d| d.trading_day).collect::<Vec<_>>(),
            "contracts": result.contracts,
            "volume_lots": days.iter().map(volume_lots).collect::<Vec<_>>(),
            "rows": result.rows,
            "warnings": warnings,
            "volume_split": result.splits.iter().map(|(day, split)| volume_split_json(day, split)).collect::<Vec<_>>(),
        },
        "tables": { "schedule": context.schedule_hash, "confirmed": result.fees_confirmed },
        "bracket": bracket(&models),
        "fill_models": models,
        "notes": notes,
    }))
}

/// Lots that the market traded on a day, each trade once; null where no row says it.
fn volume_lots(day: &DayData) -> Option<f64> {
    let view = day.ticks.view();
    let last = view.float(Column::Volume).iter().rev().copied().find(|v| !v.is_nan())?;
    Some(if day.double_sided { last / 2.0 } else { last })
}

/// [low, central, high] of every figure of the three named models; null where one of them did not run.
fn bracket(models: &Map<String, Value>) -> Value {
    let of = |name: &str| models.get(name).and_then(Value::as_object);
    let (Some(low), Some(central), Some(high)) = (of("pessimistic"), of("central"), of("optimistic")) else {
        return Value::Null;
    };
    let figures = central.keys().filter_map(|key| {
        let legs = [low.get(key)?, central.get(key)?, high.get(key)?];
        let figure = legs.iter().all(|v| v.is_number() || v.is_null()) && legs.iter().any(|v| v.is_number());
        figure.then(|| (key.clone(), json!(legs)))
    });
    Value::Object(figures.collect())
}

/// How the volume of a day could be put to prices.
pub fn volume_split_json(day: &TradingDay, split: &SplitReport) -> Value {
    let by_class = |counts: &[u64; 4]| -> Map<String, Value> {
        SplitClass::ALL.iter().zip(counts).map(|(class, count)| (class.as_str().to_owned(), json!(count))).collect()
    };
    let known = |value: f64| (!value.is_nan()).then_some(value);
    let residual = &split.residual_cny;
    json!({
        "trading_day": day,
        "rows_with_volume": split.intervals.iter().sum::<u64>(),
        "intervals": by_class(&split.intervals),
        "lots": by_class(&split.lots),
        "within_rounding": split.within_rounding,
        "residual_cny": {
            "p50": known(residual.p50), "p90": known(residual.p90), "p99": known(residual.p99), "max": known(residual.max),
        },
    })
}

fn value<T: Serialize>(part: &T) -> Result<Value, Problem> {
    serde_json::to_value(part).map_err(|e| {
        Problem::new(
            "not_json",
            ghtrader_core::ErrorClass::Internal,
            format!("a result is no JSON: {e}"),
            "report this",
        )
    })
}

/// One line a trading day and fill model: `trading_day,model,equity_cny,pnl_cny,fees_cny,fills,lots,position_lots`.
pub fn equity_daily_csv(result: &RunResult) -> String {
    let mut text = String::from("trading_day,model,equity_cny,pnl_cny,fees_cny,fills,lots,position_lots\n");
    for (name, record, _) in &result.models {
        for d in &record.days {
            let (day, model) = (d.trading_day, name.as_str());
            let (equity, pnl, fees) = (d.equity_cny, d.pnl_cny, d.fees_cny);
            text.push_str(&format!("{day},{model},{equity},{pnl},{fees},{},{},{}\n", d.fills, d.lots, d.position_lots));
        }
    }
    text
}

/// Every fill of a model: `order_id,contract,trading_day,ts_ns,side,lots,price_cny,fee_cny,maker,position_lots`.
pub fn fills_csv(record: &Record, contracts: &[String]) -> String {
    let mut text =
        String::from("order_id,contract,trading_day,ts_ns,side,lots,price_cny,fee_cny,maker,position_lots\n");
    for f in &record.fills {
        let contract = contracts.get(f.contract as usize).map_or("", String::as_str);
        let side = if f.side == ghtrader_kernels::wire::Side::Buy { "buy" } else { "sell" };
        text.push_str(&format!(
            "{},{contract},{},{},{side},{},{},{},{},{}\n",
            f.order_id, f.trading_day, f.ts_ns, f.lots, f.price_cny, f.fee_cny, f.maker, f.position_lots
        ));
    }
    text
}
