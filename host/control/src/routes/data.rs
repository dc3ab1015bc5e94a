//! `/data`: what is stored and whether it can be relied on. Each answer is that of the command of its name.

use crate::app::App;
use crate::document::ReadErrors;
use crate::extract::ApiQuery;
use crate::refusal::Refusal;
use crate::reply::{Reply, ok};
use axum::extract::State;
use ghtrader_core::{ContractTable, ErrorClass, Problem, Variety};
use ghtrader_pipeline::{Coverage, Inspection, open_store, resolve};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct VarietyQuery {
    /// Product, such as cu.
    variety: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoverageQuery {
    /// Product, such as cu.
    variety: String,
    /// `ticks` or `main_l5`; both if absent.
    dataset: Option<String>,
    /// One contract or continuous symbol; all if absent.
    symbol: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SummaryQuery {
    /// Product, such as cu: its continuous symbol.
    variety: Option<String>,
    /// A contract instead, such as SHFE.cu2602.
    symbol: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct GapsQuery {
    /// Product, such as cu.
    variety: String,
    /// Gaps that are given, the longest first.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
}

/// Blanks and line ends around a name are forgiven on a command line; in a query they are a client's mistake, and would be
/// repeated in logs.
fn plain<'a>(name: &'a str, remedy: &'static str) -> Result<&'a str, Refusal> {
    if name.bytes().all(|c| c.is_ascii_graphic()) {
        return Ok(name);
    }
    let what = format!("`{}` has a character that no name has", name.escape_debug());
    Err(Refusal::new("bad_symbol", ErrorClass::User, what, remedy).value(name))
}

pub(super) fn symbol(name: &str) -> Result<(String, Variety), Refusal> {
    const REMEDY: &str = "name a contract such as SHFE.cu2602, or a continuous symbol such as KQ.m@SHFE.cu";
    let (_, symbol, variety) =
        resolve(plain(name, REMEDY)?).map_err(|e| Refusal::from(Problem::from(e)).value(name))?;
    Ok((symbol, variety))
}

fn variety(name: &str) -> Result<Variety, Refusal> {
    plain(name, "name a product such as cu")?.parse().map_err(|e: ghtrader_core::SymbolError| {
        Refusal::new("bad_symbol", ErrorClass::User, e.to_string(), "name a product such as cu").value(name)
    })
}

/// Looks at the store beside the requests.
async fn look<T: Serialize + Send + 'static>(
    app: &App,
    at: impl FnOnce(&Inspection<'_>) -> Result<T, Problem> + Send + 'static,
) -> Result<Reply, Refusal> {
    app.blocking(move |app| {
        let store = open_store(&app.config.root, &app.config.settings).map_err(Problem::from)?;
        let (settings, calendar) = (&app.config.settings, &app.config.calendar);
        let inspection = Inspection { store: &*store, settings, calendar, table: ContractTable::builtin() };
        Ok(ok(&at(&inspection)?))
    })
    .await
}

/// What each symbol of a product covers, as `ghtrader data coverage`.
#[utoipa::path(get, path = "/data/coverage", tag = "data", params(CoverageQuery),
    responses((status = 200, description = "`{variety, symbols: [{dataset, symbol, first_day, first_l5_day, last_day, days_expected, days_present, days_missing, completeness, rows, l5_share, clean_share, days_behind}]}`", body = Object), ReadErrors))]
pub(crate) async fn get_coverage(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<CoverageQuery>,
) -> Result<Reply, Refusal> {
    let variety = variety(&query.variety)?;
    let dataset = query.dataset.as_deref().map(|name| {
        Coverage::dataset(name).ok_or_else(|| {
            let what = format!("`{}` is no dataset", name.escape_debug());
            Refusal::new("bad_query", ErrorClass::User, what, "ask for dataset=ticks or dataset=main_l5").value(name)
        })
    });
    let dataset = dataset.transpose()?;
    let only = query.symbol.as_deref().map(symbol).transpose()?;
    if let Some((symbol, of)) = only.as_ref().filter(|(_, of)| *of != variety) {
        let what = format!("{symbol} is a symbol of {of}, not of {variety}");
        return Err(Refusal::new("bad_query", ErrorClass::User, what, "ask for the symbol's own product")
            .value(symbol.as_str()));
    }
    look(&app, move |store| {
        let mut symbols = store.coverage(&variety)?;
        symbols.retain(|c| {
            dataset.is_none_or(|dataset| dataset == c.dataset)
                && only.as_ref().is_none_or(|(symbol, _)| *symbol == c.symbol)
        });
        Ok(json!({ "variety": variety, "symbols": symbols }))
    })
    .await
}

/// Whether a product's main_l5 can be relied on, as `ghtrader data readiness`.
#[utoipa::path(get, path = "/data/quality/readiness", tag = "data", params(VarietyQuery),
    responses((status = 200, description = "`{symbol, schedule_hash, state: {engineering, policy, source, overall, ok, reason_code}, action_hint, days_expected, days_missing, ticks_missing, first_day, last_day, days_behind, half_missing_rate, missing_rate, clean_rate, gap_buckets, gaps_over_30_s, max_gap_s, segments_per_day, outside_s, end_lag_s}`", body = Object), ReadErrors))]
pub(crate) async fn get_readiness(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<VarietyQuery>,
) -> Result<Reply, Refusal> {
    let variety = variety(&query.variety)?;
    look(&app, move |store| store.readiness(&variety)).await
}

/// The worst days of a product's main_l5, as `ghtrader data validate`.
#[utoipa::path(get, path = "/data/quality/anomalies", tag = "data", params(VarietyQuery),
    responses((status = 200, description = "The verdict, its counts and limits, and the worst days with their gaps", body = Object), ReadErrors))]
pub(crate) async fn get_anomalies(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<VarietyQuery>,
) -> Result<Reply, Refusal> {
    let variety = variety(&query.variety)?;
    look(&app, move |store| store.anomalies(&variety)).await
}

/// The limits that hold for a product with their origins, as `ghtrader data validate --profile`.
#[utoipa::path(get, path = "/data/quality/profile", tag = "data", params(VarietyQuery),
    responses((status = 200, description = "`{product, limits: {KEY: {value, key, origin}}}`", body = Object), ReadErrors))]
pub(crate) async fn get_profile(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<VarietyQuery>,
) -> Result<Reply, Refusal> {
    let variety = variety(&query.variety)?;
    look(&app, move |store| store.profile(&variety)).await
}

/// Facts and field quality by day, as `ghtrader data field-quality`.
#[utoipa::path(get, path = "/data/quality/summary", tag = "data", params(SummaryQuery),
    responses((status = 200, description = "`{symbol, days: [{trading_day, sha256, rows, rows_with_l5, clean_rows, quality, …}]}`", body = Object), ReadErrors))]
pub(crate) async fn get_summary(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<SummaryQuery>,
) -> Result<Reply, Refusal> {
    let symbol = match (query.symbol, query.variety) {
        (Some(name), None) => symbol(&name)?.0,
        (None, Some(name)) => variety(&name)?.main_symbol(),
        (given, _) => {
            let what = match given {
                Some(_) => "give either variety or symbol, not both",
                None => "either variety or symbol is needed",
            };
            return Err(Refusal::new(
                "bad_query",
                ErrorClass::User,
                what,
                "ask for ?variety=cu or ?symbol=SHFE.cu2602",
            ));
        }
    };
    look(&app, move |store| {
        let (symbol, days) = store.days(&symbol)?;
        Ok(json!({ "symbol": symbol, "days": days }))
    })
    .await
}

/// The gaps of a product's main_l5, the longest first, as `ghtrader data gaps`.
#[utoipa::path(get, path = "/data/quality/gaps", tag = "data", params(GapsQuery),
    responses((status = 200, description = "`{variety, gaps: [{trading_day, night, start_s, end_s, seconds}], total}`", body = Object), ReadErrors))]
pub(crate) async fn get_gaps(State(app): State<App>, ApiQuery(query): ApiQuery<GapsQuery>) -> Result<Reply, Refusal> {
    let variety = variety(&query.variety)?;
    let limit = crate::listing::limit(query.limit.as_deref())?;
    look(&app, move |store| {
        let mut gaps = store.gaps(&variety)?;
        let total = gaps.len();
        gaps.truncate(limit);
        Ok(json!({ "variety": variety, "gaps": gaps, "total": total }))
    })
    .await
}
