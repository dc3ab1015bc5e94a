//! Connections as they come: slow, half, many, gone.

use crate::fake::Fake;
use crate::lineups::{deployment, keep_plan};
use crate::world::config;
use ghtrader_control::{ControlConfig, Ready, ServerFile, serve_until};
use ghtrader_core::Problem;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

struct Server {
    dir: tempfile::TempDir,
    ready: Ready,
    token: String,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Problem>>,
}

fn run(config: ControlConfig) -> (Ready, tokio::sync::oneshot::Sender<()>, JoinHandle<Result<(), Problem>>) {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (say, hear) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let until = || Ok(async { drop(stopped.await) });
        serve_until(config, |ready| say.send(ready).unwrap(), until)
    });
    (hear.recv().expect("the server starts"), stop, thread)
}

impl Server {
    fn start(change: impl FnOnce(&mut ControlConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.timing.head = Duration::from_millis(400);
        config.timing.body = Duration::from_millis(400);
        config.timing.heartbeat = Duration::from_millis(200);
        config.timing.grace = Duration::from_secs(2);
        std::fs::create_dir_all(&config.data_dir).unwrap();
        change(&mut config);
        let (ready, stop, thread) = run(config);
        let token = std::fs::read_to_string(&ready.token_file).unwrap().trim().to_owned();
        Self { dir, ready, token, stop, thread }
    }

    fn runs(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.ready.listening.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn head(&self, line: &str, more: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{more}\r\n", self.token)
    }

    /// Sends text and reads until the server closes.
    fn raw(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        rest(&mut stream)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let text = self.raw(&self.head(&format!("GET {path}"), "Connection: close\r\n"));
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    fn end(self) -> Duration {
        let started = Instant::now();
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
        started.elapsed()
    }
}

fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(&part[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the server neither answers nor closes: {e}"),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn a_client_that_does_not_finish_is_not_waited_for() {
    let server = Server::start(|_| {});
    let started = Instant::now();
    assert_eq!(server.raw("GET /api/v1/plu"), "", "half a head is cut");
    assert_eq!(server.raw(""), "", "so is one that never begins");
    let half = server.raw(&server.head("POST /api/v1/tokens", "Content-Length: 100\r\n"));
    assert!(half.starts_with("HTTP/1.1 408 ") && half.contains("body_too_slow"), "{half}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let mut drip = server.connect();
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyyyyyyyyy" {
        if drip.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(rest(&mut drip), "", "a head that drips in is cut as well");
    assert_eq!(server.get("/healthz").0, 200);
    assert!(server.end() < Duration::from_secs(2), "nothing is left behind");
}

/// C-12
#[test]
fn a_body_that_is_too_large_is_refused_whole() {
    let server = Server::start(|_| {});
    let large = "x".repeat(1 << 20) + "x";
    for head in [
        format!("Content-Length: {}\r\n", large.len()),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {}\r\nExpect: 100-continue\r\n", large.len()),
    ] {
        let mut text = server.head("POST /api/v1/tokens", &format!("{head}Connection: close\r\n"));
        if head.contains("chunked") {
            text += &format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
        } else if !head.contains("Expect") {
            text += &large;
        }
        let answer = server.raw(&text);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{head}: {answer}");
    }
    let nonsense = server.raw("\0\0\0\r\n\r\n");
    assert!(nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400 "), "{nonsense}");
    server.end();
}

/// C-09, C-11
#[test]
fn a_change_goes_on_when_its_client_has_left() {
    let server = Server::start(|_| {});
    let fake = Fake::start(&server.runs(), "paper");
    fake.state.lock().unwrap().slow = Duration::from_millis(500);
    let body = deployment(&keep_plan(&server.runs(), &[], "cu"));
    let more = format!("If-Match: \"7\"\r\nIdempotency-Key: k\r\nContent-Length: {}\r\n", body.len());
    let text = server.head("POST /api/v1/varieties/cu/deployments", &(more + "Connection: close\r\n")) + &body;
    let mut leaving = server.connect();
    leaving.write_all(text.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    drop(leaving);
    let early = server.raw(&text);
    assert!(early.starts_with("HTTP/1.1 409 ") && early.contains("in_progress"), "{early}");
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(fake.state.lock().unwrap().operations.len(), 1, "it was carried out");
    let answer = server.raw(&text);
    assert!(answer.starts_with("HTTP/1.1 202 ") && answer.contains("idempotency-replayed: true"), "{answer}");
    assert_eq!(fake.state.lock().unwrap().operations.len(), 1, "once");
    fake.state.lock().unwrap().slow = Duration::from_millis(700);
    let mut last = server.connect();
    last.write_all(text.replace("Key: k", "Key: l").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    server.end();
    assert_eq!(fake.state.lock().unwrap().operations.len(), 2, "the end of the server waits for it");
    assert!(rest(&mut last).starts_with("HTTP/1.1 202 "));
}

#[test]
fn fifty_readers_at_once() {
    let server = Server::start(|_| {});
    Fake::start(&server.runs(), "paper");
    let mut took: Vec<Duration> = std::thread::scope(|s| {
        let reader = || {
            s.spawn(|| {
                let agent = ureq::Agent::new_with_defaults();
                let bearer = format!("Bearer {}", server.token);
                let url = format!("{}/api/v1/varieties/cu", server.ready.listening);
                let one = |_| {
                    let started = Instant::now();
                    let mut answer = agent.get(&url).header("authorization", &bearer).call().unwrap();
                    let body: Value = answer.body_mut().read_json().unwrap();
                    assert_eq!(body["generation"], 7);
                    started.elapsed()
                };
                (0..20).map(one).collect::<Vec<_>>()
            })
        };
        let readers: Vec<_> = (0..50).map(|_| reader()).collect();
        readers.into_iter().flat_map(|r| r.join().unwrap()).collect()
    });
    took.sort();
    println!("1000 reads by 50 clients: p50 {:?}, p95 {:?}", took[500], took[950]);
    let slo = server.get("/api/v1/slo").1;
    assert_eq!(slo["items"][0]["samples"], 1000);
    server.end();
}

/// A client of the event stream.
struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    fn new(server: &Server, query: &str, last_id: Option<u64>) -> Self {
        let mut stream = server.connect();
        let resume = last_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        stream.write_all(server.head(&format!("GET /api/v1/events{query}"), &resume).as_bytes()).unwrap();
        let mut me = Self { stream: BufReader::new(stream) };
        let mut line = String::new();
        while line != ":" {
            me.line(&mut line).expect("the stream opens");
        }
        me
    }

    fn line(&mut self, line: &mut String) -> Option<()> {
        line.clear();
        // The last line of a stream that was cut off has no end.
        if self.stream.read_line(line).ok()? == 0 || !line.ends_with('\n') {
            return None;
        }
        line.truncate(line.trim_end().len());
        Some(())
    }

    /// The next event: id, topic, data.
    fn event(&mut self) -> Option<(u64, String, Value)> {
        let (mut id, mut topic, mut line) = (0, String::new(), String::new());
        loop {
            self.line(&mut line)?;
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.parse().unwrap();
            } else if let Some(text) = line.strip_prefix("event: ") {
                topic = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((id, topic, serde_json::from_str(text).unwrap()));
            }
        }
    }
}

fn followed(server: &Server) -> Fake {
    let fake = Fake::start(&server.runs(), "paper");
    let started = Instant::now();
    while fake.subscribers() == 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "the service is followed");
        std::thread::sleep(Duration::from_millis(20));
    }
    fake
}

/// C-28
#[test]
fn a_client_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let server = Server::start(|_| {});
    let mut first = Listener::new(&server, "?topics=order,operation&variety=cu", None);
    let fake = followed(&server);
    let mut seen = Vec::new();
    let mut last = None;
    for part in 0..5 {
        for n in 0..20 {
            fake.tell("order", json!({ "n": part * 20 + n }));
            fake.tell("variety", json!({ "n": n }));
        }
        // Some are read, some are on their way when the client leaves.
        let mut listener = if part == 0 { first } else { Listener::new(&server, "?topics=order", last) };
        for _ in 0..13 {
            let (id, topic, data) = listener.event().unwrap();
            assert_eq!(topic, "order");
            assert!(last.is_none_or(|l| id > l));
            last = Some(id);
            seen.push(data["n"].as_u64().unwrap());
        }
        first = listener;
    }
    let mut rest = Listener::new(&server, "?topics=order", last);
    while seen.len() < 100 {
        seen.push(rest.event().unwrap().2["n"].as_u64().unwrap());
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    drop(first);
    let mut strange = Listener { stream: BufReader::new(server.connect()) };
    let head = server.head("GET /api/v1/events", "Last-Event-ID: 1\r\n");
    strange.stream.get_mut().write_all(head.as_bytes()).unwrap();
    assert_eq!(strange.event().unwrap().1, "reset");
    server.end();
}

/// C-29
#[test]
fn a_stalled_reader_is_cut_off_and_the_others_hear_at_once() {
    let server = Server::start(|c| c.sse_max = 3);
    let mut stalled = Listener::new(&server, "", None);
    let mut quick = Listener::new(&server, "?topics=alert", None);
    let fake = followed(&server);
    let large = "x".repeat(100_000);
    let mut slowest = Duration::ZERO;
    for n in 0..200 {
        let sent = Instant::now();
        fake.tell("alert", json!({ "n": n, "text": large }));
        assert_eq!(quick.event().unwrap().2["n"], n);
        slowest = slowest.max(sent.elapsed());
    }
    println!("20 MB beside a stalled reader: slowest event {slowest:?}");
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
    let mut events = 0;
    while stalled.event().is_some() {
        events += 1;
    }
    assert!(events < 200, "it was cut off");
    let metrics = server.raw(&server.head("GET /metrics", "Connection: close\r\n"));
    assert!(metrics.contains("events_dropped_total{reason=\"slow_reader\"} 1"), "{metrics}");
    assert!(metrics.contains("sse_clients 1\n"), "{metrics}");
    let _more = [Listener::new(&server, "", None), Listener::new(&server, "", None)];
    let (status, body) = server.get("/api/v1/events");
    assert_eq!((status, &body["code"]), (429, &json!("too_many_streams")));
    assert!(server.end() < Duration::from_secs(2), "streams end with the server");
}

/// C-14
#[test]
fn a_stream_ends_when_its_token_is_void() {
    let server = Server::start(|_| {});
    let store = ghtrader_control::TokenStore::new(&server.runs().join("control"));
    let made = store.create("desk", ghtrader_control::Role::Viewer, 1, ghtrader_control::wall_clock_ns()).unwrap();
    let mut listener = Listener { stream: BufReader::new(server.connect()) };
    let head = server.head("GET /api/v1/events", "").replace(&server.token, &made.secret);
    listener.stream.get_mut().write_all(head.as_bytes()).unwrap();
    store.revoke("desk", 0).unwrap();
    assert!(listener.event().is_none());
    server.end();
}

#[test]
fn one_server_a_root_which_leaves_nothing_behind() {
    let server = Server::start(|_| {});
    let runs = server.runs();
    let mut config = config(server.dir.path());
    config.runs_dir = runs.clone();
    let second = serve_until(config.clone(), |_| (), || Ok(async {})).unwrap_err();
    assert_eq!((second.code, second.class.exit_code()), ("already_running", 4));
    assert!(second.what.contains(&std::process::id().to_string()), "{}", second.what);
    let file = ServerFile::find(&runs).unwrap();
    assert_eq!((file.listening.clone(), file.pid), (server.ready.listening.clone(), std::process::id()));
    let taken = tempfile::tempdir().unwrap();
    let mut other = crate::world::config(taken.path());
    other.port = file.listening.rsplit(':').next().unwrap().parse().unwrap();
    let refused = serve_until(other, |_| (), || Ok(async {})).unwrap_err();
    assert_eq!((refused.code, refused.class.exit_code()), ("address_in_use", 4));
    let Server { dir, stop, thread, .. } = server;
    let _ = stop.send(());
    thread.join().unwrap().unwrap();
    assert_eq!(ServerFile::find(&runs), None);
    assert!(!runs.join("control/server.json").exists());
    let (ready, stop, thread) = run(config);
    assert_eq!(ready.token_file, runs.join("control/admin.token"));
    let _ = stop.send(());
    thread.join().unwrap().unwrap();
    drop(dir);
}

/// C-14
#[test]
fn a_start_that_is_refused_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.host = "0.0.0.0".to_owned();
    let refused = serve_until(config, |_| (), || Ok(async {})).unwrap_err();
    assert_eq!((refused.code, refused.class.exit_code()), ("insecure_bind", 2));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
