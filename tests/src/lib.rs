//! What tests across rooms share: the checkout, the program, the reference plugins, the shared data.

pub mod cable;
pub mod diff_server;
pub mod host;
pub mod server;
pub mod sim_server;
pub mod td_server;
mod ticks;

pub use ticks::Ticks;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// A folder of the shared material, `None` with a plain message where it is absent.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(folder);
    if !path.exists() {
        eprintln!("skipped: ../shared/{folder} not found");
        return None;
    }
    Some(path)
}

/// The folder of the packed reference plugins.
///
/// # Panics
/// If they have not been built.
#[expect(clippy::panic, reason = "a test without its plugins must fail, and say why")]
pub fn artefacts() -> PathBuf {
    let given = std::env::var_os("GHTRADER_ARTEFACTS").map(PathBuf::from);
    let dir = given.unwrap_or_else(|| root().join("plugins/target/artifacts"));
    if !dir.join("core-factors.wasm").is_file() {
        panic!("{} holds no packed plugins; run `cargo xtask plugins`", dir.display());
    }
    dir
}

/// Writes a file, with the folders above it.
///
/// # Panics
/// If it cannot be written.
#[expect(clippy::panic, reason = "a test that cannot prepare its input fails")]
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Every file below a folder, by its path in it, with its bytes.
///
/// # Panics
/// If one cannot be read.
#[expect(clippy::panic, reason = "a test that cannot look at its output fails")]
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            files.insert(path.strip_prefix(folder).unwrap_or(&path).to_path_buf(), bytes);
        }
    }
    files
}

/// What a store in `root/data` holds, without what can be made again.
pub fn stored(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(&root.join("data"));
    files.retain(|path, _| ["lake", "manifest", "schedule"].iter().any(|folder| path.starts_with(folder)));
    files
}

/// A program beside the tests, as `cargo` builds it.
///
/// # Panics
/// If it has not been built.
#[expect(clippy::panic, reason = "a test without its program must fail, and say why")]
pub fn binary(name: &str, package: &str) -> PathBuf {
    // Test programs lie in `deps`, one folder below the binaries.
    let own = std::env::current_exe().unwrap_or_default();
    match own.ancestors().nth(2).map(|dir| dir.join(name)).filter(|p| p.is_file()) {
        Some(program) => program,
        None => panic!("{name} is not built; run `cargo build --release -p {package}`"),
    }
}

/// The program under test, as `cargo xtask` builds it, run in a folder.
pub struct Program {
    dir: PathBuf,
}

impl Program {
    /// Runs in `dir`, which is the root of its project too.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The folder it runs in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command line, ready to run.
    ///
    /// # Panics
    /// If the program has not been built.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("ghtrader", "ghtrader-cli"));
        command.current_dir(&self.dir).args(args);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GHTRADER_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs to the end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[expect(clippy::panic, reason = "a program that does not start fails the test")]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap_or_else(|e| panic!("cannot start ghtrader: {e}"))
    }

    /// Runs with `--json` and reads the one document on stdout, with the exit code.
    ///
    /// # Panics
    /// If stdout is not exactly one JSON document.
    #[expect(clippy::panic, reason = "anything but one document fails the test")]
    pub fn json(&self, args: &[&str]) -> (i32, Value) {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = self.run(&args);
        let text = String::from_utf8_lossy(&output.stdout);
        let value = serde_json::from_str(&text).unwrap_or_else(|e| {
            let err = String::from_utf8_lossy(&output.stderr);
            panic!("{args:?} printed no JSON ({e}):\n{text}\n{err}")
        });
        (output.status.code().unwrap_or(-1), value)
    }

    /// As [`Self::json`], and it must have ended with 0.
    ///
    /// # Panics
    /// If it did not.
    pub fn ok(&self, args: &[&str]) -> Value {
        let (code, value) = self.json(args);
        assert_eq!(code, 0, "{args:?}: {value:#}");
        value
    }

    /// As [`Self::json`], and it must have failed with this exit code and error code; gives the message.
    ///
    /// # Panics
    /// If it did not, or if the error names no remedy.
    pub fn fails(&self, args: &[&str], exit: i32, code: &str) -> String {
        let (got, value) = self.json(args);
        let error = &value["error"];
        assert_eq!((got, error["code"].as_str()), (exit, Some(code)), "{args:?}: {value:#}");
        assert!(error["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{args:?} names no remedy: {value:#}");
        error["what"].as_str().unwrap_or_default().to_owned()
    }
}
