//! Which words a strategy's row consists of, and how a block of them is packed.

use crate::RuntimeError;
use ghtrader_core::{Column, TickView, WordColumn, pack_rows};
use std::ops::Range;

/// Named columns of one day beside its tick columns: feature outputs (`feature/mid`) and scores (`score/up@50`).
///
/// Each has one value a row of the day; NaN = not available.
#[derive(Debug, Clone, Default)]
pub struct DayColumns {
    /// Names, in the lineup's order.
    pub names: Vec<String>,
    /// One vector a name, all as long as the day has rows.
    pub values: Vec<Vec<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Tick(Column),
    Made(usize),
}

/// The resolved inputs of a plugin, in the order of its words.
#[derive(Debug, Clone, PartialEq)]
pub struct InputLayout {
    sources: Vec<Source>,
}

impl InputLayout {
    /// Finds every input among the tick columns and the `made` names.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownColumn`] for the first name that is neither.
    pub fn resolve(inputs: &[String], made: &[String]) -> Result<Self, RuntimeError> {
        let find = |name: &String| {
            if let Some(column) = Column::from_name(name) {
                return Ok(Source::Tick(column));
            }
            made.iter().position(|m| m == name).map(Source::Made).ok_or_else(|| RuntimeError::UnknownColumn {
                name: name.clone(),
                known: if made.is_empty() { "tick columns only".to_owned() } else { made.join(", ") },
            })
        };
        Ok(Self { sources: inputs.iter().map(find).collect::<Result<_, _>>()? })
    }

    /// Words a row.
    pub fn width(&self) -> usize {
        self.sources.len()
    }

    /// Replaces `out` by the rows `range`, row-major: f64 by its bits, the time as i64 by its bits.
    pub fn pack(&self, view: &TickView<'_>, columns: &DayColumns, range: Range<usize>, out: &mut Vec<u64>) {
        let columns: Vec<WordColumn<'_>> = self
            .sources
            .iter()
            .map(|source| match source {
                Source::Tick(Column::Datetime) => WordColumn::Times(view.ts_ns),
                Source::Tick(column) => WordColumn::Floats(view.float(*column)),
                Source::Made(i) => WordColumn::Floats(&columns.values[*i]),
            })
            .collect();
        pack_rows(&columns, range, out);
    }

    /// Replaces `out` by one row's words, with the made columns of that row.
    pub fn pack_row(&self, view: &TickView<'_>, row: usize, made: &[f64], out: &mut Vec<u64>) {
        out.clear();
        out.extend(self.sources.iter().map(|source| match source {
            Source::Tick(column) => view.word(row, *column),
            Source::Made(i) => made[*i].to_bits(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::TickTable;

    #[test]
    fn words_stand_in_the_order_of_the_inputs() {
        let mut table = TickTable::with_capacity(2);
        for row in 0..2u32 {
            table.ts_ns.push(i64::from(row) + 7);
            table.seq.push(row);
            table.phase.push(2);
            for (i, c) in table.floats.iter_mut().enumerate() {
                c.push(f64::from(row) * 100.0 + i as f64);
            }
        }
        let columns = DayColumns { names: vec!["feature/mid".into()], values: vec![vec![0.5, f64::NAN]] };
        let inputs = ["feature/mid", "datetime", "last_price"].map(String::from);
        let layout = InputLayout::resolve(&inputs, &columns.names).expect("known names");
        let mut words = Vec::new();
        layout.pack(&table.view(), &columns, 0..2, &mut words);
        assert_eq!(words, [0.5f64.to_bits(), 7, 0f64.to_bits(), f64::NAN.to_bits(), 8, 100f64.to_bits()]);
        let missing = InputLayout::resolve(&["score/up@50".into()], &columns.names);
        assert!(matches!(missing, Err(RuntimeError::UnknownColumn { name, .. }) if name == "score/up@50"));
    }
}
