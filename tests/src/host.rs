//! A host as a user runs it: the control API and a paper account, each a process, in a root of their own.

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time that a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer that is read, bytes.
const LARGEST_ANSWER: u64 = 256 << 20;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// One end of the control API.
#[derive(Debug, Clone)]
pub struct Api {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// An answer that was read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The document, null where there is none.
    pub body: Value,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The request was carried out or taken on.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and code, as a refusal is told apart.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl Api {
    /// The same server for the holder of another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Asks, such as `PUT /plugins/feature/echo/tags/champion`.
    ///
    /// # Errors
    /// The answer did not come, or not to its end.
    pub fn ask(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let (method, path) = line.split_once(' ').context("a method and a path")?;
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}/api/v1{path}", self.url));
        request = request.header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = self.agent.run(request.body(body.to_vec())?)?;
        let status = answer.status().as_u16();
        let bytes = answer.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec()?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes })
    }

    /// Reads a thing that must be there.
    ///
    /// # Errors
    /// As [`Self::ask`], and any refusal.
    pub fn get(&self, path: &str) -> Result<Value> {
        done(self.ask(&format!("GET {path}"), &[], &[])?)
    }

    /// Changes a thing at the generation that was seen.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn send(&self, line: &str, generation: Option<u64>, body: &Value) -> Result<Answer> {
        let seen = generation.map(|g| format!("\"{g}\""));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(seen.as_deref().map(|g| ("if-match", g)));
        self.ask(line, &headers, body.to_string().as_bytes())
    }

    /// Pushes an artefact.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn push(&self, artefact: &[u8]) -> Result<Answer> {
        self.ask("POST /plugins", &[("content-type", "application/wasm")], artefact)
    }

    /// Waits until an operation has reached a state or has ended; gives it as it is then.
    ///
    /// # Errors
    /// As [`Self::get`], and time that runs out.
    pub fn follow(&self, id: &str, until: &str) -> Result<Value> {
        patiently(&format!("operation {id} is not {until}"), || {
            let operation = self.get(&format!("/operations/{id}"))?;
            Ok((operation["state"] == until || operation["ended"] == true).then_some(operation))
        })
    }
}

/// The document of an answer that is no refusal.
///
/// # Errors
/// The refusal.
pub fn done(answer: Answer) -> Result<Value> {
    if answer.is_ok() { Ok(answer.body) } else { bail!("{}: {}", answer.status, answer.body) }
}

/// Looks again and again.
///
/// # Errors
/// What the look gives, and time that runs out.
pub fn patiently<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if began.elapsed() > PATIENCE {
            bail!("{what} after {PATIENCE:?}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Both processes; whatever runs ends with this value.
#[derive(Debug)]
pub struct Host {
    program: PathBuf,
    root: PathBuf,
    settings: Vec<String>,
    server: Option<Child>,
    service: Option<Child>,
    api: Option<Api>,
}

impl Host {
    /// A host of a program in a root, with settings such as `lineup.prove_ticks=20`.
    pub fn new(program: &Path, root: &Path, settings: &[&str]) -> Self {
        let settings = settings.iter().flat_map(|s| ["--set".to_owned(), (*s).to_owned()]).collect();
        Self { program: program.into(), root: root.into(), settings, server: None, service: None, api: None }
    }

    /// Folder of the project.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The API of the server that was started last.
    ///
    /// # Errors
    /// None was started.
    pub fn api(&self) -> Result<&Api> {
        self.api.as_ref().context("no server was started")
    }

    /// The program in this root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).args(&self.settings).arg("--root").arg(&self.root).current_dir(&self.root);
        command
    }

    /// Puts the reference plugins where `paper run` looks for them first.
    ///
    /// # Errors
    /// They are not there.
    pub fn bring(&self, artefacts: &Path) -> Result<()> {
        let own = self.root.join("artifacts");
        std::fs::create_dir_all(&own)?;
        for name in ["core-factors.wasm", "taker.wasm"] {
            std::fs::copy(artefacts.join(name), own.join(name))?;
        }
        Ok(())
    }

    /// Starts the control API and waits until it answers.
    ///
    /// # Errors
    /// It does not come up.
    pub fn serve(&mut self) -> Result<()> {
        self.serve_behind("")
    }

    /// As [`Self::serve`], behind commands of a shell such as `ulimit -f 8;`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn serve_behind(&mut self, shell: &str) -> Result<()> {
        let own = self.command(&["serve", "--port", "0", "--json"]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shell} exec \"$0\" \"$@\"")).arg(own.get_program()).args(own.get_args());
        command.current_dir(&self.root).stdout(Stdio::piped()).stderr(self.log("serve")?);
        let server = self.server.insert(command.spawn()?);
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("its output")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).map_err(|_| anyhow!("{}", self.said("serve")))?;
        let told = |name: &str| ready[name].as_str().with_context(|| format!("no {name} in {line}"));
        let token = std::fs::read_to_string(self.root.join(told("token_file")?))?.trim().to_owned();
        let config = ureq::Agent::config_builder();
        let config = config.http_status_as_error(false).allow_non_standard_methods(true).proxy(None);
        let agent = config.timeout_global(Some(PATIENCE)).build().into();
        self.api = Some(Api { agent, url: told("listening")?.to_owned(), token });
        Ok(())
    }

    /// Starts an account, `paper run` with these flags, and waits until it listens.
    ///
    /// # Errors
    /// It does not come up.
    pub fn run(&mut self, flags: &[&str]) -> Result<()> {
        let socket = self.root.join("runs/trading/paper/service.sock");
        // One that was killed has left its own.
        std::fs::remove_file(&socket).or_else(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(e),
        })?;
        let args: Vec<&str> = ["paper", "run"].iter().chain(flags).copied().collect();
        let mut command = self.command(&args);
        command.stdout(Stdio::null()).stderr(self.log("paper")?);
        self.service = Some(command.spawn()?);
        patiently("the account does not listen", || match self.service.as_mut().map(Child::try_wait) {
            // The file is there before anybody listens.
            Some(Ok(None)) => Ok(UnixStream::connect(&socket).ok().map(drop)),
            _ => bail!("the account has ended: {}", self.said("paper")),
        })
    }

    /// Kills the control API.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill_server(&mut self) -> Result<()> {
        kill(self.server.take())
    }

    /// Kills the account.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill_service(&mut self) -> Result<()> {
        kill(self.service.take())
    }

    /// What a process has written to its standard error.
    pub fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.join(format!("{name}.log"))).unwrap_or_default()
    }

    fn log(&self, name: &str) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.root.join(format!("{name}.log")))?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What does not end now ends with the machine.
        let _ = (self.kill_server(), self.kill_service());
    }
}

/// Kills and waits, so that nothing of it holds a lock any more.
fn kill(child: Option<Child>) -> Result<()> {
    let Some(mut child) = child else { return Ok(()) };
    child.kill()?;
    child.wait()?;
    Ok(())
}
