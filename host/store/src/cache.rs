//! The replay cache: uncompressed Arrow IPC under the truth's digest, mapped. Whatever is wrong with a cache file, the answer is
//! to build it again from Parquet.

use crate::frame::Frame;
use crate::map::map_file;
use crate::parquet_file::{batch_of, frame_of};
use crate::place::{Described, expected};
use crate::publish::{check_free, create_dirs, temporary};
use crate::{HashOnRead, StoreError, StoreOptions};
use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;
use ghtrader_core::{Digest, Phase};
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a cache file has to hold to be believed.
pub(crate) struct Expected<'a> {
    pub(crate) truth: &'a Digest,
    pub(crate) rows: usize,
    pub(crate) first_ts_ns: i64,
    pub(crate) last_ts_ns: i64,
    pub(crate) with_phase: bool,
    pub(crate) floats: &'a [String],
}

impl Expected<'_> {
    /// Bytes of all columns, each padded to 64.
    fn body_bytes(&self) -> Option<usize> {
        let padded = |width: usize| self.rows.checked_mul(width).map(|n| n.next_multiple_of(64));
        let phase = if self.with_phase { padded(1)? } else { 0 };
        padded(8)?.checked_mul(self.floats.len() + 1)?.checked_add(padded(4)?)?.checked_add(phase)
    }
}

/// The mapped copies of one store.
#[derive(Debug)]
pub(crate) struct ReplayCache {
    root: PathBuf,
    options: StoreOptions,
    /// Caches opened so far: [`HashOnRead::Sample`] takes the slices in turn.
    openings: AtomicUsize,
}

impl ReplayCache {
    pub(crate) fn new(root: &Path, options: StoreOptions) -> Self {
        Self { root: root.to_owned(), options, openings: AtomicUsize::new(0) }
    }

    /// The mapped rows of a manifest, if they are there and whole.
    pub(crate) fn open<M: Described>(&self, manifest: &M) -> Option<Frame> {
        let names = manifest.float_names();
        open(&path_of(&self.root, manifest.sha256()), &expected(manifest, &names), self.slices())
    }

    /// Keeps a mapped copy and gives it; `None` where there is no room for one.
    pub(crate) fn fill<M: Described>(&self, manifest: &M, frame: &Frame) -> Option<Frame> {
        check_free(&self.root, self.options.min_free_gib).ok()?;
        let names = manifest.float_names();
        let bytes = encode(frame, &expected(manifest, &names)).ok()?;
        publish(&path_of(&self.root, manifest.sha256()), &bytes).ok()?;
        self.open(manifest)
    }

    /// Compares the copy of a manifest's rows with the rows, or only looks whether it is whole; removes one that is bad.
    /// Gives whether it did.
    pub(crate) fn check<M: Described>(&self, manifest: &M, truth: Option<&Frame>) -> Result<bool, StoreError> {
        let path = path_of(&self.root, manifest.sha256());
        let mapped = self.open(manifest);
        let same = match (truth, &mapped) {
            (Some(truth), Some(mapped)) => truth.same_bits(mapped),
            (_, mapped) => mapped.is_some(),
        };
        if !path.exists() || same {
            return Ok(false);
        }
        fs::remove_file(&path).map_err(|e| StoreError::write(&path, &e))?;
        Ok(true)
    }

    /// Which slices of a cache to hash at this opening.
    fn slices(&self) -> Range<usize> {
        match self.options.hash_on_read {
            HashOnRead::Never => 0..0,
            HashOnRead::Sample => {
                let turn = self.openings.fetch_add(1, Ordering::Relaxed) % SLICES;
                turn..turn + 1
            }
            HashOnRead::Always => 0..SLICES,
        }
    }
}

const SEAL_KEY: &str = "ghtrader.cache";
const SEAL_PREFIX: &str = "check=";
const SEAL_DIGITS: usize = 16;
const SLICES_PREFIX: &str = "slices=";
/// Parts of the values with a checksum each.
pub(crate) const SLICES: usize = 16;
/// Footer length (4 bytes) and magic (6 bytes).
const TRAILER_BYTES: usize = 10;

pub(crate) fn path_of(root: &Path, truth: &Digest) -> PathBuf {
    root.join("cache").join(format!("{truth}.arrow"))
}

/// The mapped rows, `None` if the file is missing or is not what was published; of the values only `slices` are hashed.
pub(crate) fn open(path: &Path, expected: &Expected<'_>, slices: Range<usize>) -> Option<Frame> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() < TRAILER_BYTES as u64 {
        return None;
    }
    let bytes = map_file(&file).ok()?;
    let body = body_range(&bytes, expected)?;
    // The decoder trusts offsets; the seal says that they are those that the encoder wrote.
    let sealed = seal_position(&bytes[body.end..]).map(|at| body.end + at)?;
    if bytes.get(sealed..sealed + SEAL_DIGITS)? != seal(&bytes, &body, sealed, expected.truth).as_bytes() {
        return None;
    }
    if !slices_match(&bytes[body.clone()], &bytes[body.end..], slices)? {
        return None;
    }
    let frame = decode(&bytes, expected).ok()??;
    believable(&frame, expected).then_some(frame)
}

fn believable(frame: &Frame, expected: &Expected<'_>) -> bool {
    let rows = expected.rows;
    let lengths = frame.seq.len() == rows
        && frame.phase.as_ref().is_none_or(|p| p.len() == rows && p.iter().all(|v| *v < Phase::ALL.len() as u8))
        && frame.floats.iter().all(|c| c.len() == rows);
    lengths
        && frame.rows() == rows
        && frame.ts_ns.first() == Some(&expected.first_ts_ns)
        && frame.ts_ns.last() == Some(&expected.last_ts_ns)
}

/// Where the columns' bytes lie, from the lengths alone; everything else is metadata under the seal.
fn body_range(bytes: &[u8], expected: &Expected<'_>) -> Option<Range<usize>> {
    let trailer = bytes.len().checked_sub(TRAILER_BYTES)?;
    let footer = read_footer_length(bytes[trailer..].try_into().ok()?).ok()?;
    // An end-of-stream marker of 8 bytes stands before the footer.
    let end = trailer.checked_sub(footer)?.checked_sub(8)?;
    let length = expected.body_bytes()?;
    Some(end.checked_sub(length)?..end)
}

/// Where the seal's digits stand in the footer.
fn seal_position(footer: &[u8]) -> Option<usize> {
    let prefix = SEAL_PREFIX.as_bytes();
    footer.windows(prefix.len()).position(|w| w == prefix).map(|at| at + prefix.len())
}

/// One sixteenth of the columns' bytes; the bounds are multiples of 64 bytes, as the whole is.
fn slice_of(body: &[u8], i: usize) -> &[u8] {
    let bound = |i: usize| (body.len() / 64 * i / SLICES) * 64;
    &body[bound(i)..bound(i + 1)]
}

/// A hash against accidents, at the speed of memory: eight lanes of multiply and rotate.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes: [u64; 8] = std::array::from_fn(|i| i as u64 + 1);
    let (blocks, _) = bytes.as_chunks::<64>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29);
        }
    }
    lanes.iter().fold(bytes.len() as u64, |h, lane| (h ^ lane).wrapping_mul(ODD).rotate_left(29))
}

fn slices_match(body: &[u8], footer: &[u8], slices: Range<usize>) -> Option<bool> {
    let prefix = SLICES_PREFIX.as_bytes();
    let at = footer.windows(prefix.len()).position(|w| w == prefix)? + prefix.len();
    for i in slices {
        let digits = footer.get(at + 16 * i..at + 16 * (i + 1))?;
        if digits != format!("{:016x}", checksum(slice_of(body, i))).as_bytes() {
            return Some(false);
        }
    }
    Some(true)
}

/// Digest over all metadata bytes but the seal itself, bound to the truth and the length.
fn seal(bytes: &[u8], body: &Range<usize>, sealed: usize, truth: &Digest) -> String {
    ghtrader_core::DigestBuilder::new(SEAL_KEY)
        .digest(truth)
        .int(bytes.len() as i64)
        .bytes(&bytes[..body.start])
        .bytes(&bytes[body.end..sealed])
        .bytes(&bytes[sealed + SEAL_DIGITS..])
        .finish()
        .short16()
}

fn decode(bytes: &Buffer, expected: &Expected<'_>) -> Result<Option<Frame>, ArrowError> {
    let trailer = bytes.len() - TRAILER_BYTES;
    let length = read_footer_length(bytes[trailer..].try_into().unwrap_or_default())?;
    let footer = root_as_footer(&bytes[trailer - length..trailer])
        .map_err(|e| ArrowError::ParseError(format!("the footer of a cache file: {e}")))?;
    let (Some(schema), Some(blocks)) = (footer.schema(), footer.recordBatches()) else { return Ok(None) };
    let decoder = FileDecoder::new(Arc::new(fb_to_schema(schema)), footer.version()).with_require_alignment(true);
    let Some(block) = blocks.iter().next().filter(|_| blocks.len() == 1) else { return Ok(None) };
    let start = usize::try_from(block.offset()).unwrap_or(usize::MAX);
    let sizes = (usize::try_from(block.metaDataLength()), usize::try_from(block.bodyLength()));
    let (Ok(head), Ok(body)) = sizes else { return Ok(None) };
    if start.checked_add(head).and_then(|n| n.checked_add(body)).is_none_or(|end| end > trailer) {
        return Ok(None);
    }
    let Some(batch) = decoder.read_record_batch(block, &bytes.slice_with_length(start, head + body))? else {
        return Ok(None);
    };
    Ok(frame_of(&batch, expected.with_phase, expected.floats))
}

/// The bytes of a cache file.
pub(crate) fn encode(frame: &Frame, expected: &Expected<'_>) -> Result<Vec<u8>, ArrowError> {
    let missing = |what: &str| ArrowError::IpcError(format!("an Arrow file without its {what}"));
    let batch = batch_of(frame, expected.floats)?;
    let capacity = expected.rows * 8 * (expected.floats.len() + 3) + (1 << 16);
    let mut writer = FileWriter::try_new(Vec::with_capacity(capacity), &batch.schema())?;
    writer.write(&batch)?;
    let written = writer.get_ref();
    let start = written.len().checked_sub(expected.body_bytes().ok_or_else(|| missing("body"))?);
    let body = &written[start.ok_or_else(|| missing("body"))?..];
    let slices: String = (0..SLICES).map(|i| format!("{:016x}", checksum(slice_of(body, i)))).collect();
    writer.write_metadata(SEAL_KEY, format!("{SEAL_PREFIX}{};{SLICES_PREFIX}{slices}", "0".repeat(SEAL_DIGITS)));
    writer.finish()?;
    let mut bytes = writer.into_inner()?;
    let body = body_range(&bytes, expected).ok_or_else(|| missing("body"))?;
    let sealed = seal_position(&bytes[body.end..]).map(|at| body.end + at).ok_or_else(|| missing("seal"))?;
    let digits = seal(&bytes, &body, sealed, expected.truth);
    bytes[sealed..sealed + SEAL_DIGITS].copy_from_slice(digits.as_bytes());
    Ok(bytes)
}

/// Publishes a cache file. Any process may, at any time: the content follows from the name. It is not synced: what a crash of the
/// machine cuts off is the end, where the seal is, and waiting for 13 MB a day costs more than building it again.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(path);
    create_dirs(dir)?;
    let temporary = temporary(dir);
    let write = || {
        let mut file = File::create_new(&temporary)?;
        // Held while writing, so that `sweep` can tell a dead writer's file from a living one's.
        file.lock()?;
        file.write_all(bytes)?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
        StoreError::write(path, &e)
    })
}

/// Removes unfinished files whose writers are gone.
pub(crate) fn sweep(root: &Path) -> Result<(), StoreError> {
    for path in crate::publish::list_dir(&root.join("cache"))? {
        let unfinished = path.extension().is_some_and(|e| e == "tmp");
        if unfinished && File::open(&path).is_ok_and(|f| f.try_lock().is_ok()) {
            fs::remove_file(&path).map_err(|e| StoreError::write(&path, &e))?;
        }
    }
    Ok(())
}
