//! Files as memory: the one place of this crate with unsafe code.
#![expect(unsafe_code, reason = "mapping a file and handing its bytes to Arrow without a copy")]

use arrow_buffer::Buffer;
use memmap2::MmapOptions;
use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

/// The bytes of a file that no one writes any more, mapped read-only; they stay mapped as long as a slice of them lives.
///
/// # Safety
/// Sound as long as a published cache file is never written or truncated, only unlinked. This crate keeps to that: files are
/// written under a temporary name and renamed when complete, and a replaced file is unlinked. A person who truncates a mapped
/// file by hand gets SIGBUS, as with every mapped file.
pub(crate) fn map_file(file: &File) -> io::Result<Buffer> {
    // SAFETY: published files are immutable, see above.
    let map = unsafe { MmapOptions::new().map(file)? };
    let Some(start) = NonNull::new(map.as_ptr().cast_mut()) else {
        return Err(io::Error::other("the file was mapped at address 0"));
    };
    let len = map.len();
    // SAFETY: `start` and `len` are those of the mapping, which the Arc keeps alive for as long as the buffer or a slice of
    // it exists; moving the Arc does not move the mapping, and the buffer gives out shared access only.
    Ok(unsafe { Buffer::from_custom_allocation(start, len, Arc::new(map)) })
}
