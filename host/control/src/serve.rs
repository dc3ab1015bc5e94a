//! The server as a process: one a root, bound, announced, ended in order.

use crate::app::{App, CHANGES};
use crate::config::ControlConfig;
use crate::{batches, feed, plan, routes, socket};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{Lock, publish, remove, try_lock};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The server is ready for requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Such as `http://127.0.0.1:8600`.
    pub listening: String,
    /// File with the secret of the first token.
    pub token_file: PathBuf,
}

/// What a running server says of itself in `<runs>/control/server.json`, for other commands on the same root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Such as `http://127.0.0.1:8600`.
    pub listening: String,
    /// Its process.
    pub pid: u32,
    /// File with the secret of the first token.
    pub token_file: PathBuf,
}

impl ServerFile {
    fn path(runs_dir: &Path) -> PathBuf {
        runs_dir.join("control").join("server.json")
    }

    /// The server that runs on a root; none if none does, also where one was killed and left its file.
    pub fn find(runs_dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(Self::path(runs_dir)).ok()?;
        let is_free = matches!(try_lock(&lock_path(runs_dir)), Ok(Some(_)));
        if is_free { None } else { serde_json::from_slice(&bytes).ok() }
    }
}

fn lock_path(runs_dir: &Path) -> PathBuf {
    runs_dir.join("control").join("serve.lock")
}

/// Binds the API and runs until SIGINT or SIGTERM; a second signal ends the process at once.
///
/// # Errors
/// `already_running`, `insecure_bind`, `bad_host`, `address_in_use`, `address_unusable`, or what the folders give.
pub fn serve(config: ControlConfig, ready: impl FnOnce(Ready)) -> Result<(), Problem> {
    serve_until(config, ready, || {
        let [mut interrupt, mut terminate] = signals()?;
        Ok(async move {
            next(&mut interrupt, &mut terminate).await;
            tokio::spawn(async move { std::process::exit(next(&mut interrupt, &mut terminate).await) });
        })
    })
}

/// As [`serve`], until the future that `stop` gives is done. `stop` is called before anyone is told that the server is ready.
///
/// # Errors
/// As [`serve`].
pub fn serve_until<S: Future<Output = ()>>(
    config: ControlConfig,
    ready: impl FnOnce(Ready),
    stop: impl FnOnce() -> Result<S, Problem>,
) -> Result<(), Problem> {
    // Before anything is written: a start that is refused leaves no trace.
    config.address()?;
    let runs_dir = config.runs_dir.clone();
    let mut lock = own_root(&runs_dir)?;
    lock.sign(&std::process::id().to_string()).map_err(|e| unwritable(&lock_path(&runs_dir), &e))?;
    let app = App::open(config)?;
    plan::sweep(&app.config.control_dir(), app.now_ns());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("control").build();
    let runtime = runtime.map_err(|e| {
        let what = format!("no threads can be started: {e}");
        Problem::new("no_threads", ErrorClass::Unavailable, what, "raise the limit of processes")
    })?;
    let result = runtime.block_on(run(app, ready, stop));
    // What blocks still, such as a read of a service, is not worth waiting for.
    runtime.shutdown_background();
    let file = ServerFile::path(&runs_dir);
    let removed = remove(&file).map_err(|e| unwritable(&file, &e));
    result.and(removed)
}

fn own_root(runs_dir: &Path) -> Result<Lock, Problem> {
    let path = lock_path(runs_dir);
    match try_lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            let what = format!("the server of {} runs already, process {}", runs_dir.display(), owner.trim());
            Err(Problem::new("already_running", ErrorClass::Conflict, what, "use that one, or end it first"))
        }
        Err(e) => Err(unwritable(&path, &e)),
    }
}

fn unwritable(path: &Path, e: &io::Error) -> Problem {
    let what = format!("cannot write {}: {e}", path.display());
    if ghtrader_durable::is_full(e) {
        return Problem::new("disk_full", ErrorClass::Limit, what, "free some space");
    }
    Problem::new("control_unwritable", ErrorClass::User, what, "choose a root that may be written")
}

async fn run<S: Future<Output = ()>>(
    app: App,
    ready: impl FnOnce(Ready),
    stop: impl FnOnce() -> Result<S, Problem>,
) -> Result<(), Problem> {
    let address = SocketAddr::new(app.bound, app.config.port);
    let listener = TcpListener::bind(address).await.map_err(|e| unusable(address, &e))?;
    let address = listener.local_addr().map_err(|e| unusable(address, &e))?;
    let listening = format!("http://{address}");
    // Whoever reads this may run in another folder.
    let token_file = std::path::absolute(app.tokens.admin_file()).unwrap_or_else(|_| app.tokens.admin_file());
    let file = ServerFile { listening: listening.clone(), pid: std::process::id(), token_file: token_file.clone() };
    let path = ServerFile::path(&app.config.runs_dir);
    let written = serde_json::to_vec_pretty(&file).map_err(io::Error::from).and_then(|b| publish(&path, &b));
    written.map_err(|e| unwritable(&path, &e))?;
    let stop = stop()?;
    let runner = {
        let app = app.clone();
        // It blocks for as long as a batch runs, so it is no thread of the pool.
        std::thread::Builder::new().name("batches".to_owned()).spawn(move || batches::run(&app))
    };
    if let Err(error) = &runner {
        tracing::error!(%error, "no batch can be run");
    }
    let following = tokio::spawn(feed::follow(app.clone()));
    let accepting = tokio::spawn(socket::accept(listener, routes::of(app.clone()), app.config.timing, app.ended()));
    tracing::info!(listening, "the control API is ready");
    ready(Ready { listening, token_file });
    stop.await;
    tracing::info!("the control API ends");
    app.end();
    app.batches.end();
    // It ends within its own grace.
    let _ = accepting.await;
    // A change goes on when its client has left.
    let all = app.changes.acquire_many(CHANGES as u32);
    if tokio::time::timeout(app.config.timing.grace, all).await.is_err() {
        tracing::warn!("some changes are still under way");
    }
    following.abort();
    // A run that is called off ends at once; its thread writes down that it may go on.
    let ended = tokio::task::spawn_blocking(move || runner.map(std::thread::JoinHandle::join));
    if tokio::time::timeout(app.config.timing.grace, ended).await.is_err() {
        tracing::warn!("a batch is still being ended");
    }
    Ok(())
}

/// Waits for one of the two; gives the exit code of a process that it ends.
async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

fn signals() -> Result<[Signal; 2], Problem> {
    let listen = |kind| {
        signal(kind).map_err(|e| {
            let what = format!("signals cannot be listened to: {e}");
            Problem::new("no_signals", ErrorClass::Internal, what, "report this")
        })
    };
    Ok([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?])
}

fn unusable(address: SocketAddr, e: &io::Error) -> Problem {
    let what = format!("cannot listen on {address}: {e}");
    match e.kind() {
        io::ErrorKind::AddrInUse => Problem::new(
            "address_in_use",
            ErrorClass::Conflict,
            what,
            "choose another port with --port; 0 = any free one",
        ),
        _ => Problem::new("address_unusable", ErrorClass::User, what, "choose an address of this machine with --host"),
    }
}
