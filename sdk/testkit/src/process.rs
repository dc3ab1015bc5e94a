//! A native plugin in a process of its own: one that was compiled elsewhere, and may panic.

use crate::{answered, sdk_params};
use ghtrader_plugin::{
    Boundary, CallSite, FeatureDescription, FeatureInstance, Instrument, LabelDescription, LabelInstance, OutputColumn,
    Params, PluginFault, Step, StrategyDescription, StrategyInstance,
};
use ghtrader_sdk::native::{Call, Frame, write_params};
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::ops::Range;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// A call that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a process's last words that are passed on.
const LAST_LINES: usize = 5;

/// An instance of whatever role the program serves.
///
/// The program calls the hidden function that an export macro of the SDK puts into a crate. It is started with a socket as its
/// standard input; what it prints goes to standard error. Its end, however it comes, is a trap.
#[derive(Debug)]
pub struct NativeProcess {
    child: Child,
    socket: UnixStream,
    /// Reads its standard error to the end, so that a process that says much does not wait for a reader.
    last_words: Option<JoinHandle<Vec<String>>>,
    described: Described,
    /// Rows of earlier blocks, and of the one that is loaded.
    rows_before: u64,
    block_rows: u64,
}

/// What `init` answered, for each role.
#[derive(Debug)]
struct Described {
    feature: FeatureDescription,
    label: LabelDescription,
    strategy: StrategyDescription,
}

impl Drop for NativeProcess {
    fn drop(&mut self) {
        // It has nothing to save, and one that is gone already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl NativeProcess {
    /// Starts the program and an instance in it; `params` are complete (see `PluginManifest::resolve_params`).
    ///
    /// # Errors
    /// The plugin's own answer to `init`; a trap for a program that cannot be started or ends.
    pub fn new(program: &Path, params: &Params, instrument: &Instrument) -> Result<Self, PluginFault> {
        let failed = |e: std::io::Error| PluginFault::Trap {
            at: site("instantiate", 0..0),
            trap: format!("cannot start {}: {e}", program.display()),
            log: Vec::new(),
        };
        let (socket, theirs) = UnixStream::pair().map_err(failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let stdout = std::io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut child = Command::new(program)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::piped())
            // A panic's own line is what is looked for, not where it came through.
            .env("RUST_BACKTRACE", "0")
            .spawn()
            .map_err(failed)?;
        let last_words =
            child.stderr.take().map(|stderr| std::thread::spawn(move || last_lines(BufReader::new(stderr))));
        let described = Described::none();
        let mut process = Self { child, socket, last_words, described, rows_before: 0, block_rows: 0 };
        let frame = write_params(Frame::new(Call::Init as u64), &sdk_params(params))
            .text(&instrument.symbol)
            .word(instrument.price_tick.to_bits())
            .word(instrument.multiplier.to_bits());
        let mut answer = process.ask("init", 0..0, &frame)?;
        process.described = Described::read(&mut answer).map_err(|e| malformed("init", &e))?;
        Ok(process)
    }

    /// Sends a call and waits for what it gives.
    fn ask(&mut self, function: &'static str, rows: Range<u64>, frame: &Frame) -> Result<Frame, PluginFault> {
        let at = site(function, rows);
        let answer = frame.send(&mut self.socket).and_then(|()| Frame::receive(&mut self.socket));
        let mut answer = match answer {
            Ok(Some(answer)) => answer,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let limit_ms = PATIENCE.as_millis() as u64;
                let _ = self.child.kill();
                let (_, log) = self.end();
                return Err(PluginFault::Deadline { at, clock: "wall time", used_ms: limit_ms, limit_ms, log });
            }
            Ok(None) | Err(_) => {
                let (status, log) = self.end();
                return Err(PluginFault::Trap { at, trap: format!("the native process ended with {status}"), log });
            }
        };
        match answer.take() {
            Ok(0) => Ok(answer),
            Ok(kind) => {
                let message = answer.take_text().unwrap_or_default();
                Err(answered(
                    at,
                    match kind {
                        1 => ghtrader_sdk::PluginError::InvalidInput(message),
                        2 => ghtrader_sdk::PluginError::NotReady(message),
                        _ => ghtrader_sdk::PluginError::Other(message),
                    },
                ))
            }
            Err(e) => Err(malformed(function, &e)),
        }
    }

    /// Waits for the end of a process that has been told: how it ended, and its last words, which have file and line of a panic.
    fn end(&mut self) -> (String, Vec<String>) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let status = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        let log = self.last_words.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        (status, log)
    }

    fn compute_rows(&mut self, count: u64, frame: &Frame, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let answer = self.ask("compute", self.rows_before..self.rows_before + count, frame)?;
        out.extend(answer.rest().iter().map(|word| f64::from_bits(*word)));
        self.rows_before += count;
        Ok(())
    }
}

impl Described {
    fn none() -> Self {
        Self {
            feature: FeatureDescription { inputs: Vec::new(), outputs: Vec::new(), warmup_rows: 0 },
            label: LabelDescription { inputs: Vec::new(), outputs: Vec::new(), lookahead_rows: 0 },
            strategy: StrategyDescription { inputs: Vec::new(), warmup_rows: 0 },
        }
    }

    fn read(answer: &mut Frame) -> std::io::Result<Self> {
        let inputs: Vec<String> = (0..answer.take_small()?).map(|_| answer.take_text()).collect::<Result<_, _>>()?;
        let outputs: Vec<OutputColumn> = (0..answer.take_small()?)
            .map(|_| Ok(OutputColumn { name: answer.take_text()?, unit: answer.take_text()? }))
            .collect::<std::io::Result<_>>()?;
        let rows = answer.take_small()?;
        Ok(Self {
            feature: FeatureDescription { inputs: inputs.clone(), outputs: outputs.clone(), warmup_rows: rows },
            label: LabelDescription { inputs: inputs.clone(), outputs, lookahead_rows: rows },
            strategy: StrategyDescription { inputs, warmup_rows: rows },
        })
    }
}

fn last_lines(stderr: BufReader<std::process::ChildStderr>) -> Vec<String> {
    let mut last = VecDeque::new();
    for line in stderr.lines().map_while(Result::ok).filter(|line| !line.is_empty() && !line.starts_with("note: ")) {
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    last.into()
}

fn site(function: &'static str, rows: Range<u64>) -> CallSite {
    CallSite { plugin: "native".into(), function, rows }
}

fn malformed(function: &'static str, error: &std::io::Error) -> PluginFault {
    PluginFault::Contract { at: site(function, 0..0), what: format!("the native build answered wrongly: {error}") }
}

impl FeatureInstance for NativeProcess {
    fn description(&self) -> &FeatureDescription {
        &self.described.feature
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        let rows = self.rows_before..self.rows_before;
        self.ask("boundary", rows, &Frame::new(Call::Boundary as u64).word(kind as u64)).map(drop)
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let count = (rows.len() / self.described.feature.inputs.len().max(1)) as u64;
        let frame = Frame::new(Call::Compute as u64).word(count).words(rows.iter().copied());
        self.compute_rows(count, &frame, out)
    }
}

impl LabelInstance for NativeProcess {
    fn description(&self) -> &LabelDescription {
        &self.described.label
    }

    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let frame = Frame::new(Call::Compute as u64).word(u64::from(emit)).words(rows.iter().copied());
        self.compute_rows(u64::from(emit), &frame, out)
    }
}

impl StrategyInstance for NativeProcess {
    fn description(&self) -> &StrategyDescription {
        &self.described.strategy
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        let &Step { rows, start, until, account, events } = step;
        if let Some(rows) = rows {
            self.rows_before += std::mem::take(&mut self.block_rows);
            self.block_rows = (rows.len() / self.described.strategy.inputs.len().max(1)) as u64;
            let range = self.rows_before..self.rows_before + self.block_rows;
            self.ask("run", range, &Frame::new(Call::Load as u64).words(rows.iter().copied()))?;
        }
        let frame = Frame::new(Call::Run as u64)
            .words([u64::from(start), u64::from(until)])
            .words([account.contract, account.long_lots, account.short_lots].map(u64::from))
            .words([account.balance_cny.to_bits(), account.available_cny.to_bits()])
            .word(u64::from(account.working_orders))
            .words(events.iter().copied());
        let range = self.rows_before + u64::from(start)..self.rows_before + u64::from(until.max(start));
        let mut answer = self.ask("run", range, &frame)?;
        let at = answer.take_small().map_err(|e| malformed("run", &e))?;
        actions.extend_from_slice(answer.rest());
        Ok(at)
    }
}
