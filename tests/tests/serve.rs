//! The control API as a process: started, asked, killed at any moment, started again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use ghtrader_tests::{Program, artefacts};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Server {
    fn start(root: &Path) -> Self {
        let mut command = Program::new(root).command(&["serve", "--port", "0", "--json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let token_file = root.join(ready["token_file"].as_str().unwrap());
        let token = std::fs::read_to_string(token_file).unwrap().trim().to_owned();
        Self { child, url: ready["listening"].as_str().unwrap().to_owned(), token }
    }

    /// Asks; nothing if the server has gone.
    fn try_ask(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<(u16, Value)> {
        let (method, path) = line.split_once(' ').unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build();
        let agent = ureq::Agent::new_with_config(config);
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}/api/v1{path}", self.url));
        request = request.header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = agent.run(request.body(body.to_vec()).unwrap()).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_json().ok()?))
    }

    fn ask(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        self.try_ask(line, headers, body).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(&format!("GET {path}"), &[], &[]);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn push(&self, name: &str) -> String {
        let bytes = std::fs::read(artefacts().join(format!("{name}.wasm"))).unwrap();
        let (status, body) = self.ask("POST /plugins", &[("content-type", "application/wasm")], &bytes);
        assert!([200, 201].contains(&status), "{body}");
        body["digest"].as_str().unwrap().to_owned()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

const TAG: &str = "/plugins/strategy/taker/tags/champion";

/// C-02, C-03, C-11, C-23 (the server itself)
#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(root.path());
    let digest = server.push("taker");
    server.kill();
    let body = json!({ "digest": digest }).to_string();
    let mut acknowledged = 0_u64;
    for moment_ms in [60, 90, 130] {
        let server = Server::start(root.path());
        let (url, token) = (server.url.clone(), server.token.clone());
        let first = acknowledged;
        let writer = std::thread::spawn({
            let body = body.clone();
            move || {
                let asking = Server { child: Command::new("true").spawn().unwrap(), url, token };
                let mut done = first;
                loop {
                    let (key, generation) = (format!("move-{done}"), format!("\"{done}\""));
                    let headers = [("if-match", generation.as_str()), ("idempotency-key", key.as_str())];
                    let Some((status, answer)) = asking.try_ask(&format!("PUT {TAG}"), &headers, body.as_bytes())
                    else {
                        asking.kill();
                        return done;
                    };
                    // A move that was made and not acknowledged before the kill before: it is there, and says so.
                    assert!([200, 201, 412].contains(&status), "{answer}");
                    done = answer["generation"].as_u64().unwrap();
                }
            }
        });
        std::thread::sleep(Duration::from_millis(moment_ms));
        server.kill();
        acknowledged = writer.join().unwrap();
    }
    assert!(acknowledged > 0, "something was written");
    let server = Server::start(root.path());
    let tag = server.get(TAG);
    let now = tag["generation"].as_u64().unwrap();
    assert!(now == acknowledged || now == acknowledged + 1, "{acknowledged} acknowledged, {now} there");
    assert_eq!(tag["moves"].as_array().unwrap().len() as u64, now);
    let again = format!("\"{}\"", acknowledged - 1);
    let key = format!("move-{}", acknowledged - 1);
    let headers = [("if-match", again.as_str()), ("idempotency-key", key.as_str())];
    let (status, answer) = server.ask(&format!("PUT {TAG}"), &headers, body.as_bytes());
    assert_eq!(answer["generation"], acknowledged, "{status}: the answer that was given, or the generation that is");
    assert_eq!(server.get("/plugins")["total"], 1);
    assert_eq!(server.get("/audit/verify")["intact"], true);
    assert_eq!(server.terminate(), Some(0));
    assert!(!root.path().join("runs/control/server.json").exists());
}

/// C-14
#[test]
fn a_start_that_must_not_be_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let program = Program::new(root.path());
    let (code, body) = program.json(&["serve", "--host", "0.0.0.0"]);
    assert_eq!((code, &body["error"]["code"]), (2, &json!("insecure_bind")));
    assert!(!root.path().join("runs").exists(), "nothing was made");
    let server = Server::start(root.path());
    let (code, body) = program.json(&["serve", "--port", "0"]);
    assert_eq!((code, &body["error"]["code"]), (4, &json!("already_running")));
    assert!(body["error"]["what"].as_str().unwrap().contains(&server.child.id().to_string()), "{body}");
    assert_eq!(server.terminate(), Some(0));
}

/// C-14, C-15
#[test]
fn tokens_of_a_terminal_hold_at_once() {
    let root = tempfile::tempdir().unwrap();
    let program = Program::new(root.path());
    let mut server = Server::start(root.path());
    let admin = server.token.clone();
    let made = program.ok(&["token", "create", "--role", "viewer", "--name", "desk", "--days", "1"]);
    server.token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/plugins")["total"], 0);
    assert_eq!(server.ask("POST /tokens", &[], b"{}").1["code"], "role_too_low");
    let listed = program.ok(&["token", "list"]);
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(server.token.as_str()));
    program.ok(&["token", "revoke", "desk"]);
    assert_eq!(server.ask("GET /plugins", &[], &[]).1["code"], "token_unknown");
    let (code, body) = program.json(&["token", "revoke", "desk"]);
    assert_eq!((code, &body["error"]["code"]), (2, &json!("unknown_token")));
    server.token = admin;
    let actions = server.get("/audit?actor=terminal");
    assert_eq!(actions["total"], 2);
    server.terminate();
}

/// C-13
#[test]
fn the_description_is_printed_as_it_is_checked_in() {
    let root = tempfile::tempdir().unwrap();
    let printed = Program::new(root.path()).run(&["serve", "--print-openapi"]).stdout;
    assert!(printed == std::fs::read(ghtrader_tests::root().join("docs/openapi.json")).unwrap());
}
