//! `bench sim`: ticks a second that the DIFF server gives to 1, 10 and 100 clients, and what a slow one costs the others.
//!
//! Clients are as cheap as can be: they count rows and look for gaps, they do not build a document. Lines are not
//! compressed. History is read in pages of 2,000, as downloads do. Live, every client follows the main contract of a
//! market whose speed is shared out, so that all together are given some 300,000 ticks a second; ticks that a client fell
//! too far behind for are counted as missed.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: i64 = 2_000;
/// Seconds of a live measurement: the market is over soon behind it.
const LIVE_S: f64 = 1.2;
/// Market seconds a second for one client: some 300,000 ticks of the main contract.
const SPEED: usize = 200_000;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let as_json = args.iter().any(|a| a == "--json");
    if let Some(unknown) = args.iter().find(|a| *a != "--json") {
        bail!("bench sim knows --json, not `{unknown}`");
    }
    let mut figures = Vec::new();
    for clients in [1, 10, 100] {
        let server = Server::start(&["--start", "end"])?;
        figures.push(json!({ "what": "history", "clients": clients, "ticks_per_s": history(&server, clients)? }));
    }
    for (clients, slow) in [(1, false), (10, false), (100, false), (10, true)] {
        let server = Server::start(&["--speed", &(SPEED / clients).to_string()])?;
        let seen = live(&server, clients, slow)?;
        figures.push(json!({
            "what": if slow { "live, beside one that reads nothing" } else { "live" },
            "clients": clients,
            "ticks_per_s": seen.iter().map(|s| s.ticks_per_s).sum::<f64>(),
            "missed_ticks": seen.iter().map(|s| s.missed).sum::<i64>(),
            "longest_pause_ms": seen.iter().map(|s| s.longest_pause.as_secs_f64() * 1e3).fold(0.0, f64::max),
        }));
    }
    if as_json {
        println!("{}", json!({ "sim": figures }));
    } else {
        for f in &figures {
            let what = f["what"].as_str().unwrap_or_default();
            let rate = f["ticks_per_s"].as_f64().unwrap_or(f64::NAN);
            print!("{what:36} {:>4} clients {rate:>12.0} ticks/s together", f["clients"]);
            match f["longest_pause_ms"].as_f64() {
                Some(pause) => println!(", {} missed, longest pause {pause:.0} ms", f["missed_ticks"]),
                None => println!(),
            }
        }
    }
    Ok(())
}

/// Rows a second of all clients together: each reads the whole series in pages.
fn history(server: &Server, clients: usize) -> Result<f64> {
    let begun = Instant::now();
    let lines: Vec<_> = (0..clients)
        .map(|_| {
            let url = server.md.clone();
            std::thread::spawn(move || -> Result<u64> {
                let mut line = Line::open(&url)?;
                let (mut rows, mut left) = (0, 0);
                loop {
                    line.chart(&json!({ "left_kline_id": left, "view_width": PAGE }))?;
                    let page = loop {
                        let (page, _) = line.peek()?;
                        if page > 0 || line.last < left {
                            break page;
                        }
                    };
                    rows += page;
                    left += PAGE;
                    // A hundred clients need not read everything to show what they get.
                    if line.last < left || (begun.elapsed() > Duration::from_secs(5) && rows > 0) {
                        return Ok(rows);
                    }
                }
            })
        })
        .collect();
    let mut rows = 0;
    for line in lines {
        rows += line.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok(rows as f64 / begun.elapsed().as_secs_f64())
}

/// What a client saw of a market that runs.
struct Seen {
    ticks_per_s: f64,
    missed: i64,
    /// Between two frames.
    longest_pause: Duration,
}

fn live(server: &Server, clients: usize, slow: bool) -> Result<Vec<Seen>> {
    let mut idle = None;
    if slow {
        let mut line = Line::open(&server.md)?;
        // It asks for everything and takes nothing.
        for _ in 0..50 {
            line.chart(&json!({ "view_width": 10_000 }))?;
            line.send(r#"{"aid":"peek_message"}"#)?;
        }
        idle = Some(line);
    }
    let lines: Vec<_> = (0..clients)
        .map(|_| {
            let url = server.md.clone();
            std::thread::spawn(move || -> Result<Seen> {
                let mut line = Line::open(&url)?;
                line.chart(&json!({ "view_width": 200 }))?;
                while line.peek()?.0 == 0 {}
                let (from, begun) = (line.last, Instant::now());
                let (mut rows, mut longest_pause, mut last) = (0, Duration::ZERO, begun);
                while begun.elapsed().as_secs_f64() < LIVE_S {
                    rows += line.peek()?.0;
                    longest_pause = longest_pause.max(last.elapsed());
                    last = Instant::now();
                }
                let missed = line.last - from - rows as i64;
                Ok(Seen { ticks_per_s: rows as f64 / begun.elapsed().as_secs_f64(), missed, longest_pause })
            })
        })
        .collect();
    let seen = lines.into_iter().map(|l| l.join().map_err(|_| anyhow::anyhow!("a client panicked"))?).collect();
    drop(idle);
    seen
}

struct Server {
    process: Child,
    md: String,
}

impl Server {
    fn start(flags: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("ghtrader");
        let mut process = Command::new(program)
            .args(["sim", "serve", "--listen", "127.0.0.1:0", "--synthetic", "1", "--days", "20"])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let url: Value = serde_json::from_str(&line).context("the server did not say where it listens")?;
        let md = url["md"].as_str().context("no address")?.trim_start_matches("ws://").to_owned();
        Ok(Self { process, md })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client's line: as much of the WebSocket protocol as an own server needs.
struct Line {
    stream: BufReader<TcpStream>,
    symbol: &'static str,
    /// Last id of the series that was told.
    last: i64,
    frame: Vec<u8>,
}

impl Line {
    fn open(address: &str) -> Result<Self> {
        let (host, path) = address.split_once('/').context("no path")?;
        let mut stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )?;
        let mut stream = BufReader::with_capacity(1 << 20, stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        ensure!(line.contains("101"), "no upgrade: {line}");
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line)?;
        }
        Ok(Self { stream, symbol: "KQ.m@SHFE.cu", last: -1, frame: Vec::new() })
    }

    fn chart(&mut self, more: &Value) -> Result<()> {
        let mut chart = json!({ "aid": "set_chart", "chart_id": "c", "ins_list": self.symbol, "duration": 0 });
        if let (Some(chart), Some(more)) = (chart.as_object_mut(), more.as_object()) {
            chart.extend(more.clone());
        }
        self.send(&chart.to_string())
    }

    /// Sends a text, masked by zeros: it stays as it is.
    fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(len) if len < 126 => frame.push(0x80 | len),
            _ => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        Ok(self.stream.get_mut().write_all(&frame)?)
    }

    /// Asks for what is new; gives the number of rows, and whether the market has ended.
    fn peek(&mut self) -> Result<(u64, bool)> {
        self.send(r#"{"aid":"peek_message"}"#)?;
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok((0, true)),
            other => other?,
        }
        let mut len = usize::from(head[1] & 127);
        if len >= 126 {
            let mut wide = [0; 8];
            let bytes = if len == 126 { 6 } else { 0 };
            self.stream.read_exact(&mut wide[bytes..])?;
            len = usize::try_from(u64::from_be_bytes(wide))?;
        }
        self.frame.resize(len, 0);
        self.stream.read_exact(&mut self.frame)?;
        let text = std::str::from_utf8(&self.frame)?;
        if let Some((_, rest)) = text.rsplit_once("\"last_id\":") {
            let end = rest.find(',').unwrap_or(rest.len());
            self.last = rest[..end].parse()?;
        }
        Ok((text.matches("{\"datetime\":").count() as u64, false))
    }
}
