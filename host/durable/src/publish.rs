//! Writing whole files.

use ghtrader_core::{ErrorClass, Problem};
use std::fs::File;
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What became of a fact that may be written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// It was not there; now it is.
    Written,
    /// It was there with the same bytes.
    Same,
    /// It is there with other bytes, which stay.
    Different,
}

/// Writes a file so that readers see the old bytes or the new ones, also after a crash of the machine.
///
/// # Errors
/// The operating system's; the old file is untouched and no temporary file stays.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    publish_with(path, bytes, 0o600)
}

/// As [`publish`], for others to read as far as the process's mask of permissions allows; what [`publish`] writes is its
/// owner's alone.
///
/// # Errors
/// As there.
pub fn publish_shared(path: &Path, bytes: &[u8]) -> Result<()> {
    publish_with(path, bytes, 0o666)
}

fn publish_with(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = folder_of(path);
    make_folder(folder)?;
    let mode = std::fs::Permissions::from_mode(mode);
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder)
}

/// As [`publish`], under a temporary name of the caller's and without syncing the folder.
///
/// For files that anybody can make again: a crash of the machine may take the newest of them, never a half of one. The
/// temporary name lies in the folder of `path`; what a killed writer leaves under it is the caller's to sweep.
///
/// # Errors
/// The operating system's; the old file is untouched and no temporary file stays.
pub fn publish_as(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    place(temporary, path, bytes, File::sync_all)
}

/// As [`publish_as`], without waiting for the disk: readers see the old bytes or the new ones, a kill of the process takes
/// nothing, and a crash of the machine takes, or tears, what was written since the last [`sync_file_system`].
///
/// For files that carry their own digest and that anybody can make again.
///
/// # Errors
/// As there.
pub fn place_as(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    place(temporary, path, bytes, |_| Ok(()))
}

fn place(temporary: &Path, path: &Path, bytes: &[u8], sync: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let write = || {
        let mut file = File::create(temporary)?;
        file.write_all(bytes)?;
        sync(&file)?;
        // A network file system sends what is left when a file is closed: the name comes after.
        drop(file);
        std::fs::rename(temporary, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(temporary);
    })
}

/// Writes a file that must not be there yet; of several writers exactly one succeeds.
///
/// # Errors
/// The operating system's; nothing has changed then.
pub fn publish_once(path: &Path, bytes: &[u8]) -> Result<Once> {
    let folder = folder_of(path);
    make_folder(folder)?;
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match std::fs::hard_link(file.path(), path) {
        Ok(()) => {
            sync_folder(folder)?;
            Ok(Once::Written)
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            // Another writer may have linked it and not yet reached its own sync.
            sync_folder(folder)?;
            Ok(if std::fs::read(path)? == bytes { Once::Same } else { Once::Different })
        }
        Err(e) => Err(e),
    }
}

/// Removes a file for good; one that is not there is removed already.
///
/// # Errors
/// The operating system's.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// The error means that a disk or a quota is full.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// An I/O error as a problem: a full disk is a limit, a missing file is the user's, a refused one too.
pub fn io_problem(code: &'static str, what: &str, error: &std::io::Error) -> Problem {
    let what = format!("{what}: {error}");
    match error.kind() {
        _ if is_full(error) => {
            Problem::new("disk_full", ErrorClass::Limit, what, "free some space and run the command again")
        }
        // A folder where a file is meant, or bytes that are no text.
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::InvalidData => {
            Problem::new(code, ErrorClass::User, what, "check the path")
        }
        // A folder is to be made where a file is.
        ErrorKind::AlreadyExists
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory => {
            Problem::new(code, ErrorClass::User, what, "choose a place that may be read and written")
        }
        _ => Problem::new(code, ErrorClass::Unavailable, what, "mend the cause named and run the command again"),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it, each with its name synced, so that no file is lost with its folder.
///
/// # Errors
/// The operating system's.
pub fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    make_folder(above)?;
    match std::fs::create_dir(folder) {
        Err(e) if !(e.kind() == ErrorKind::AlreadyExists && folder.is_dir()) => Err(e),
        _ => sync_folder(above),
    }
}

/// Lets the names in a folder survive a crash of the machine, also those that a writer gave who was killed before it did.
///
/// # Errors
/// The operating system's.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

/// Lets everything that was written to the file system of a folder survive a crash of the machine; tells of writes that the
/// system put off and that failed since.
///
/// # Errors
/// The operating system's.
pub fn sync_file_system(folder: &Path) -> Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(publish_once(&path, b"1").unwrap(), Once::Written);
        assert_eq!(publish_once(&path, b"1").unwrap(), Once::Same);
        assert_eq!(publish_once(&path, b"2").unwrap(), Once::Different);
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
        publish(&path, b"3").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"3");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 0, "no temporary file stays");
    }

    #[test]
    fn a_folder_is_made_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            make_folder(&dir.path().join("a/b/c")).unwrap();
        }
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(make_folder(&dir.path().join("file")).is_err());
        assert!(publish(&dir.path().join("file/x"), b"1").is_err());
        assert!(dir.path().join("a/b/c").is_dir() && dir.path().join("file").is_file());
    }

    #[test]
    fn of_many_writers_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fact");
        let outcomes: Vec<Once> = std::thread::scope(|s| {
            let path = &path;
            let run = |n: u8| s.spawn(move || publish_once(path, &[n]).unwrap());
            let threads: Vec<_> = (0..8).map(run).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|o| **o == Once::Written).count(), 1);
    }
}
