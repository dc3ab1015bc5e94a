//! The client over recorded frames: of the vendor's server of 2019, of an open gateway, and of a small server that the
//! official client was recorded with. Skipped where the shared captures are absent.

use super::*;
use ghtrader_core::Column;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// One recorded frame: sent by the client, and on which line.
pub(crate) struct Recorded {
    pub(crate) by_client: bool,
    pub(crate) channel: String,
    pub(crate) frame: Value,
}

/// The frames of a capture; `None` with a plain message where it is absent.
pub(crate) fn capture(name: &str) -> Option<Vec<Recorded>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/diff").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: ../shared/data/diff/{name} not found");
        return None;
    };
    let frames = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        Recorded {
            by_client: line["way"] == "C>S",
            channel: line["ch"].as_str().unwrap_or("md").to_owned(),
            frame: line["m"].clone(),
        }
    });
    Some(frames.collect())
}

/// The chart that a recorded client asked for.
fn asked(frame: &Value) -> ChartRequest {
    let whole = |k: &str| value::whole(frame.get(k));
    let window = match (whole("left_kline_id"), whole("focus_datetime")) {
        (Some(id), _) => Window::From(id),
        (_, Some(focus_ns)) => Window::At { focus_ns, position: whole("focus_position").unwrap() },
        _ => Window::Rolling,
    };
    ChartRequest {
        id: frame["chart_id"].as_str().unwrap().to_owned(),
        symbols: frame["ins_list"].as_str().unwrap().split(',').map(str::to_owned).collect(),
        duration_ns: whole("duration").unwrap(),
        width: whole("view_width").unwrap(),
        window,
    }
}

const NOW: Duration = Duration::from_secs(1);

/// Plays what the server sent, asking as the recorded client did; returns the charts in the order they were complete.
fn play(frames: &[Recorded]) -> (MarketLine, Vec<(ChartRequest, ChartView)>) {
    let mut line = MarketLine::new(LineLimits::default());
    line.opened(NOW);
    let (mut charts, mut complete) = (Vec::new(), Vec::new());
    for recorded in frames.iter().filter(|r| r.channel == "md") {
        let frame = &recorded.frame;
        if !recorded.by_client {
            line.receive(&frame.to_string(), NOW).unwrap();
            line.peek();
        } else if frame["aid"] == "set_chart" && frame["ins_list"] == "" {
            line.delete_chart(frame["chart_id"].as_str().unwrap());
        } else if frame["aid"] == "set_chart" {
            charts.push(asked(frame));
            line.set_chart(asked(frame), NOW);
        } else if frame["aid"] == "subscribe_quote" {
            let symbols = frame["ins_list"].as_str().unwrap().split(',').map(str::to_owned);
            line.set_quotes(symbols, NOW).unwrap();
        }
        while let Some(event) = line.take_event() {
            if let LineEvent::Chart { id, view } = event {
                let request = charts.iter().rev().find(|c| c.id == id).unwrap().clone();
                complete.push((request, view));
            }
        }
    }
    assert_eq!(complete.len(), charts.len(), "every chart that was asked for is complete");
    (line, complete)
}

/// DC-08: the vendor's server of 2019 never says `ready`, and its first word about a chart is that it is empty.
#[test]
fn charts_of_2019_are_complete_without_ready() {
    for (name, windows) in [
        ("real2019_test_md_basic_get_tick_serial.trimmed.jsonl", &[(2_822_752, 2_822_951)][..]),
        ("real2019_test_md_basic_get_kline_serial.trimmed.jsonl", &[(660_589, 660_788)]),
        ("real2019_test_md_backtest_get_quote.trimmed.jsonl", &[(72_529, 81_492), (77_530, 86_493)]),
    ] {
        let Some(frames) = capture(name) else { return };
        assert!(frames.iter().all(|r| !r.frame.to_string().contains("\"ready\"")), "{name}");
        let (_, complete) = play(&frames);
        let got: Vec<(i64, i64)> = complete
            .iter()
            .map(|(_, view)| match view {
                ChartView::Settled { left, right, .. } => (*left, *right),
                other => panic!("{name}: {other:?}"),
            })
            .collect();
        assert_eq!(got, windows, "{name}");
    }
}

/// DC-07: packets come newest first; the window counts as complete with the last of them and not before.
#[test]
fn the_recorded_window_is_complete_with_its_last_packet() {
    let Some(frames) = capture("real2019_test_md_backtest_get_quote.trimmed.jsonl") else { return };
    let mut line = MarketLine::new(LineLimits::default());
    line.opened(NOW);
    let mut complete_at = Vec::new();
    for (at, recorded) in frames.iter().enumerate() {
        if recorded.by_client && recorded.frame["aid"] == "set_chart" {
            line.set_chart(asked(&recorded.frame), NOW);
        } else if !recorded.by_client {
            line.receive(&recorded.frame.to_string(), NOW).unwrap();
        }
        while let Some(event) = line.take_event() {
            if matches!(event, LineEvent::Chart { .. }) {
                complete_at.push(at);
            }
        }
    }
    assert_eq!(complete_at, [17, 24]);
}

/// DC-06
#[test]
fn the_recorded_book_of_cu1909_has_no_fifth_level() {
    let Some(frames) = capture("real2019_test_md_basic_get_quote_normal.trimmed.jsonl") else { return };
    let (line, _) = play(&frames);
    let quote = Quote::read(line.document(), "SHFE.cu1909").unwrap();
    assert!(quote.asks[4].price.is_nan() && quote.bids[4].price.is_nan());
    assert_eq!((quote.asks[4].lots, quote.bids[4].lots), (0.0, 0.0));
    assert_eq!((quote.asks[3].price, quote.asks[3].lots, quote.last_price), (49_250.0, 50.0, 47_580.0));
    assert_eq!((quote.volume, quote.open_interest, quote.limits), (9_020.0, 6_940.0, (49_650.0, 44_920.0)));
    assert_eq!(quote.ts_ns, 1_568_617_199_999_500_000);

    let Some(frames) = capture("real2019_test_md_basic_get_tick_serial.trimmed.jsonl") else { return };
    let (line, _) = play(&frames);
    let rows = line.document().rows(&["ticks", "SHFE.cu1909"], 0, i64::MAX);
    let last = rows.last().and_then(|(id, row)| TickRow::read(*id, row)).unwrap();
    let cell = |c: Column| last.cells[c.index() - 1];
    assert!(cell(Column::ask_price(4)).is_nan() && cell(Column::bid_price(4)).is_nan());
    assert_eq!((cell(Column::ask_volume(4)), cell(Column::ask_price(3))), (0.0, 49_250.0));
    assert_eq!((last.id, last.ts_ns, cell(Column::Volume)), (2_822_951, 1_568_617_199_999_500_000, 9_020.0));
}

/// DC-07, DC-09, DC-10: every chart of the official client's session is complete for ours too.
#[test]
fn charts_of_the_official_client_are_complete() {
    let Some(frames) = capture("mock_live_quote_tick_kline.jsonl") else { return };
    let (line, complete) = play(&frames);
    assert!(complete.len() >= 3);
    assert!(Quote::read(line.document(), "SHFE.rb2510").is_some());

    let Some(frames) = capture("mock_download_backtest_trimmed.jsonl") else { return };
    let (_, complete) = play(&frames);
    let beyond =
        complete.iter().filter(|(_, v)| matches!(v, ChartView::Settled { right, last_id, .. } if right > last_id));
    assert!(beyond.count() > 0, "this server does not clip a window to the series");
}

/// DC-04: a query that is given up is deleted from the document by `null`.
#[test]
fn recorded_instruments_are_read_and_forgotten() {
    let Some(frames) = capture("mock_live_quote_tick_kline.jsonl") else { return };
    let mut document = Document::default();
    let mut seen = Vec::new();
    for recorded in frames.iter().filter(|r| !r.by_client && r.channel == "md") {
        let Ok(ServerFrame::Data(patches)) = parse_frame(&recorded.frame.to_string()) else { continue };
        document.apply(patches);
        for answer in document.object(&["symbols"]).into_iter().flat_map(|s| s.values()) {
            seen.extend(read_instruments(&answer["result"]));
        }
    }
    let rb = seen.iter().find(|i| i.symbol == "SHFE.rb2510" && i.class == "FUTURE").unwrap();
    assert_eq!((rb.price_tick, rb.multiplier, rb.expired), (1.0, 10.0, false));
    let main = seen.iter().find(|i| i.class == "CONT").unwrap();
    assert!(main.underlying.is_some(), "{main:?}");
    let left = document.object(&["symbols"]).map_or(0, serde_json::Map::len);
    assert!(left < 3, "answers that the client has released are gone: {left}");
}
