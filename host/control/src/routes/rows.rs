//! `/data/ticks`: stored rows, page by page, in the form that the client accepts.

use super::data::symbol;
use crate::app::App;
use crate::document::ReadErrors;
use crate::extract::ApiQuery;
use crate::listing::{opened, sealed};
use crate::refusal::Refusal;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use ghtrader_core::{Column, ErrorClass, Problem, TradingDay};
use ghtrader_pipeline::{RowPlace, RowsForm, RowsPage, RowsQuery, open_store, rows_page};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

/// Rows of a page: the usual number and the largest, in JSON and in the other forms.
const JSON_ROWS: (usize, usize) = (1_000, 10_000);
const OTHER_ROWS: (usize, usize) = (100_000, 200_000);
/// What a client sends to get a form.
const FORMS: [(&str, RowsForm); 3] = [
    ("application/json", RowsForm::Json),
    ("text/csv", RowsForm::Csv),
    ("application/vnd.apache.arrow.stream", RowsForm::Arrow),
];
/// Where the next page begins, for answers without a place for it.
const NEXT: &str = "ghtrader-next-cursor";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicksQuery {
    /// A contract such as SHFE.cu2602: its ticks; or a continuous symbol such as KQ.m@SHFE.cu: main_l5.
    symbol: String,
    /// One trading day, `YYYY-MM-DD`, instead of `from` and `to`.
    day: Option<String>,
    /// First trading day; all if absent.
    from: Option<String>,
    /// Last trading day; all if absent.
    to: Option<String>,
    /// Rows from this exchange time on, ns.
    #[param(value_type = Option<i64>)]
    from_ns: Option<String>,
    /// Columns of values, by comma; all if absent.
    columns: Option<String>,
    /// Rows of the page: in JSON 1000, at most 10000; in CSV and Arrow 100000, at most 200000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200_000)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn bad(what: String, remedy: &'static str, value: &str) -> Refusal {
    Refusal::new("bad_query", ErrorClass::User, what, remedy).value(value)
}

fn day(name: &'static str, text: Option<&str>) -> Result<Option<TradingDay>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let day = text
        .parse()
        .map_err(|_| bad(format!("{name} = {} is no day", text.escape_debug()), "write YYYY-MM-DD", text))?;
    Ok(Some(day))
}

fn columns(names: Option<&str>) -> Result<Vec<Column>, Refusal> {
    let mut columns = Vec::new();
    for name in names.into_iter().flat_map(|names| names.split(',')) {
        const REMEDY: &str = "name columns of values, each once, such as last_price,bid_price1";
        let column = Column::from_name(name).filter(|c| *c != Column::Datetime && !columns.contains(c));
        columns.push(column.ok_or_else(|| {
            let what = format!("`{}` is no column of values, or stands twice", name.escape_debug());
            Refusal::new("unknown_column", ErrorClass::User, what, REMEDY).value(name)
        })?);
    }
    Ok(columns)
}

/// The form that a client wants most of those there are; JSON if it names none.
fn form(headers: &HeaderMap) -> Result<RowsForm, Refusal> {
    let mut best: Option<(f32, RowsForm)> = None;
    let mut named = false;
    for part in headers.get_all("accept").iter().flat_map(|v| v.to_str().unwrap_or("?").split(',')) {
        named = true;
        let mut parts = part.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
        let fits = |form: &&(&str, RowsForm)| {
            let (group, _) = form.0.split_once('/').unwrap_or_default();
            kind == form.0 || kind == "*/*" || kind.strip_suffix("/*") == Some(group)
        };
        if let Some((_, form)) = FORMS.iter().find(fits)
            && weight > 0.0
            && best.is_none_or(|(before, _)| weight > before)
        {
            best = Some((weight, *form));
        }
    }
    match best {
        Some((_, form)) => Ok(form),
        None if !named => Ok(RowsForm::Json),
        None => Err(Refusal::new(
            "not_acceptable",
            ErrorClass::User,
            "rows are not given in the form that Accept names",
            format!("accept one of {}", FORMS.map(|(name, _)| name).join(", ")),
        )),
    }
}

fn limit(given: Option<&str>, form: RowsForm) -> Result<usize, Refusal> {
    let (usual, most) = if form == RowsForm::Json { JSON_ROWS } else { OTHER_ROWS };
    let Some(text) = given else { return Ok(usual) };
    text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        let what = format!("limit = {} lies outside [1, {most}]", text.escape_debug());
        let remedy = format!("ask for 1 to {most} rows and follow {NEXT} or next_cursor");
        Refusal::new("limit_out_of_range", ErrorClass::User, what, remedy).value(text).bound(format!("[1, {most}]"))
    })
}

/// The row behind which a page begins. A cursor belongs to its symbol.
fn place(list: &str, cursor: &str) -> Result<RowPlace, Refusal> {
    let key = opened(list, cursor)?;
    let parts = key.split_once(' ').and_then(|(day, seq)| Some((day.parse().ok()?, seq.parse().ok()?)));
    let (trading_day, seq) = parts.ok_or_else(|| {
        let remedy = "send next_cursor of the page before as it was";
        Refusal::new("bad_cursor", ErrorClass::User, "the cursor names no row", remedy).value(cursor)
    })?;
    Ok(RowPlace { trading_day, seq })
}

/// Stored rows of a symbol in their order: JSON, CSV or an Arrow stream, as `Accept` says.
///
/// Beside the values a row has symbol, trading_day, seq, datetime (UTC), datetime_nano and phase; of a continuous symbol also
/// underlying_contract and segment_id. In CSV and Arrow the header `ghtrader-next-cursor` is there while there are more rows.
#[utoipa::path(get, path = "/data/ticks", tag = "data", params(TicksQuery),
    responses((status = 200, description = "Rows",
        content((Object = "application/json", example = json!({"dataset": "ticks", "symbol": "SHFE.cu2602", "columns": ["…"], "rows": [["…"]], "next_cursor": "…"})),
            (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"))),
        ReadErrors,
        (status = 400, description = "bad_query, bad_symbol, unknown_column, limit_out_of_range, bad_cursor, days_missing", body = crate::refusal::ProblemBody, content_type = "application/problem+json"),
        (status = 406, description = "not_acceptable", body = crate::refusal::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn get_ticks(
    State(app): State<App>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<TicksQuery>,
) -> Result<Response, Refusal> {
    let form = form(&headers)?;
    let (symbol, _) = symbol(&query.symbol)?;
    let (mut from, mut to) = (day("from", query.from.as_deref())?, day("to", query.to.as_deref())?);
    if let Some(text) = &query.day {
        if from.or(to).is_some() {
            return Err(bad("give either day or from and to, not both".to_owned(), "ask for ?day=YYYY-MM-DD", text));
        }
        from = day("day", Some(text))?;
        to = from;
    }
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(bad(format!("{from} lies after {to}"), "give the earlier day first", &from.to_string()));
    }
    let from_ns = query.from_ns.as_deref().map(|text| {
        text.parse::<i64>()
            .map_err(|_| bad(format!("from_ns = {} is no time", text.escape_debug()), "give whole ns", text))
    });
    let (from_ns, columns, limit) =
        (from_ns.transpose()?, columns(query.columns.as_deref())?, limit(query.limit.as_deref(), form)?);
    let list = format!("ticks {symbol}");
    let after = query.cursor.as_deref().map(|cursor| place(&list, cursor)).transpose()?;
    let page = app
        .reading(move |app| {
            let store = open_store(&app.config.root, &app.config.settings).map_err(Problem::from)?;
            let query = RowsQuery { symbol: &symbol, from, to, from_ns, after, columns, limit };
            Ok(rows_page(&*store, &query, form).map_err(Problem::from)?)
        })
        .await?;
    let next = page.next.map(|next| sealed(&list, &format!("{} {}", next.trading_day, next.seq)));
    Ok(answer(page, form, next))
}

fn answer(page: RowsPage, form: RowsForm, next: Option<String>) -> Response {
    let mut response = if form == RowsForm::Json {
        // The rows are JSON already, and by far the largest part.
        let mut head = json!({ "dataset": page.dataset, "symbol": page.symbol, "columns": page.columns });
        if let Some(next) = &next {
            head["next_cursor"] = json!(next);
        }
        let mut body = head.to_string().into_bytes();
        body.pop();
        body.extend_from_slice(b",\"rows\":");
        body.extend_from_slice(&page.bytes);
        body.push(b'}');
        body.into_response()
    } else {
        page.bytes.into_response()
    };
    let kind = FORMS.iter().find(|(_, known)| *known == form).map_or("application/octet-stream", |(name, _)| name);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(kind));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    headers.insert("vary", HeaderValue::from_static("accept"));
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        headers.insert(NEXT, next);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-33
    #[test]
    fn the_form_is_the_one_that_is_wanted_most() {
        let check = |accept: &[&'static str], expected: Option<RowsForm>| {
            let headers = accept.iter().map(|v| ("accept".parse().unwrap(), HeaderValue::from_static(v))).collect();
            assert_eq!(form(&headers).ok(), expected, "{accept:?}");
        };
        check(&[], Some(RowsForm::Json));
        check(&["*/*"], Some(RowsForm::Json));
        check(&["text/*"], Some(RowsForm::Csv));
        check(&["application/vnd.apache.arrow.stream"], Some(RowsForm::Arrow));
        check(&["application/json;q=0.5, Application/Vnd.Apache.Arrow.Stream"], Some(RowsForm::Arrow));
        check(&["text/html, text/csv;q=0.1"], Some(RowsForm::Csv));
        check(&["text/html", "application/json; q=0.2"], Some(RowsForm::Json));
        check(&["image/png"], None);
        check(&["application/json;q=0"], None);
        check(&["text/csv;q=x"], None);
    }
}
