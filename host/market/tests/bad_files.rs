//! Files and rows that are wrong: a stable code, the thing, the value, the bound. D-04
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

use ghtrader_core::{ContractId, Problem};
use ghtrader_market::{FileRows, LineRun, MarketError, ReadOptions, Reject, SymbolDay, TickFile};
use std::io::Write;

const HEADER: &str = "datetime,datetime_nano,SHFE.cu2509.last_price,SHFE.cu2509.highest,SHFE.cu2509.lowest,\
SHFE.cu2509.average,SHFE.cu2509.volume,SHFE.cu2509.amount,SHFE.cu2509.open_interest,SHFE.cu2509.bid_price1,\
SHFE.cu2509.bid_volume1,SHFE.cu2509.ask_price1,SHFE.cu2509.ask_volume1\n";
const FIRST_NS: i64 = 1_752_800_400_500_000_000;

/// Row `n` of a quiet morning: every half second from 2025-07-18 09:00:00.5 on.
fn row(n: i64) -> String {
    stamped(n, "78000,78000,78000,78000.0,10,3900000,100,77990,1,78010,2")
}

fn stamped(n: i64, cells: &str) -> String {
    let ns = FIRST_NS + n * 500_000_000;
    let t = ghtrader_core::ExchangeTimeNs(ns).to_string();
    format!("{t},{ns},{cells}\n")
}

fn file_of(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (dir, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("encoded");
    encoder.finish().expect("encoded")
}

fn read_with(name: &str, bytes: &[u8], options: &ReadOptions<'_>) -> Result<FileRows, MarketError> {
    let (_dir, path) = file_of(name, bytes);
    TickFile::open(&path, options)?.read(options)
}

fn read(text: &str) -> Result<FileRows, MarketError> {
    read_with("SHFE.cu2509.csv", text.as_bytes(), &ReadOptions::default())
}

/// A refused file: its code and a part of its message, and always a remedy.
#[track_caller]
fn refused(result: Result<FileRows, MarketError>, code: &str, part: &str) {
    let problem = Problem::from(result.expect_err("the file must be refused"));
    assert_eq!((problem.code, problem.class.exit_code()), (code, 2), "{problem}");
    assert!(problem.what.contains(part), "{problem}");
    assert!(!problem.remedy.is_empty(), "{problem}");
}

fn body(rows: i64) -> String {
    HEADER.to_owned() + &(0..rows).map(row).collect::<String>()
}

#[test]
fn files_that_are_no_tick_files() {
    refused(read(""), "empty_file", "holds no rows");
    refused(read(" \r\n\n"), "empty_file", "holds no rows");
    refused(read(HEADER), "empty_file", "holds no rows");
    refused(read("time,price\n1,2\n"), "schema_mismatch", "`time,price`");
    refused(read(&body(3).replacen("SHFE.cu2509.volume", "SHFE.cu2509.vol", 1)), "schema_mismatch", "volume");
    refused(
        read_with("x.csv", b"PAR1\x15\x04\x15\x00\x00", &ReadOptions::default()),
        "binary_file",
        "0x15 at offset 4",
    );
    let missing =
        TickFile::open(std::path::Path::new("no such file.csv"), &ReadOptions::default()).map(|_| unreachable!());
    refused(missing, "unreadable_file", "no such file.csv");
    let folder = tempfile::tempdir().expect("folder");
    refused(
        TickFile::open(folder.path(), &ReadOptions::default()).map(|_| unreachable!()),
        "unreadable_file",
        "cannot read",
    );
}

#[test]
fn files_that_break_off() {
    let whole = body(100);
    let cut = &whole[..whole.len() - 12];
    refused(read(cut), "truncated_file", "line 101, which has 10 of 13 fields");
    let zipped = gzip(whole.as_bytes());
    let options = ReadOptions::default();
    refused(read_with("x.csv.gz", &zipped[..zipped.len() - 9], &options), "damaged_file", "gzip");
    let mut flipped = zipped.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    refused(read_with("x.csv.gz", &flipped, &options), "damaged_file", "gzip");
    // Without its line end the last row is still a row; the name of a compressed file does not matter.
    let all = read_with("x.csv", &zipped, &options).expect("gzip by its first bytes");
    assert_eq!((all.rows_read, all.rejects.len()), (100, 0));
    let all = read(whole.trim_end()).expect("whole");
    assert_eq!((all.rows_read, all.days[0].rows()), (100, 100));
    assert_eq!(
        read(&format!("\u{feff}{}\r\n\r\n", whole.replace('\n', "\r\n"))).expect("CRLF, mark").days[0].rows(),
        100
    );
}

/// A row of each defect among good ones: line, code and raw text are kept, the good rows too.
#[test]
fn bad_rows_are_listed_and_nothing_else_is_lost() {
    let good = "78000,78000,78000,78000.0,10,3900000,100,77990,1,78010,2";
    let cases: &[(String, &str, &str)] = &[
        (stamped(50, &good.replace("77990", "77,990")), "bad_row", "14 fields under 13 columns"),
        (stamped(50, &good.replace(",2", "")), "bad_row", "12 fields under 13 columns"),
        ("\n".to_owned(), "bad_row", "1 fields under 13 columns"),
        (stamped(50, &good.replace("77990", "x")), "bad_row", "bid_price1 `x` is unreadable"),
        (stamped(50, &good.replace("77990", "inf")), "bad_row", "bid_price1 `inf` is unreadable"),
        (stamped(50, &good.replace("77990,1", "77990,1.5")), "bad_row", "bid_volume1 `1.5` is unreadable"),
        (stamped(50, &good.replace("77990,1", "nan,1")), "bad_row", "bid level 1 has a size but no price"),
        (stamped(50, &good.replace("77990", "77995")), "off_grid", "bid_price1 77995 is no multiple"),
        (stamped(50, good).replacen("09:00:25", "09:00:26", 1), "bad_row", "differ by -1000000000 ns"),
        (stamped(50, good).replacen("2025-07-18 ", "2025-07-18T", 1), "bad_row", "datetime `2025-07-18T"),
        (stamped(49, good).replace(",10,", ",9,"), "time_backwards", ":25.000000000 after"),
        (stamped(86_400, good).replacen("2025-07-18 21", "2025-07-18 25", 1), "bad_row", "unreadable"),
    ];
    for (line, code, part) in cases {
        let text = (0..=50).map(row).chain([line.clone()]).chain((51..100).map(row)).collect::<String>();
        let all = read(&(HEADER.to_owned() + &text)).expect("readable");
        let Reject { line: number, trading_day, code: got, detail, raw } = &all.rejects[0];
        assert_eq!((*number, *got, all.rejects.len()), (53, *code, 1), "{line}: {detail}");
        assert!(detail.contains(part), "{detail}, want {part}");
        assert_eq!(
            (raw.as_str(), trading_day.map(|d| d.to_string()).as_deref()),
            (line.trim_end(), Some("2025-07-18"))
        );
        let day = &all.days[0];
        assert_eq!((all.rows_read, day.rows(), day.rejected, day.duplicates), (101, 100, 1, 0));
    }
}

#[test]
fn stamps_outside_the_calendar_are_listed() {
    for (date, shift_days, code) in
        [("2025-07-19", 1, "not_a_trading_day"), ("1999-07-16", -9_499, "calendar_uncovered")]
    {
        let ns = FIRST_NS + shift_days * 86_400_000_000_000;
        let line = format!("{date} 09:00:00.500000000,{ns},78000,,,,10,3900000,100,77990,1,78010,2\n");
        let all = read(&(HEADER.to_owned() + &line.repeat(3))).expect("readable");
        assert_eq!((all.rows_read, all.days.len(), all.rejects.len()), (3, 0, 3), "{date}");
        assert!(all.rejects.iter().all(|r| r.code == code), "{:?}", all.rejects);
    }
}

#[test]
fn unusual_rows_are_kept() {
    let cells = [
        "78000,78000,78000,78000.0,10,3900000,100,77990,1,78010,2",
        "nan,nan,nan,nan,10,3900000,100,nan,0,-,0",
        "-78000,0,,N/A,9,3900000,100,-77990,1,1.7976931348623157e+308,0",
        "78000,78000,78000,78000.0,8,3900000,100,78020,1,78010,-2",
    ];
    let text: String = cells.iter().enumerate().map(|(n, c)| stamped(n as i64, c)).collect();
    let mut all = read(&(HEADER.to_owned() + &text)).expect("readable");
    assert_eq!((all.days[0].rows(), all.rejects.len()), (4, 0), "{:?}", all.rejects);
    let contract: ContractId = "cu2509".parse().expect("contract");
    let phases = ghtrader_core::Calendar::builtin().day_phases(contract.variety(), all.days[0].day);
    let day = SymbolDay::assemble(&contract, &phases, vec![all.days.remove(0)]);
    let f = day.findings;
    assert_eq!((f.crossed_rows, f.negative_price_rows, f.volume_falls), (1, 1, 2));
}

/// Equal stamps with other content are rows of their own; repetitions are dropped, over piece borders too.
#[test]
fn repeated_rows_and_equal_stamps() {
    let other = stamped(1, "78000,78000,78000,78000.0,11,4290000,100,77990,1,78010,2");
    let text = HEADER.to_owned() + &row(0) + &row(1) + &row(1) + &other + &other + &row(2);
    for piece_bytes in [1, 1_000_000] {
        let options = ReadOptions { piece_bytes: Some(piece_bytes), ..ReadOptions::default() };
        let all = read_with("SHFE.cu2509.csv", text.as_bytes(), &options).expect("readable");
        let day = &all.days[0];
        assert_eq!((all.rows_read, day.rows(), day.duplicates, all.rejects.len()), (6, 4, 2, 0), "{piece_bytes}");
    }
}

/// D-41: every row knows its line, whatever stands between rows and however the file is cut.
#[test]
fn rows_know_their_lines() {
    let text = HEADER.to_owned() + &row(0) + &row(1) + &row(1) + "broken\n" + &row(3) + &row(2) + &row(4) + &row(5);
    for piece_bytes in [1, 200, 1_000_000] {
        let options = ReadOptions { piece_bytes: Some(piece_bytes), ..ReadOptions::default() };
        let mut all = read_with("SHFE.cu2509.csv", text.as_bytes(), &options).expect("readable");
        assert_eq!((all.days[0].rows(), all.rejects.len(), all.days[0].duplicates), (5, 2, 1), "{piece_bytes}");
        let contract: ContractId = "cu2509".parse().expect("contract");
        let phases = ghtrader_core::Calendar::builtin().day_phases(contract.variety(), all.days[0].day);
        // Another file with rows in between, and one that both have.
        let other = HEADER.to_owned() + &row(1) + &row(2) + &row(6);
        let mut other = read_with("SHFE.cu2509.csv", other.as_bytes(), &options).expect("readable");
        let parts = vec![all.days.remove(0), other.days.remove(0)];
        let day = SymbolDay::assemble(&contract, &phases, parts);
        let origins: Vec<_> = (0..day.ticks.rows() as u32).filter_map(|row| LineRun::origin(&day.lines, row)).collect();
        let expected = [(0, 2), (0, 3), (1, 3), (0, 6), (0, 8), (0, 9), (1, 4)];
        assert_eq!((origins.as_slice(), day.duplicates), (&expected[..], 1), "{piece_bytes}");
    }
}

#[test]
fn symbols() {
    let options = ReadOptions::default();
    refused(read(&body(3).replace("SHFE.cu2509.ask", "SHFE.cu2510.ask")), "mixed_symbols", "SHFE.cu2510");
    refused(read(&body(3).replace("SHFE.cu2509", "NYSE.cu2509")), "bad_symbol", "NYSE.cu2509");
    refused(read(&body(3).replace("SHFE.cu2509", "SHFE.zz2509")), "unknown_contract", "SHFE.zz");
    let wanted = ReadOptions { symbol: Some("cu2510".parse().expect("contract")), ..ReadOptions::default() };
    refused(read_with("x.csv", body(3).as_bytes(), &wanted), "mixed_symbols", "SHFE.cu2510");

    let compact = "09:00:00.500,53570,1,53600,5,53620,4,134636\n09:00:01.0,53600,2,53610,9,53600,94,134682\n";
    refused(read_with("cu1712.csv", compact.as_bytes(), &options), "trading_day_missing", "times of day");
    let on = |day: &str| ReadOptions { trading_day: Some(day.parse().expect("day")), ..ReadOptions::default() };
    refused(read_with("cu1712.csv", compact.as_bytes(), &on("2017-11-12")), "not_a_trading_day", "2017-11-12");
    refused(read_with("cu1712.csv", compact.as_bytes(), &on("1990-01-02")), "calendar_uncovered", "1990-01-02");
    refused(read_with("ticks.csv", compact.as_bytes(), &on("2017-11-13")), "bad_symbol", "no contract is named");
    refused(
        read_with("zz1712.csv", compact.as_bytes(), &on("2017-11-13")),
        "bad_symbol",
        "`zz` belongs to no exchange",
    );
    let all = read_with("cu1712.csv", compact.as_bytes(), &on("2017-11-13")).expect("compact");
    assert_eq!(all.days[0].rows(), 2);

    let header = "TradingDay,InstrumentID,UpdateTime,UpdateMillisec,LastPrice,Volume,OpenInterest,\
                  BidPrice1,BidVolume1,AskPrice1,AskVolume1\n";
    let line = |name: &str, ms: u32| format!("20250718,{name},09:00:00,{ms},10,1,1,10,1,20,1\n");
    let mixed = format!("{header}{}{}", line("cu2509", 0), line("cu2510", 500));
    refused(read_with("x.csv", mixed.as_bytes(), &options), "mixed_symbols", "`cu2510` in line 3");
    let ctp = format!("{header}{}{}", line("cu2509", 0), line("cu2509", 500));
    assert_eq!(read_with("x.csv", ctp.as_bytes(), &options).expect("CTP").days[0].rows(), 2);
}
