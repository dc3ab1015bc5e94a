//! Locks between processes.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{Result, Write as _};
use std::path::Path;

/// An exclusive lock on a file; given up when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Replaces the text that the lock's file shows to others, such as the owner's process id.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sign(&mut self, text: &str) -> Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(text.as_bytes())
    }
}

/// Takes the lock, waiting for its present owner.
///
/// # Errors
/// The operating system's, for a folder that cannot be written.
pub fn lock(path: &Path) -> Result<Lock> {
    let file = open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(Lock { file })
}

/// Takes the lock if nobody has it; `None` if somebody has.
///
/// # Errors
/// The operating system's, for a folder that cannot be written.
pub fn try_lock(path: &Path) -> Result<Option<Lock>> {
    let file = open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        crate::make_folder(folder)?;
    }
    File::options().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_owner_and_shows_who_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/lock");
        let mut owner = lock(&path).unwrap();
        owner.sign("42").unwrap();
        owner.sign("7").unwrap();
        assert!(try_lock(&path).unwrap().is_none());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7");
        drop(owner);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
