//! Rows as packed words: what crosses to a plugin.

use std::ops::Range;

/// One column of a row's words.
#[derive(Debug, Clone, Copy)]
pub enum WordColumn<'a> {
    /// Exchange times, i64 by their bits.
    Times(&'a [i64]),
    /// f64 by their bits.
    Floats(&'a [f64]),
}

/// Rows that are written together: their words stay in the first-level cache while column after column is filled in.
const TILE_ROWS: usize = 64;

/// Replaces `out` by the rows `range` of the columns, row-major, one word a column.
pub fn pack_rows(columns: &[WordColumn<'_>], range: Range<usize>, out: &mut Vec<u64>) {
    let width = columns.len();
    out.clear();
    out.resize(range.len() * width, 0);
    if width == 0 {
        return;
    }
    for (tile, words) in out.chunks_mut(TILE_ROWS * width).enumerate() {
        let first = range.start + tile * TILE_ROWS;
        let rows = first..first + words.len() / width;
        for (place, column) in columns.iter().enumerate() {
            let to = words.iter_mut().skip(place).step_by(width);
            match column {
                WordColumn::Times(values) => to.zip(&values[rows.clone()]).for_each(|(to, v)| *to = v.cast_unsigned()),
                WordColumn::Floats(values) => to.zip(&values[rows.clone()]).for_each(|(to, v)| *to = v.to_bits()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_are_whatever_the_tiles() {
        let times: Vec<i64> = (0..200).collect();
        let values: Vec<f64> = (0..200).map(|v| f64::from(v) * 0.5).collect();
        let columns = [WordColumn::Floats(&values), WordColumn::Times(&times)];
        let mut out = vec![1];
        pack_rows(&columns, 3..197, &mut out);
        let expected: Vec<u64> = (3..197).flat_map(|r| [values[r].to_bits(), r as u64]).collect();
        assert_eq!(out, expected);
        pack_rows(&[], 0..5, &mut out);
        assert!(out.is_empty());
    }
}
