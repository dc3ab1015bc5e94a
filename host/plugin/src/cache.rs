//! Compiled code on disk, under the engine's compatibility hash and the artefact's digest.
#![expect(unsafe_code, reason = "loading compiled code is unsafe by nature; see `CompileCache::load`")]

use crate::engine::Compiled;
use ghtrader_core::Digest;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// A folder `<dir>/<compatibility>/<artefact>.cwasm`, each file with its own digest beside it.
///
/// Every failure, to read or to write, is a miss: the code is compiled anew. The folder must be as trusted as the program, since
/// whoever writes there can run code; the digest guards against damage, not against malice.
#[derive(Debug, Clone)]
pub(crate) struct CompileCache {
    dir: PathBuf,
    max_bytes: u64,
}

impl CompileCache {
    pub(crate) fn new(dir: &Path, max_mib: u64) -> Self {
        Self { dir: dir.to_owned(), max_bytes: max_mib << 20 }
    }

    fn paths(&self, engine: &Engine, artefact: &Digest) -> (PathBuf, PathBuf) {
        let dir = self.dir.join(compatibility(engine));
        (dir.join(format!("{artefact}.cwasm")), dir.join(format!("{artefact}.sha256")))
    }

    /// The compiled code, if it is there, whole, of that kind, and made by this build of the engine.
    pub(crate) fn load(&self, engine: &Engine, artefact: &Digest, as_module: bool) -> Option<Compiled> {
        let (code, digest) = self.paths(engine, artefact);
        let expected: Digest = std::fs::read_to_string(digest).ok()?.parse().ok()?;
        let bytes = std::fs::read(code).ok()?;
        if Digest::of(&bytes) != expected {
            return None;
        }
        // SAFETY: the bytes are those that `store` wrote for this very engine: the folder is named by its compatibility hash and
        // the digest of exactly these bytes, already in memory, has been checked.
        unsafe {
            if as_module {
                Module::deserialize(engine, &bytes).ok().map(Compiled::Module)
            } else {
                Component::deserialize(engine, &bytes).ok().map(Compiled::Component)
            }
        }
    }

    /// Keeps the compiled code; code first, its digest last, so that a half-written pair is a miss.
    pub(crate) fn store(&self, engine: &Engine, artefact: &Digest, compiled: &Compiled) {
        let (code, digest) = self.paths(engine, artefact);
        let bytes = match compiled {
            Compiled::Component(component) => component.serialize(),
            Compiled::Module(module) => module.serialize(),
        };
        let Ok(bytes) = bytes else { return };
        if bytes.len() as u64 > self.max_bytes {
            return;
        }
        let written = write_whole(&code, &bytes)
            .and_then(|()| write_whole(&digest, format!("{}\n", Digest::of(&bytes)).as_bytes()));
        match written {
            Ok(()) => self.trim(&code),
            Err(error) => tracing::debug!(%error, path = %code.display(), "compiled code not cached"),
        }
    }

    /// Drops the oldest files, of whatever engine, until the rest fits; never the one just written.
    fn trim(&self, keep: &Path) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for engine in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            for entry in std::fs::read_dir(engine.path()).into_iter().flatten().flatten() {
                let path = entry.path();
                if let (Some("cwasm"), Ok(meta)) = (path.extension().and_then(|e| e.to_str()), entry.metadata()) {
                    files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), path));
                }
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|f| f.1).sum();
        for (_, bytes, path) in files {
            if total <= self.max_bytes {
                break;
            }
            if path != keep && std::fs::remove_file(&path).is_ok() {
                // The digest alone is a miss, so its removal may fail.
                let _ = std::fs::remove_file(path.with_extension("sha256"));
                total -= bytes;
            }
        }
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Digest of all that compiled code depends on: engine version, settings and target.
fn compatibility(engine: &Engine) -> String {
    let mut bytes = Gather(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut bytes);
    Digest::of(&bytes.0).short16()
}

/// A hasher that only gathers what it is given, so that the name does not depend on the standard library's hash.
struct Gather(Vec<u8>);

impl Hasher for Gather {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
