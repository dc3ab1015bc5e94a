//! Recorded market data. D-08, D-09
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

use ghtrader_core::{Calendar, Column, Phase, TickTable, TradingDay};
use ghtrader_market::{DayPart, Dialect, FileRows, ReadOptions, SymbolDay, TickFile};
use std::path::PathBuf;

fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data not found");
    None
}

fn day(text: &str) -> TradingDay {
    text.parse().expect("day")
}

fn read(path: &std::path::Path, options: &ReadOptions<'_>) -> (TickFile, FileRows) {
    let file = TickFile::open(path, options).unwrap_or_else(|e| panic!("{e}"));
    let rows = file.read(options).unwrap_or_else(|e| panic!("{e}"));
    let stored: u64 = rows.days.iter().map(|d| d.rows() as u64 + d.duplicates).sum();
    assert_eq!(rows.rows_read, stored + rows.rejects.len() as u64, "{}", path.display());
    (file, rows)
}

fn assemble(file: &TickFile, part: DayPart) -> SymbolDay {
    let phases = Calendar::builtin().day_phases(file.contract.variety(), part.day);
    SymbolDay::assemble(&file.contract, &phases, vec![part])
}

fn phases(table: &TickTable) -> [usize; 5] {
    Phase::ALL.map(|p| table.phase.iter().filter(|x| **x == p as u8).count())
}

/// D-08
#[test]
fn tqsdk_files_are_read_whole() {
    for (name, rows, dialect_day, last_volume) in [
        ("SHFE.ad2511.csv", 5_032, "2025-07-18", 2_598.0),
        ("SHFE.wr2510.csv", 3_839, "2025-07-18", 119.0),
        ("CFFEX.IF2509.csv", 24_728, "2025-07-18", 59_958.0),
        ("DCE.bb2511.csv", 1_543, "2025-07-18", 164.0),
        ("SHFE.cu1909_last200.csv", 200, "2019-09-16", 9_020.0),
    ] {
        let Some(path) = data(&format!("tqsdk/{name}")) else { return };
        let (file, all) = read(&path, &ReadOptions::default());
        assert_eq!((file.dialect, all.rows_read, all.rejects.len(), all.days.len()), (Dialect::Tqsdk, rows, 0, 1));
        assert!(name.starts_with(&file.contract.to_string()), "{name}: {}", file.contract);
        assert_eq!(file.first_day, Some(day(dialect_day)));
        let part = all.days.into_iter().next().expect("one day");
        assert_eq!((part.day, part.rows() as u64, part.duplicates), (day(dialect_day), rows, 0), "{name}");
        let ticks = assemble(&file, part).ticks;
        assert_eq!(ticks.view().float(Column::Volume).last(), Some(&last_volume), "{name}");
        assert!(ticks.ts_ns.is_sorted(), "{name}");
        // `average` is amount / volume / multiplier: three columns agree in every row that has traded.
        let view = ticks.view();
        let multiplier = [("ad", 10.0), ("wr", 10.0), ("IF", 300.0), ("bb", 500.0), ("cu", 5.0)];
        let multiplier = multiplier.iter().find(|(p, _)| *p == file.contract.variety().product()).expect("product").1;
        for r in 0..view.rows() {
            let [average, amount, volume] = [Column::Average, Column::Amount, Column::Volume].map(|c| view.float(c)[r]);
            let near = (average - amount / volume / multiplier).abs() < 0.1;
            assert!(near || average.is_nan() && volume == 0.0, "{name} row {r}: {average} {amount} {volume}");
        }
    }
}

/// D-08: spot values, phases, and the pre-open reset row.
#[test]
fn cast_aluminium_alloy_by_hand() {
    let Some(path) = data("tqsdk/SHFE.ad2511.csv") else { return };
    let (file, all) = read(&path, &ReadOptions::default());
    let ticks = assemble(&file, all.days.into_iter().next().expect("one day")).ticks;
    let view = ticks.view();
    assert_eq!(ticks.ts_ns[0], 1_752_748_559_400_000_000);
    assert!(view.float(Column::LastPrice)[0].is_nan() && view.float(Column::bid_price(0))[0].is_nan());
    assert_eq!((view.float(Column::OpenInterest)[0], view.float(Column::bid_volume(0))[0]), (8_279.0, 0.0));
    assert_eq!((view.float(Column::ask_price(4))[1], view.float(Column::ask_volume(4))[1]), (19_850.0, 5.0));
    assert_eq!(view.float(Column::Average).last(), Some(&19_887.4));
    let [pre_open, auction, continuous, in_break, closed] = phases(&ticks);
    assert_eq!((pre_open, auction, continuous + in_break + closed), (1, 2, 5_029));
    assert_eq!(ticks.seq, (0..5_032).collect::<Vec<u32>>());
}

/// D-09: one file by calendar day holds parts of two trading days; two files make one trading day.
#[test]
fn ctp_files_hold_two_trading_days() {
    let Some(first) = data("ctp_2018/SHFE.ru1901_20181008.tick-ctp.csv.gz") else { return };
    let Some(second) = data("ctp_2018/SHFE.ru1901_20181009.tick-ctp.csv.gz") else { return };
    let ((file, a), (_, b)) = (read(&first, &ReadOptions::default()), read(&second, &ReadOptions::default()));
    assert_eq!((file.dialect, file.contract.to_string().as_str()), (Dialect::Ctp, "SHFE.ru1901"));
    let count = |rows: &FileRows| -> Vec<(TradingDay, u64)> {
        rows.days.iter().map(|d| (d.day, d.rows() as u64 + d.duplicates + d.rejected)).collect()
    };
    assert_eq!(count(&a), [(day("2018-10-08"), 24_331), (day("2018-10-09"), 14_205)]);
    assert_eq!(count(&b), [(day("2018-10-09"), 26_243), (day("2018-10-10"), 13_298)]);

    let phases = Calendar::builtin().day_phases(file.contract.variety(), day("2018-10-09"));
    let (night, by_day) = (a.days[1].clone(), b.days[0].clone());
    let whole = SymbolDay::assemble(&file.contract, &phases, vec![night, by_day]);
    let view = whole.ticks.view();
    assert_eq!(view.float(Column::Volume).last(), Some(&740_820.0));
    assert_eq!((whole.duplicates, whole.findings.volume_falls), (0, 0));
    assert_eq!(view.float(Column::Volume)[0], 784.0, "the night restarts the counter");
    assert!(whole.ticks.ts_ns.is_sorted());
    let open = a.days[0].pieces[0].view();
    assert_eq!(open.float(Column::Average)[0], 12_480.551_35);
    assert_eq!((open.float(Column::bid_price(0))[0], open.float(Column::bid_volume(1))[0]), (12_485.0, 0.0));
}

/// D-09: no dates in the file; Friday's night, Saturday's hours and Monday are one trading day.
#[test]
fn compact_files_get_their_dates_from_the_calendar() {
    let options = ReadOptions { trading_day: Some(day("2017-11-13")), ..ReadOptions::default() };
    for (name, rows, first, last) in [
        ("cu1712", 20_959, "2017-11-10 20:59:00.500000000", "2017-11-13 15:22:06.500000000"),
        ("au1712", 18_965, "2017-11-10 20:59:00.500000000", "2017-11-13 15:22:06.500000000"),
        ("ag1712", 32_605, "2017-11-10 20:59:00.500000000", "2017-11-13 15:22:06.500000000"),
        ("rb1805", 41_298, "2017-11-10 20:59:00.500000000", "2017-11-13 15:22:06.500000000"),
    ] {
        let Some(path) = data(&format!("ctp_2017-11-13/{name}_20171113.csv")) else { return };
        let (file, all) = read(&path, &options);
        assert_eq!((file.contract.to_string(), all.rows_read), (format!("SHFE.{name}"), rows));
        assert_eq!((all.days.len(), all.rejects.len()), (1, 0), "{name}: {:?}", all.rejects.first());
        let ticks = assemble(&file, all.days.into_iter().next().expect("one day")).ticks;
        let at = |r: usize| ghtrader_core::ExchangeTimeNs(ticks.ts_ns[r]).to_string();
        assert_eq!((at(0).as_str(), at(ticks.rows() - 1).as_str()), (first, last), "{name}");
        assert!(ticks.ts_ns.is_sorted() && ticks.view().float(Column::Amount).iter().all(|x| x.is_nan()), "{name}");
        let saturday =
            ticks.ts_ns.iter().any(|t| ghtrader_core::ExchangeTimeNs(*t).to_string().starts_with("2017-11-11"));
        assert_eq!(saturday, name != "rb1805", "{name}");
        if name == "rb1805" {
            assert_eq!(ticks.view().float(Column::OpenInterest)[0], 2_190_030.0);
        }
    }
}

/// D-25: the cut into pieces cannot be seen in the result.
#[test]
fn any_size_of_pieces_gives_the_same_rows() {
    let Some(path) = data("ctp_2018/SHFE.ru1901_20181008.tick-ctp.csv.gz") else { return };
    let tables = |piece_bytes: usize| {
        let (file, all) = read(&path, &ReadOptions { piece_bytes: Some(piece_bytes), ..ReadOptions::default() });
        let duplicates: Vec<u64> = all.days.iter().map(|d| d.duplicates).collect();
        let bits = |t: TickTable| -> (Vec<i64>, Vec<Vec<u64>>) {
            (t.ts_ns, t.floats.iter().map(|c| c.iter().map(|x| x.to_bits()).collect()).collect())
        };
        let tables: Vec<_> = all.days.into_iter().map(|d| bits(assemble(&file, d).ticks)).collect();
        (duplicates, tables, all.rejects)
    };
    let whole = tables(usize::MAX);
    for piece_bytes in [500, 4_096, 100_000] {
        assert!(tables(piece_bytes) == whole, "{piece_bytes}");
    }
}
