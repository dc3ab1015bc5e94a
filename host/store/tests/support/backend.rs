//! The two back ends as the conformance tests see them, and a real server for one of them.

use ghtrader_store::{EmbeddedStore, QuestDbOptions, QuestDbStore, Store};
use questdb_server::{Options, Server};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// A place for a store that nobody else uses.
pub(crate) trait Backend {
    /// Opens the store; every time the same one.
    fn open(&self) -> Box<dyn Store>;
    /// How many cases of a property are worth their time.
    fn cases(&self) -> u32;
}

pub(crate) struct Embedded(TempDir);

impl Embedded {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Backend for Embedded {
    fn open(&self) -> Box<dyn Store> {
        Box::new(EmbeddedStore::open(self.0.path()).unwrap())
    }
    fn cases(&self) -> u32 {
        24
    }
}

pub(crate) struct QuestDb {
    options: QuestDbOptions,
    _cache: TempDir,
}

impl QuestDb {
    /// Tables of their own on the server that the tests of this binary share; `None` where there is no server to be had.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let cache = tempfile::tempdir().unwrap();
        let prefix = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let options = QuestDbOptions { prefix, ..options_of(&shared_server()?.url(), cache.path().to_owned()) };
        Some(Self { options, _cache: cache })
    }
}

impl Backend for QuestDb {
    fn open(&self) -> Box<dyn Store> {
        Box::new(QuestDbStore::open(&self.options).unwrap())
    }
    fn cases(&self) -> u32 {
        8
    }
}

/// Options by which a test reaches a server.
pub(crate) fn options_of(url: &str, cache_root: PathBuf) -> QuestDbOptions {
    QuestDbOptions { url: url.to_owned(), cache_root, wait: Duration::from_secs(60), ..QuestDbOptions::default() }
}

/// A server of the tests' size over a folder that goes with it.
pub(crate) fn small() -> Options {
    Options { small: true, throw_away: true, ..Options::default() }
}

/// A folder that the server removes.
pub(crate) fn folder() -> PathBuf {
    tempfile::Builder::new().prefix("questdb").tempdir().unwrap().keep()
}

/// Whether a server can be started; says why not.
pub(crate) fn can_start() -> bool {
    match questdb_server::command(&PathBuf::from("."), 1, &small()) {
        Ok(_) => true,
        Err(why) => {
            eprintln!("skipped: {why}");
            false
        }
    }
}

/// One server for all tests of this binary; it ends with the process.
fn shared_server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| can_start().then(|| Server::start(&folder(), &small()).unwrap())).as_ref()
}
