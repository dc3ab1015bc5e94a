//! Jobs run by a child process that is watched: a job that kills it is found out, and after three deaths set aside.
//!
//! The child says on its output which jobs it begins and ends. When it dies, those begun and not ended are suspects: each
//! runs alone in a child of its own, so that it can hurt no other; the rest goes on.

use crate::results::{Kind, Results, State};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_durable::io_problem;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Deaths after which a job is set aside.
pub const STRIKES: u32 = 3;
/// Deaths in a row without a job begun after which nothing more is tried.
const BARREN: u32 = 3;
/// Exit codes by which a child ends of its own: all there, some missing or failed, refused, refused.
const ORDERLY: [i32; 4] = [0, 1, 2, 4];
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a supervised run ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every chunk was carried out.
    Through,
    /// A child refused, by this exit code; another try cannot help.
    Refused(u8),
}

/// A line of the child that concerns a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// `start ID`
    Start(Digest),
    /// `done ID`
    Done(Digest),
}

impl Said {
    /// Reads a line; none where it is about no job.
    pub fn parse(line: &str) -> Option<Self> {
        let (word, id) = line.trim().split_once(' ')?;
        let id = id.parse().ok()?;
        match word {
            "start" => Some(Self::Start(id)),
            "done" => Some(Self::Done(id)),
            _ => None,
        }
    }
}

/// How children are made and what is heard of them.
pub struct Supervision<'a> {
    /// A child that runs the ids in a file, one a line; alone = one thread.
    pub command: &'a dyn Fn(&Path, bool) -> Command,
    /// Longest time of a job before its process is killed.
    pub job_timeout: Duration,
    /// Every line about a job.
    pub heard: &'a mut dyn FnMut(Said),
    /// Every other line of the child's standard output.
    pub other: &'a mut dyn FnMut(&str),
    /// Every line of the child's standard error.
    pub stderr: &'a (dyn Fn(&str) + Sync),
}

/// How a process died: exit code or signal, and its last line on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Death {
    /// Exit code, where it ended by one.
    pub exit_code: Option<i32>,
    /// Signal, where one ended it.
    pub signal: Option<i32>,
    /// Last line of its standard error.
    pub stderr: String,
}

impl Death {
    fn of(status: ExitStatus, stderr: String) -> Self {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Self { exit_code: status.code(), signal, stderr }
    }

    /// The document that sets a job aside.
    pub fn document(&self, id: &Digest) -> Value {
        json!({ "id": id, "code": "poison", "exit_code": self.exit_code, "signal": self.signal, "stderr": self.stderr })
    }
}

/// Runs jobs by children until each is settled, set aside, or failed for want of something.
///
/// # Errors
/// A child that cannot be started, or that dies again and again before it begins a job; a folder that cannot be written.
pub fn supervise(ids: &[Digest], results: &Results, mut by: Supervision<'_>) -> Result<Ending, Problem> {
    let mut strikes: BTreeMap<Digest, u32> = BTreeMap::new();
    let mut barren = 0;
    let mut queue: VecDeque<Vec<Digest>> = VecDeque::from([unsettled(ids, results)?]);
    while let Some(chunk) = queue.pop_front() {
        if chunk.is_empty() {
            continue;
        }
        let alone = chunk.len() == 1 && strikes.contains_key(&chunk[0]);
        let round = round(&chunk, alone, &mut by)?;
        let code = round.status.code();
        if let Some(code) = code.filter(|c| ORDERLY.contains(c)) {
            if let Ok(code @ (2 | 4)) = u8::try_from(code) {
                return Ok(Ending::Refused(code));
            }
            continue;
        }
        let left = unsettled(&chunk, results)?;
        let suspects: Vec<Digest> = left.iter().filter(|id| round.begun.contains(id)).copied().collect();
        let death = Death::of(round.status, round.stderr);
        if suspects.is_empty() {
            barren = if left.len() == chunk.len() { barren + 1 } else { 0 };
            if barren >= BARREN {
                let how = death.signal.map_or_else(|| format!("exit code {code:?}"), |s| format!("signal {s}"));
                return Err(Problem::new(
                    "worker_died",
                    ErrorClass::Unavailable,
                    format!("the worker died {barren} times before it began a job, by {how}: {}", death.stderr),
                    "mend the cause named and run the command again",
                ));
            }
        }
        for id in &suspects {
            let count = strikes.entry(*id).or_default();
            *count += 1;
            if *count >= STRIKES {
                results.put(Kind::Poison, id, &death.document(id))?;
            } else {
                queue.push_back(vec![*id]);
            }
        }
        // The rest behind the suspects: a job that needs the machine for itself has it now.
        queue.push_back(left.into_iter().filter(|id| !suspects.contains(id)).collect());
    }
    Ok(Ending::Through)
}

fn unsettled(ids: &[Digest], results: &Results) -> Result<Vec<Digest>, Problem> {
    let mut left = Vec::new();
    for id in ids {
        if !matches!(results.state(id)?, State::Settled(_)) {
            left.push(*id);
        }
    }
    Ok(left)
}

struct Round {
    status: ExitStatus,
    begun: BTreeSet<Digest>,
    stderr: String,
}

enum Heard {
    Line(String),
    End,
}

/// One child from its start to its end.
fn round(chunk: &[Digest], alone: bool, by: &mut Supervision<'_>) -> Result<Round, Problem> {
    let failed = |e: std::io::Error| io_problem("worker_unstarted", "the worker cannot be started", &e);
    let mut jobs = tempfile::NamedTempFile::new().map_err(failed)?;
    let list: String = chunk.iter().map(|id| format!("{id}\n")).collect();
    jobs.write_all(list.as_bytes()).map_err(failed)?;
    let mut command = (by.command)(jobs.path(), alone);
    // Its input is a pipe that nobody writes to: it ends with this process, however that ends, and the child with it.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child: Child = command.spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let forward = by.stderr;
    let (send, receive) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                if send.send(Heard::Line(line)).is_err() {
                    return;
                }
            }
            // Nobody listens any more once the child was given up.
            let _ = send.send(Heard::End);
        });
        let last = scope.spawn(move || {
            let mut last = String::new();
            for line in stderr.into_iter().flat_map(|err| BufReader::new(err).lines()).map_while(Result::ok) {
                forward(&line);
                if !line.trim().is_empty() {
                    last = line;
                }
            }
            last
        });
        let mut begun: BTreeMap<Digest, Instant> = BTreeMap::new();
        let mut overdue = false;
        loop {
            match receive.recv_timeout(LOOK_EVERY) {
                Ok(Heard::Line(line)) => {
                    let Some(said) = Said::parse(&line) else {
                        (by.other)(&line);
                        continue;
                    };
                    match said {
                        Said::Start(id) => drop(begun.insert(id, Instant::now())),
                        Said::Done(id) => drop(begun.remove(&id)),
                    }
                    (by.heard)(said);
                }
                Ok(Heard::End) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    if !overdue && begun.values().any(|since| since.elapsed() > by.job_timeout) {
                        overdue = true;
                        child.kill().map_err(failed)?;
                    }
                }
            }
        }
        let status = child.wait().map_err(failed)?;
        let said = last.join().unwrap_or_default();
        let limit_s = by.job_timeout.as_secs();
        let stderr = if overdue { format!("killed: a job took longer than {limit_s} s; {said}") } else { said };
        Ok(Round { status, begun: begun.into_keys().collect(), stderr })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: u8) -> Vec<Digest> {
        (0..n).map(|k| Digest::of(&[k])).collect()
    }

    /// A child in the shell: begins each job, dies on `bad`, and publishes nothing by itself (the test does).
    fn run(ids: &[Digest], bad: &Digest, results: &Results) -> (Result<Ending, Problem>, Vec<Said>) {
        let script = format!(
            "while read id; do echo start $id; if [ $id = {bad} ]; then echo it hurts >&2; kill -9 $$; fi; echo done $id; \
             done < \"$0\""
        );
        let command = |file: &Path, _: bool| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(&script).arg(file);
            command
        };
        let mut said = Vec::new();
        let mut heard = |line: Said| {
            if let Said::Done(id) = line {
                results.put(Kind::Result, &id, &json!({})).expect("put");
            }
            said.push(line);
        };
        let job_timeout = Duration::from_secs(60);
        let by = Supervision { command: &command, job_timeout, heard: &mut heard, other: &mut |_| {}, stderr: &|_| {} };
        let ending = supervise(ids, results, by);
        (ending, said)
    }

    /// B-28
    #[test]
    fn a_job_that_kills_its_process_three_times_is_set_aside_and_the_rest_finishes() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results::open(dir.path()).expect("open");
        let ids = ids(10);
        let (ending, said) = run(&ids, &ids[3], &results);
        assert_eq!(ending, Ok(Ending::Through));
        assert_eq!(said.iter().filter(|s| **s == Said::Start(ids[3])).count(), STRIKES as usize);
        for (k, id) in ids.iter().enumerate() {
            let kind = if k == 3 { Kind::Poison } else { Kind::Result };
            assert_eq!(results.state(id), Ok(State::Settled(kind)), "{k}");
        }
        let poison = results.read(Kind::Poison, &ids[3]).expect("read").expect("there");
        assert_eq!((poison["signal"].as_i64(), poison["stderr"].as_str()), (Some(9), Some("it hurts")));
        // Settled is settled: nothing is begun again.
        assert_eq!(run(&ids, &ids[3], &results).1, []);
    }

    #[test]
    fn a_worker_that_never_begins_and_one_that_refuses_are_no_jobs_fault() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results::open(dir.path()).expect("open");
        for (script, code) in [("exit 70", None), ("exit 4", Some(4)), ("exit 2", Some(2))] {
            let command = |_: &Path, _: bool| {
                let mut command = Command::new("sh");
                command.arg("-c").arg(script);
                command
            };
            let job_timeout = Duration::from_secs(60);
            let by =
                Supervision { command: &command, job_timeout, heard: &mut |_| {}, other: &mut |_| {}, stderr: &|_| {} };
            let ending = supervise(&ids(3), &results, by);
            match code {
                Some(code) => assert_eq!(ending, Ok(Ending::Refused(code))),
                None => assert_eq!(ending.expect_err("died").code, "worker_died"),
            }
        }
        assert_eq!(results.listed(Kind::Poison).expect("listed").len(), 0);
    }

    #[test]
    fn a_job_that_never_ends_is_a_suspect_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results::open(dir.path()).expect("open");
        let ids = ids(1);
        let command = |file: &Path, _: bool| {
            let mut command = Command::new("sh");
            command.arg("-c").arg("read id < \"$0\"; echo start $id; exec sleep 600").arg(file);
            command
        };
        let by = Supervision {
            command: &command,
            job_timeout: Duration::ZERO,
            heard: &mut |_| {},
            other: &mut |_| {},
            stderr: &|_| {},
        };
        assert_eq!(supervise(&ids, &results, by), Ok(Ending::Through));
        let poison = results.read(Kind::Poison, &ids[0]).expect("read").expect("set aside");
        assert!(poison["stderr"].as_str().is_some_and(|s| s.contains("took longer")), "{poison}");
    }
}
