//! Bad input through the program, as a user meets it: a clear error with what, value, bound and remedy, a stable code,
//! the right exit code, and nothing lost of what was stored before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod disk;
mod files;
mod plugins;
mod rows;
mod schema;

use ghtrader_tests::{Program, Ticks, stored, write};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SYMBOL: &str = "SHFE.cu2509";
const DAY: &str = "2025-07-18";

/// A project in which one good day is stored.
struct Desk {
    dir: TempDir,
    program: Program,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Desk {
    fn new() -> Self {
        let desk = Self::empty();
        Ticks::new(SYMBOL, 2_000).write(&desk.path("good"));
        let good = desk.import("good/SHFE.cu2509.csv");
        assert_eq!((&good["rows_read"], &good["rows_stored"]), (&2_000.into(), &2_000.into()), "{good:#}");
        let before = stored(desk.dir.path());
        assert_eq!(before.len(), 2, "a day and its manifest");
        Self { before, ..desk }
    }

    fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::new(dir.path());
        Self { dir, program, before: BTreeMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self, file: &str) -> Value {
        self.program.ok(&["data", "import", file])
    }

    /// Imports a file that must be refused with this code; what was stored before must be all that is stored.
    fn refuses(&self, name: &str, bytes: impl AsRef<[u8]>, code: &str) -> String {
        let path = self.path(name);
        write(&path, bytes);
        let said = self.program.fails(&["data", "import", name], 2, code);
        self.unchanged();
        said
    }

    fn unchanged(&self) {
        assert!(stored(self.dir.path()) == self.before, "what was stored is not what it was");
    }
}

/// Reads a file that must be there.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
