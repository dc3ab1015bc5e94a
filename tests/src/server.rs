//! A server whose answers are known, for commands that ask one.

use crate::{Program, write};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as sent.
    pub body: Vec<u8>,
}

type Answers = dyn Fn(&Asked, usize) -> (u16, Value) + Send + Sync;

/// A server that answers by a function of the request and of how many came before it on the same line.
pub struct Server {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Starts one on a root of its own, where the program finds it.
///
/// # Panics
/// If this machine gives no port or folder.
#[expect(clippy::expect_used, reason = "a test without its server fails")]
pub fn serve(answers: impl Fn(&Asked, usize) -> (u16, Value) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a folder");
    let listening = format!("http://{}", listener.local_addr().expect("an address"));
    let told = json!({ "listening": listening, "pid": 1, "token_file": "runs/control/admin-token" });
    write(&dir.path().join("runs/control/server.json"), told.to_string());
    write(&dir.path().join("runs/control/admin-token"), "ght_secret\n");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (answers, seen): (Arc<Answers>, _) = (Arc::new(answers), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answers, seen) = (answers.clone(), seen.clone());
            std::thread::spawn(move || answer(stream, &*answers, &seen));
        }
    });
    Server { dir, asked }
}

fn answer(mut stream: TcpStream, answers: &Answers, seen: &Mutex<Vec<Asked>>) {
    let Ok(reader) = stream.try_clone() else { return };
    let mut reader = BufReader::new(reader);
    while let Some(asked) = request(&mut reader) {
        let before = {
            let mut seen = held(seen);
            seen.push(asked.clone());
            seen.iter().filter(|a| a.line == asked.line).count() - 1
        };
        let (status, value) = answers(&asked, before);
        let text = value.to_string();
        let (length, kind) = (text.len(), "application/json");
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\ncontent-type: {kind}\r\n\r\n");
        if stream.write_all(format!("{head}{text}").as_bytes()).is_err() {
            return;
        }
    }
}

/// The next request of a connection; none where it ends.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |l: &String| l.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.to_owned()));
    let headers: BTreeMap<String, String> = lines.iter().skip(1).filter_map(header).collect();
    let mut body = vec![0; headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line: lines.first()?.trim_end_matches(" HTTP/1.1").to_owned(), headers, body })
}

impl Server {
    /// The root of the project whose server this is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program in that root.
    pub fn program(&self) -> Program {
        Program::new(self.dir.path())
    }

    /// Runs the program to the end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.program().run(args)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        held(&self.asked).clone()
    }

    /// The last request of a method.
    ///
    /// # Panics
    /// If there was none.
    #[expect(clippy::panic, reason = "a test that asks for what was not sent fails")]
    pub fn last(&self, method: &str) -> Asked {
        let found = self.asked().into_iter().rfind(|a| a.line.starts_with(method));
        found.unwrap_or_else(|| panic!("nothing was sent by {method}"))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
