//! Files that survive a crash: published whole, written once, locked, the hash-chained audit, and journals.
//!
//! Everything acknowledged by this program lies in a file that was written by one of these functions. A file is published
//! by temporary name, fsync, rename and fsync of its folder, so that a reader sees the old bytes or the new ones; a fact
//! that may be written only once is linked into place, so that of two writers one loses and knows it. Locks are the
//! kernel's: they end with their process, however it ends.

mod audit;
mod chain;
mod journal;
mod lock;
mod publish;

pub use audit::{Audit, AuditEntry, AuditError, AuditRecord, Outcome, Verified};
pub use chain::Chained;
pub use journal::{Journal, JournalError, read_journal};
pub use lock::{Lock, lock, try_lock};
pub use publish::{
    Once, io_problem, is_full, make_folder, place_as, publish, publish_as, publish_once, publish_shared, remove,
    sync_file_system, sync_folder,
};
