//! `ghtrader sim serve` over files that a test wrote, for commands that ask a source.

use crate::Program;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The server; it ends with this value.
pub struct SimServer {
    child: Child,
    /// Its addresses: `md`, `td`, `auth`, `holidays`, `contracts`.
    pub ready: Value,
}

impl SimServer {
    /// Serves tick files as history: the market's clock stands at their end.
    ///
    /// # Panics
    /// If it does not start.
    pub fn history(dir: &Path, files: &[PathBuf]) -> Self {
        Self::start(dir, files, &["--listen", "127.0.0.1:0", "--start", "end", "--speed", "0"])
    }

    /// Serves tick files as the flags say.
    ///
    /// # Panics
    /// If it does not start.
    #[expect(clippy::expect_used, clippy::panic, reason = "a test without its server fails")]
    pub fn start(dir: &Path, files: &[PathBuf], flags: &[&str]) -> Self {
        let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        let head = ["sim", "serve"].into_iter().chain(flags.iter().copied()).chain(["--data"]);
        let args: Vec<&str> = head.chain(files.iter().map(String::as_str)).collect();
        let mut command = Program::new(dir).command(&args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        Self { child, ready }
    }

    /// One of its addresses.
    pub fn url(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap_or_default().to_owned()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Has a command ask this server, without long waits.
    pub fn serve(&self, command: &mut Command) {
        let url = |name: &str| self.url(name);
        command.env("GHTRADER_DIFF_USER", "ann").env("GHTRADER_DIFF_PASSWORD", "any");
        command.env("GHTRADER_DIFF_AUTH_URL", url("auth")).env("GHTRADER_DIFF_MD_URL", url("md"));
        command.env("GHTRADER_DIFF_CONTRACTS_URL", url("contracts"));
        for (key, value) in [
            ("PAGE_PAUSE_MS", "0"),
            ("RETRY_FIRST_S", "0.02"),
            ("RETRIES", "1"),
            ("MAINTENANCE_HOURS", "\"\""),
            ("PAGE_TIMEOUT_S", "20"),
        ] {
            command.env(format!("GHTRADER_DOWNLOAD_{key}"), value);
        }
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.kill();
    }
}
