//! Progress on stderr: a line that redraws itself on a terminal, a line each ten seconds elsewhere, JSON lines on demand.

use clap::ValueEnum;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A bar on a terminal, nothing elsewhere.
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

struct State {
    mode: ProgressMode,
    started: Instant,
    shown: Option<Instant>,
    phase: String,
    drawn: bool,
}

/// Shows how far a command is; never fails and never slows it.
pub(crate) struct Progress(Mutex<State>);

impl Progress {
    pub(crate) fn new(mode: ProgressMode, quiet: bool, json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let mode = match mode {
            _ if quiet => ProgressMode::None,
            ProgressMode::Auto if terminal && !json => ProgressMode::Bar,
            ProgressMode::Auto => ProgressMode::None,
            ProgressMode::Bar if !terminal => ProgressMode::Plain,
            other => other,
        };
        let state = State { mode, started: Instant::now(), shown: None, phase: String::new(), drawn: false };
        Self(Mutex::new(state))
    }

    /// How it is shown.
    pub(crate) fn mode(&self) -> ProgressMode {
        self.0.lock().map_or(ProgressMode::None, |state| state.mode)
    }

    /// `done` of `total` units of a phase; `total` 0 = unknown.
    pub(crate) fn show(&self, phase: &str, item: &str, done: u64, total: u64, unit: &str) {
        let Ok(mut state) = self.0.lock() else { return };
        if state.mode == ProgressMode::None {
            return;
        }
        let now = Instant::now();
        if state.phase != phase {
            phase.clone_into(&mut state.phase);
            state.started = now;
            state.shown = None;
        }
        let finished = total > 0 && done >= total;
        let pause =
            if state.mode == ProgressMode::Plain { Duration::from_secs(10) } else { Duration::from_millis(100) };
        if !finished && state.shown.is_some_and(|last| now - last < pause) {
            return;
        }
        state.shown = Some(now);
        let seconds = (now - state.started).as_secs_f64();
        let rate = if seconds > 0.0 { done as f64 / seconds } else { 0.0 };
        let left_s = if total > done && rate > 0.0 { (total - done) as f64 / rate } else { 0.0 };
        let share = if total > 0 { done as f64 / total as f64 } else { 0.0 };
        let mut err = std::io::stderr().lock();
        let _ = match state.mode {
            ProgressMode::Json => writeln!(
                err,
                "{}",
                json!({"phase": phase, "item": item, "done": done, "total": total, "unit": unit, "share": share,
                       "rate_per_s": rate, "left_s": left_s})
            ),
            ProgressMode::Bar => {
                state.drawn = true;
                write!(
                    err,
                    "\r\x1b[K{phase} {:3.0} %  {} {unit}/s  {left_s:.0} s left  {item}",
                    share * 100.0,
                    human(rate)
                )
            }
            _ => writeln!(err, "{phase} {:.0} %  {} {unit}/s  {left_s:.0} s left  {item}", share * 100.0, human(rate)),
        };
        let _ = err.flush();
    }

    /// Ends the line that redraws itself.
    pub(crate) fn finish(&self) {
        if let Ok(mut state) = self.0.lock()
            && std::mem::take(&mut state.drawn)
        {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn human(rate: f64) -> String {
    match rate {
        r if r >= 1e6 => format!("{:.1} M", r / 1e6),
        r if r >= 1e3 => format!("{:.0} k", r / 1e3),
        r => format!("{r:.0}"),
    }
}
