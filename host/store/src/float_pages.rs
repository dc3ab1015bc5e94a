//! The floats of a Parquet file, page by page.
//!
//! The general reader joins byte-stream-split pages a byte at a time, keeps nulls beside the values and puts pages together
//! by copying: more than half the time of reading a day. Here the bytes of eight values are turned at once and values go
//! where they stay, NaN for a null. It knows the pages that this room writes; any other is left to the general reader.

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use std::sync::Arc;

/// Bytes of a value, which are as many streams of a page.
const WIDTH: usize = size_of::<f64>();

/// The values of a column by name, `None` if it is not written as this room writes floats.
pub(crate) fn read_floats(
    file: &Arc<Bytes>,
    metadata: &ParquetMetaData,
    name: &str,
    rows: usize,
) -> Result<Option<Vec<f64>>, ParquetError> {
    let [group] = metadata.row_groups() else { return Ok(None) };
    let Some(column) = group.columns().iter().find(|c| c.column_descr().name() == name) else { return Ok(None) };
    let descriptor = column.column_descr();
    let nullable = descriptor.max_def_level() == 1;
    if descriptor.physical_type() != Type::DOUBLE || descriptor.max_def_level() > 1 || descriptor.max_rep_level() > 0 {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(rows);
    let mut scratch = Vec::new();
    let mut present = Vec::new();
    let mut pages = SerializedPageReader::new(Arc::clone(file), column, rows, None)?;
    while let Some(page) = pages.get_next_page()? {
        let Page::DataPage { buf, num_values, encoding: Encoding::BYTE_STREAM_SPLIT, def_level_encoding, .. } = page
        else {
            return Ok(None);
        };
        let count = num_values as usize;
        let (levels, streams) = match (nullable, def_level_encoding) {
            (false, _) => (None, &buf[..]),
            (true, Encoding::RLE) => {
                let cut = buf.split_at_checked(4);
                let (length, rest) = cut.ok_or_else(|| cut_off(name))?;
                let length = u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
                let (levels, streams) = rest.split_at_checked(length).ok_or_else(|| cut_off(name))?;
                (Some(levels), streams)
            }
            (true, _) => return Ok(None),
        };
        let some_null = match levels {
            Some(levels) => {
                !all_present(levels, count) && {
                    read_levels(levels, count, &mut present).ok_or_else(|| cut_off(name))?;
                    true
                }
            }
            None => false,
        };
        if some_null {
            if !streams.len().is_multiple_of(WIDTH) {
                return Err(cut_off(name));
            }
            scratch.clear();
            join(streams, &mut scratch);
            let mut stored = scratch.iter();
            let given = present.iter().map(|there| if *there { stored.next().copied() } else { Some(f64::NAN) });
            let before = values.len();
            values.extend(given.map_while(|value| value));
            if values.len() - before != count || stored.next().is_some() {
                return Err(cut_off(name));
            }
        } else {
            if streams.len() != count * WIDTH {
                return Err(cut_off(name));
            }
            join(streams, &mut values);
        }
    }
    if values.len() != rows {
        return Err(ParquetError::General(format!("its column {name} has {} values for {rows} rows", values.len())));
    }
    Ok(Some(values))
}

fn cut_off(name: &str) -> ParquetError {
    ParquetError::General(format!("a page of its column {name} has another length than it says"))
}

/// A page without a null says so in one run.
fn all_present(levels: &[u8], count: usize) -> bool {
    let mut rest = levels;
    varint(&mut rest).is_some_and(|head| head == (count as u64) << 1 && rest.first() == Some(&1))
}

/// Definition levels 0 or 1: runs of one level, and groups of eight bits, lowest first. `None` if they end too early.
fn read_levels(levels: &[u8], count: usize, present: &mut Vec<bool>) -> Option<()> {
    present.clear();
    let mut rest = levels;
    while present.len() < count {
        let head = varint(&mut rest)?;
        let length = usize::try_from(head >> 1).ok()?;
        let left = count - present.len();
        if head & 1 == 0 {
            let (level, behind) = rest.split_first()?;
            rest = behind;
            present.extend(std::iter::repeat_n(*level == 1, length.min(left)));
        } else {
            let (groups, behind) = rest.split_at_checked(length)?;
            rest = behind;
            present.extend(groups.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).take(left));
        }
        // A run of nothing would never end.
        (length > 0).then_some(())?;
    }
    Some(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

/// Puts the values of a page together: their first bytes stand first, then their second ones, and so on.
fn join(streams: &[u8], out: &mut Vec<f64>) {
    let count = streams.len() / WIDTH;
    let stream: [&[u8]; WIDTH] = std::array::from_fn(|byte| &streams[byte * count..(byte + 1) * count]);
    let blocks = stream.map(|bytes| bytes.as_chunks::<8>().0);
    for block in 0..count / 8 {
        let rows = turned(blocks.map(|blocks| u64::from_le_bytes(blocks[block])));
        out.extend_from_slice(&rows.map(f64::from_bits));
    }
    for row in count / 8 * 8..count {
        out.push(f64::from_le_bytes(stream.map(|bytes| bytes[row])));
    }
}

/// The matrix of 8 × 8 bytes with rows and columns exchanged: byte i of word j becomes byte j of word i. Halves are
/// exchanged, then quarters, then single bytes (Warren, Hacker's Delight, 7-3).
#[inline]
fn turned(mut words: [u64; 8]) -> [u64; 8] {
    const STEPS: [(usize, u64); 3] =
        [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)];
    for (apart, mask) in STEPS {
        for at in (0..8).filter(|at| at & apart == 0) {
            let exchanged = ((words[at] >> (8 * apart)) ^ words[at + apart]) & mask;
            words[at + apart] ^= exchanged;
            words[at] ^= exchanged << (8 * apart);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(values: &[f64]) -> Vec<u8> {
        (0..WIDTH).flat_map(|byte| values.iter().map(move |v| v.to_le_bytes()[byte])).collect()
    }

    proptest! {
        #[test]
        fn values_come_back_to_the_bit(bits in prop::collection::vec(any::<u64>(), 0..70)) {
            let values: Vec<f64> = bits.iter().map(|b| f64::from_bits(*b)).collect();
            let mut joined = Vec::new();
            join(&split(&values), &mut joined);
            prop_assert_eq!(joined.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits);
        }

        #[test]
        fn levels_of_any_bytes_end(levels in prop::collection::vec(any::<u8>(), 0..12), count in 0usize..200) {
            let mut present = Vec::new();
            let read = read_levels(&levels, count, &mut present);
            prop_assert!(read.is_none() || present.len() == count);
        }
    }

    #[test]
    fn levels_are_runs_and_bits() {
        let mut present = Vec::new();
        // Three present, then eight by their bits, of which five are wanted.
        read_levels(&[3 << 1, 1, (1 << 1) | 1, 0b0001_0110], 8, &mut present).unwrap();
        assert_eq!(present, [true, true, true, false, true, true, false, true]);
        assert!(all_present(&[0xb0, 0x04, 1], 280) && !all_present(&[0xb0, 0x04, 0], 280) && !all_present(&[7], 3));
        assert_eq!(read_levels(&[2], 1, &mut present), None);
        assert_eq!(read_levels(&[0, 1], 1, &mut present), None);
    }
}
