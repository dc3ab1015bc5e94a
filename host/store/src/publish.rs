//! Files appear whole or not at all: temporary name, fsync, rename. One writer at a time.

use crate::StoreError;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The right to write, held until dropped. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of a store, or names the process that holds it.
    pub(crate) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("writer.lock");
        create_dirs(root)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| StoreError::write(&path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let read = file.read_to_string(&mut owner);
                let owner = if read.is_ok() && !owner.trim().is_empty() { owner.trim() } else { "unknown" };
                return Err(StoreError::Busy { root: root.to_owned(), owner: owner.to_owned() });
            }
            Err(fs::TryLockError::Error(e)) => return Err(StoreError::write(&path, &e)),
        }
        let name_owner = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        name_owner(&mut file).map_err(|e| StoreError::write(&path, &e))?;
        sweep(&root.join("tmp"))?;
        Ok(Self { _file: file })
    }
}

/// Removes what killed writers left; only the holder of the lock may.
fn sweep(tmp: &Path) -> Result<(), StoreError> {
    for entry in list_dir(tmp)? {
        fs::remove_file(&entry).map_err(|e| StoreError::write(&entry, &e))?;
    }
    Ok(())
}

/// Creates a folder and what lies above it.
pub(crate) fn create_dirs(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(|e| StoreError::write(dir, &e))
}

/// The paths in a folder, sorted; none if it does not exist.
pub(crate) fn list_dir(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::read(dir, &e)),
    };
    let mut paths =
        entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>().map_err(|e| StoreError::read(dir, &e))?;
    paths.sort();
    Ok(paths)
}

/// The bytes of a file, `None` if it does not exist.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::read(path, &e)),
    }
}

/// A name that no other writer of this store uses now.
pub(crate) fn temporary(dir: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    dir.join(format!("{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Publishes bytes under a path: readers find the old file or the new one. The new one survives a crash of the process once this
/// returns, and a crash of the machine once [`sync_dir`] was called on its folder.
pub(crate) fn publish(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    create_dirs(tmp)?;
    if let Some(dir) = path.parent() {
        create_dirs(dir)?;
    }
    let temporary = temporary(tmp);
    let write = || {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // The first error is the one to report; the next writer sweeps the file if this fails too.
        let _ = fs::remove_file(&temporary);
        StoreError::write(path, &e)
    })
}

/// Makes renames in a folder survive a crash of the machine.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| StoreError::write(dir, &e))
}

/// A part of a path that names data: no separator, no `..`, nothing that a reader's glob would misread.
pub(crate) fn check_name(name: &str) -> Result<&str, StoreError> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'@' | b'-' | b'_');
    let ok = !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed);
    if ok { Ok(name) } else { Err(StoreError::BadSymbol { name: name.to_owned() }) }
}

/// Refuses to write below a bound of free space; 0 = no bound.
pub(crate) fn check_free(root: &Path, min_free_gib: u64) -> Result<(), StoreError> {
    if min_free_gib == 0 {
        return Ok(());
    }
    let stat = rustix::fs::statvfs(root).map_err(|e| StoreError::read(root, &e.into()))?;
    let free_mib = ((u128::from(stat.f_bavail) * u128::from(stat.f_frsize)) >> 20) as u64;
    if free_mib < min_free_gib.saturating_mul(1024) {
        return Err(StoreError::MinFree { root: root.to_owned(), free_mib, min_free_gib });
    }
    Ok(())
}
