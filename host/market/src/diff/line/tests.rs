use super::*;
use crate::diff::chart::Window;
use serde_json::json;

const S: fn(u64) -> Duration = Duration::from_secs;

fn line() -> MarketLine {
    let mut line = MarketLine::new(LineLimits::default());
    line.opened(S(0));
    line
}

fn frames(line: &mut MarketLine) -> Vec<Value> {
    std::iter::from_fn(|| line.take_frame()).map(|f| serde_json::from_str(&f).unwrap()).collect()
}

fn events(line: &mut MarketLine) -> Vec<LineEvent> {
    std::iter::from_fn(|| line.take_event()).collect()
}

fn data(line: &mut MarketLine, patches: Value, now: u64) {
    line.receive(&json!({ "aid": "rtn_data", "data": patches }).to_string(), S(now)).unwrap();
}

fn peeks(frames: &[Value]) -> usize {
    frames.iter().filter(|f| f["aid"] == "peek_message").count()
}

/// DC-02
#[test]
fn one_peek_is_out_and_the_next_follows_the_owners_word() {
    let mut line = line();
    assert_eq!(peeks(&frames(&mut line)), 1);
    line.peek();
    line.peek();
    assert_eq!(peeks(&frames(&mut line)), 0, "one is out");
    data(&mut line, json!([{"a": 1}]), 1);
    assert_eq!(peeks(&frames(&mut line)), 0, "nothing is asked for before the owner has used what came");
    line.peek();
    line.peek();
    assert_eq!(peeks(&frames(&mut line)), 1);
    line.closed();
    line.peek();
    assert_eq!(peeks(&frames(&mut line)), 0);
}

/// DC-03
#[test]
fn transactions_that_nobody_asked_for_and_repeats_are_taken() {
    let mut line = line();
    for _ in 0..2 {
        data(
            &mut line,
            json!([{"ticks": {"S": {"last_id": 1, "data": {"0": {"datetime": 1}, "1": {"datetime": 2}}}}}]),
            1,
        );
    }
    data(&mut line, json!([{"ticks": {"S": {"last_id": 2, "data": {"2": {"datetime": 3}}}}}]), 1);
    let rows = line.document().rows(&["ticks", "S"], 0, 9);
    assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(line.document().transactions(), 3);
}

/// DC-05, DC-26
#[test]
fn a_transaction_is_applied_whole_or_not_at_all() {
    let mut line = line();
    data(&mut line, json!([{"a": 1, "b": 1}]), 1);
    let bad = json!({ "aid": "rtn_data", "data": [{"a": 2}, {"b": 2}, "x"] }).to_string();
    assert!(line.receive(&bad, S(1)).is_err());
    assert_eq!((line.document().get(&["a"]), line.document().get(&["b"])), (Some(&json!(1)), Some(&json!(1))));
    // Later patches of one transaction win, and no event is told between two of them.
    line.set_chart(ChartRequest::ticks("c", "S", 5, Window::From(0)), S(1));
    let state: Value = serde_json::from_str(&ChartRequest::ticks("c", "S", 5, Window::From(0)).frame()).unwrap();
    let early = json!({"charts": {"c": {"state": state, "left_id": 0, "right_id": 4, "ready": true, "more_data": false}},
                       "ticks": {"S": {"last_id": 0, "data": {"0": {"datetime": 1}}}}});
    let late = json!({"charts": {"c": {"ready": false, "more_data": true}}});
    data(&mut line, json!([early, late]), 1);
    assert!(!events(&mut line).iter().any(|e| matches!(e, LineEvent::Chart { .. })), "half a transaction was seen");
}

/// DC-12
#[test]
fn five_thousand_symbols_need_three_lines() {
    let symbols: Vec<String> = (0..5_000).map(|n| format!("SHFE.x{n:04}")).chain(["SHFE.x0001".to_owned()]).collect();
    let batches = quote_batches(symbols.clone());
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2_000, 2_000, 1_000]);
    let mut line = line();
    frames(&mut line);
    assert_eq!(line.set_quotes(symbols, S(0)), Err(TooManySymbols { symbols: 5_000 }));
    assert!(frames(&mut line).is_empty(), "nothing is sent of a subscription that is refused");
    line.set_quotes(batches[0].clone(), S(0)).unwrap();
    let sent = frames(&mut line);
    assert_eq!(sent[0]["ins_list"].as_str().unwrap().split(',').count(), 2_000);
}

/// DC-13
#[test]
fn an_unknown_symbol_is_named_at_its_time_limit() {
    let mut line = line();
    line.set_quotes(["A".to_owned(), "B".to_owned()], S(0)).unwrap();
    data(&mut line, json!([{"quotes": {"A": {"datetime": "2025-07-18 09:00:00.000000"}, "B": {"datetime": ""}}}]), 1);
    line.tick(S(29));
    assert_eq!(events(&mut line), [LineEvent::Ready, LineEvent::Quote("A".to_owned())]);
    line.tick(S(30));
    line.tick(S(90));
    assert_eq!(events(&mut line), [LineEvent::UnknownSymbol("B".to_owned())], "once");
}

/// DC-13: a server's refusal is told at once, and a query that nobody answers at its time limit.
#[test]
fn queries_are_answered_refused_or_given_up() {
    let mut line = line();
    let ids: Vec<String> = ["good", "refused", "silent"].map(|q| line.query(q.to_owned(), S(0))).to_vec();
    data(
        &mut line,
        json!([{"symbols": {
            ids[0].clone(): {"query": "good", "result": {"multi_symbol_info": []}},
            ids[1].clone(): {"query": "refused", "error": "unknown instrument X"},
            ids[2].clone(): {"query": "of somebody else", "result": {}},
            "foreign": {"query": "q", "result": {}},
        }}]),
        1,
    );
    let answers = events(&mut line);
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert!(
        answers.contains(&LineEvent::Answer { id: ids[1].clone(), result: Err("unknown instrument X".to_owned()) })
    );
    let released = frames(&mut line).iter().filter(|f| f["query"] == "").count();
    assert_eq!(released, 2);
    line.tick(S(61));
    assert_eq!(events(&mut line), [LineEvent::NoAnswer { id: ids[2].clone() }]);
}

/// DC-16
#[test]
fn unknown_data_is_kept_and_harms_nothing() {
    let mut line = line();
    data(&mut line, json!([{"trade": {"somebody": {"orders": {}}}, "new_thing": [1, {"x": null}], "ticks": 7}]), 1);
    assert_eq!(line.document().rows(&["ticks", "S"], 0, 9).len(), 0);
    assert_eq!(line.document().last_id(&["ticks", "S"]), None);
    line.receive(r#"{"aid":"rsp_login","session_id":"x"}"#, S(1)).unwrap();
    data(&mut line, json!([{"ticks": {"S": {"last_id": 0, "data": {"0": {"datetime": 1}}}}}]), 2);
    assert_eq!(line.document().rows(&["ticks", "S"], 0, 9).len(), 1);
}

/// DC-24, DC-10
#[test]
fn each_wait_has_its_own_limit() {
    let mut line = line();
    for (id, symbol) in [("empty", "E"), ("never", "N"), ("good", "G"), ("shy", "H")] {
        line.set_chart(ChartRequest::ticks(id, symbol, 10, Window::Rolling), S(0));
    }
    let state = |id: &str, symbol: &str| -> Value {
        serde_json::from_str(&ChartRequest::ticks(id, symbol, 10, Window::Rolling).frame()).unwrap()
    };
    data(
        &mut line,
        json!([{"charts": {
            "empty": {"state": state("empty", "E"), "left_id": -1, "right_id": -1, "ready": true, "more_data": false},
            "shy": {"state": state("shy", "H"), "left_id": -1, "right_id": -1, "more_data": false},
            "good": {"state": state("good", "G"), "left_id": -9, "right_id": 0, "ready": true, "more_data": false}},
            "ticks": {"E": {"last_id": -1}, "H": {"last_id": -1}, "G": {"last_id": 0, "data": {"0": {"datetime": 1}}}},
            "mdhis_more_data": false}]),
        1,
    );
    let chart = |id: &str, view| LineEvent::Chart { id: id.to_owned(), view };
    let settled = ChartView::Settled { left: -9, right: 0, last_id: 0 };
    assert_eq!(events(&mut line), [LineEvent::Ready, chart("empty", ChartView::Empty), chart("good", settled)]);
    line.tick(S(11));
    assert_eq!(events(&mut line), [chart("shy", ChartView::Empty)], "not called ready, but empty for ten seconds");
    line.tick(S(60));
    assert_eq!(events(&mut line), [LineEvent::ChartLate { id: "never".to_owned() }]);
}

#[test]
fn a_line_without_a_first_word_is_dumb() {
    let mut line = line();
    line.tick(S(59));
    assert!(events(&mut line).is_empty() && !line.is_ready());
    line.tick(S(60));
    assert_eq!(events(&mut line), [LineEvent::Dumb]);
}

/// DC-23
#[test]
fn a_line_that_is_opened_again_asks_for_everything_once_more() {
    let mut line = line();
    line.set_quotes(["A".to_owned()], S(0)).unwrap();
    line.set_chart(ChartRequest::ticks("c", "S", 10, Window::From(20)), S(0));
    line.set_chart(ChartRequest::ticks("gone", "S", 10, Window::Rolling), S(0));
    line.delete_chart("gone");
    let query = line.query("q".to_owned(), S(0));
    frames(&mut line);
    data(&mut line, json!([{"quotes": {"A": {"datetime": "2025-07-18 09:00:00.000000"}}}]), 1);
    line.closed();
    assert_eq!(line.document().transactions(), 0, "what a dead line told is nobody's");
    line.opened(S(100));
    let sent = frames(&mut line);
    let aids: Vec<&str> = sent.iter().map(|f| f["aid"].as_str().unwrap()).collect();
    assert_eq!(aids, ["peek_message", "subscribe_quote", "ins_query", "set_chart"]);
    assert_eq!((sent[2]["query_id"].as_str(), sent[3]["left_kline_id"].as_i64()), (Some(query.as_str()), Some(20)));
    // Limits count from the new connection on.
    line.tick(S(129));
    assert!(!events(&mut line).iter().any(|e| matches!(e, LineEvent::UnknownSymbol(_))));
    line.tick(S(130));
    assert_eq!(events(&mut line), [LineEvent::UnknownSymbol("A".to_owned())]);
}
