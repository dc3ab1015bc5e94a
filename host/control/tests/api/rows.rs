//! Rows and queries over HTTP.

use crate::data::fill;
use crate::world::{Answer, World};
use axum::body::Body;
use ghtrader_control::Role;
use ghtrader_core::Column;
use ghtrader_store::{Dataset, Store as _};
use questdb_server::{Options, Server, command};
use serde_json::{Value, json};
use std::path::Path;

const ARROW: &str = "accept: application/vnd.apache.arrow.stream";
const CSV: &str = "accept: text/csv";
/// What an Arrow stream begins with, and what it ends with.
const BEGIN: [u8; 4] = [0xff; 4];
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

async fn ask(world: &World, path: &str, accept: &str) -> Answer {
    world.ask(&format!("GET {path}"), &[accept], Body::empty()).await
}

/// C-33: rows of a contract and of main_l5 are those that are stored, page by page, in each of the three forms.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_that_are_stored() {
    let world = World::new();
    let store = fill(&world);
    for (dataset, symbol) in [(Dataset::Ticks, "SHFE.cu2508"), (Dataset::MainL5, "KQ.m@SHFE.cu")] {
        let days = store.days(dataset, symbol).unwrap();
        let path = format!("/data/ticks?symbol={symbol}&from={}&to={}", days[1], days[2]);
        let (mut rows, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = world.get(&format!("{path}&limit=700{cursor}")).await;
            assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "application/json"), "{page:?}");
            assert_eq!((&page.body["dataset"], &page.body["symbol"]), (&json!(dataset), &json!(symbol)));
            rows.extend(page.body["rows"].as_array().unwrap().clone());
            pages += 1;
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let first = world.get(&format!("{path}&limit=1")).await.body;
        let names: Vec<&str> = first["columns"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        let at = |name: &str| names.iter().position(|n| *n == name).unwrap();
        let mut expected = 0;
        for day in &days[1..=2] {
            let stored = store.read_day(dataset, symbol, *day).unwrap();
            let view = stored.view();
            for row in 0..view.rows() {
                let found = &rows[expected];
                assert_eq!(found[at("trading_day")], day.to_string());
                assert_eq!(
                    (&found[at("seq")], &found[at("datetime_nano")]),
                    (&json!(view.seq[row]), &json!(view.ts_ns[row]))
                );
                for column in Column::floats() {
                    let value = view.float(column)[row];
                    let known = if value.is_nan() { Value::Null } else { json!(value) };
                    assert_eq!(found[at(column.name())], known, "{day} {row} {}", column.name());
                }
                expected += 1;
            }
        }
        assert_eq!((rows.len(), pages), (expected, expected.div_ceil(700)));
        assert_eq!(names.contains(&"underlying_contract"), dataset == Dataset::MainL5);

        let csv = ask(&world, &path, CSV).await;
        assert_eq!((csv.header("content-type"), csv.header("ghtrader-next-cursor")), ("text/csv", ""));
        let text = String::from_utf8(csv.bytes).unwrap();
        assert_eq!((text.lines().next().unwrap(), text.lines().count()), (names.join(",").as_str(), expected + 1));

        let arrow = ask(&world, &path, ARROW).await;
        assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
        assert!(arrow.bytes.starts_with(&BEGIN) && arrow.bytes.ends_with(&END) && arrow.bytes.len() > expected * 200);
        // A page of it says where the next one begins.
        let few = ask(&world, &format!("{path}&limit=5"), ARROW).await;
        let next = few.header("ghtrader-next-cursor");
        let behind = world.get(&format!("{path}&limit=1&cursor={next}")).await;
        assert_eq!(behind.body["rows"][0], rows[5]);
    }

    // One day, from a time on, some of the columns.
    let day = store.days(Dataset::Ticks, "SHFE.cu2508").unwrap()[0];
    let stored = store.read_day(Dataset::Ticks, "SHFE.cu2508", day).unwrap();
    let from_ns = stored.view().ts_ns[100];
    let path = format!("/data/ticks?symbol=SHFE.cu2508&day={day}&from_ns={from_ns}&columns=volume,last_price&limit=2");
    let few = world.get(&path).await.body;
    assert_eq!(few["columns"].as_array().unwrap()[6..], [json!("volume"), json!("last_price")]);
    assert!(few["rows"][0][4].as_i64().unwrap() >= from_ns && few["rows"].as_array().unwrap().len() == 2);
    // Nothing is behind the last row, in a form that has columns all the same.
    let late = format!("/data/ticks?symbol=SHFE.cu2508&day={day}&from_ns={}", i64::MAX);
    assert_eq!(world.get(&late).await.body["rows"], json!([]));
    assert!(ask(&world, &late, ARROW).await.bytes.ends_with(&END));
}

/// C-33, C-12, C-41
#[tokio::test(flavor = "multi_thread")]
async fn questions_for_rows_that_make_no_sense_are_refused() {
    let world = World::new();
    fill(&world);
    let one = "/data/ticks?symbol=SHFE.cu2508";
    for (path, status, code) in [
        ("/data/ticks", 400, "bad_query"),
        ("/data/ticks?symbol=cu25", 400, "bad_symbol"),
        ("/data/ticks?symbol=../../x", 400, "bad_symbol"),
        (&format!("{one}&day=2025"), 400, "bad_query"),
        (&format!("{one}&day=2025-07-01&to=2025-07-01"), 400, "bad_query"),
        (&format!("{one}&from=2025-07-02&to=2025-07-01"), 400, "bad_query"),
        (&format!("{one}&from_ns=x"), 400, "bad_query"),
        (&format!("{one}&more=1"), 400, "bad_query"),
        (&format!("{one}&columns=datetime"), 400, "unknown_column"),
        (&format!("{one}&columns=volume,volume"), 400, "unknown_column"),
        (&format!("{one}&limit=0"), 400, "limit_out_of_range"),
        (&format!("{one}&limit=10001"), 400, "limit_out_of_range"),
        (&format!("{one}&cursor=x"), 400, "bad_cursor"),
        (&format!("{one}&from=2030-01-01"), 400, "days_missing"),
        ("/data/ticks?symbol=SHFE.cu9901", 400, "days_missing"),
    ] {
        let answer = world.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path}");
    }
    // A cursor belongs to its symbol.
    let next = world.get(&format!("{one}&limit=1")).await.body["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("/data/ticks?symbol=SHFE.cu2509&cursor={next}")).await.code(), "bad_cursor");
    assert_eq!(ask(&world, &format!("{one}&limit=200001"), ARROW).await.code(), "limit_out_of_range");
    let none = ask(&world, one, "accept: image/png").await;
    assert_eq!((none.status.as_u16(), none.code()), (406, "not_acceptable"));
    let bare = world.ask_bare(&format!("GET {one}"), &[], Body::empty()).await;
    assert_eq!((bare.status.as_u16(), bare.code()), (401, "token_missing"));
}

async fn sql(world: &World, body: &Value) -> Answer {
    world.ask("POST /sql", &["content-type: application/json"], body.to_string()).await
}

/// C-34: whatever is no query is refused before anybody runs it.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_query_is_run() {
    let world = World::new();
    for statement in [
        "DELETE FROM ticks",
        "SELECT 1; DROP TABLE ticks",
        "COPY ticks TO 'x'",
        "/* SELECT */ DELETE FROM ticks",
        "SELECT 1 -- ;\n; DELETE FROM ticks",
        "",
    ] {
        let answer = sql(&world, &json!({ "query": statement })).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "sql_not_read_only"), "{statement}");
    }
    for (body, status, code) in [
        (json!({}), 422, "bad_body"),
        (json!({ "query": "SELECT 1", "argv": [] }), 422, "bad_body"),
        (json!({ "query": "SELECT 1", "limit": 0 }), 400, "limit_out_of_range"),
        (json!({ "query": "SELECT 1", "limit": 10_001 }), 400, "limit_out_of_range"),
        (json!({ "query": "SELECT 1", "timeout_s": 61 }), 400, "limit_out_of_range"),
        (json!({ "query": "SELECT 1", "timeout_s": 0 }), 400, "limit_out_of_range"),
    ] {
        let answer = sql(&world, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}");
    }
    assert_eq!(world.get("/sql").await.code(), "method_not_allowed");
    let bare = world.ask_bare("POST /sql", &["content-type: application/json"], "{\"query\": \"SELECT 1\"}").await;
    assert_eq!(bare.code(), "token_missing");
}

/// C-34, P-38: a viewer may ask; rows come with names and types, a slow query ends with its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_answered_by_the_server_of_the_store() {
    let options = Options { small: true, throw_away: true, ..Options::default() };
    if let Err(why) = command(Path::new("."), 1, &options) {
        eprintln!("skipped: {why}");
        return;
    }
    let folder = tempfile::Builder::new().prefix("questdb").tempdir().unwrap().keep();
    let server = Server::start(&folder, &options).unwrap();
    let world = World::with(|config| {
        let settings = config.settings.clone().with_text("store.backend", "questdb");
        config.settings = settings.with_text("store.questdb_url", &server.url());
    });
    let bearer = format!("authorization: Bearer {}", world.token(Role::Viewer));
    let headers = [bearer.as_str(), "content-type: application/json"];
    let body = json!({ "query": "SELECT x, x * 0.5 AS half FROM long_sequence(5)", "limit": 3 }).to_string();
    let answer = world.ask_bare("POST /sql", &headers, body).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(answer.body["columns"], json!([{ "name": "x", "type": "LONG" }, { "name": "half", "type": "DOUBLE" }]));
    assert_eq!(
        (&answer.body["rows"], &answer.body["truncated"]),
        (&json!([[1, 0.5], [2, 1.0], [3, 1.5]]), &json!(true))
    );
    assert!(answer.body["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(sql(&world, &json!({ "query": "SELECT count() AS n FROM ticks" })).await.body["rows"], json!([[0]]));
    let wrong = sql(&world, &json!({ "query": "SELECT nothing FROM ticks" })).await;
    assert_eq!((wrong.status.as_u16(), wrong.code()), (422, "sql_failed"));
    let slow = "SELECT count() FROM long_sequence(1000000) a CROSS JOIN long_sequence(1000000) b WHERE a.x + b.x < 0";
    let late = sql(&world, &json!({ "query": slow, "timeout_s": 0.2 })).await;
    assert_eq!((late.status.as_u16(), late.code()), (408, "sql_timeout"));
}
