//! A fixture's rows as the words of an instance's inputs.

use super::mix;
use crate::Fixture;
use ghtrader_core::{Column, TickTable, WordColumn, pack_rows};
use std::ops::Range;

/// How much later other rows come.
const LATER_NS: i64 = 250_000_000;

/// Columns of an instance's inputs over a fixture.
pub(crate) struct Stream<'a> {
    columns: Vec<Source<'a>>,
}

enum Source<'a> {
    Ticks(WordColumn<'a>),
    Made(Vec<f64>),
}

impl<'a> Stream<'a> {
    /// Tick columns are the fixture's; columns that another plugin or a model would make are drawn from name and row.
    pub(crate) fn new(fixture: &'a Fixture, inputs: &[String]) -> Self {
        let ticks = &fixture.ticks;
        let source = |name: &String| match Column::from_name(name) {
            Some(Column::Datetime) => Source::Ticks(WordColumn::Times(&ticks.ts_ns)),
            Some(column) => Source::Ticks(WordColumn::Floats(&ticks.floats[column.index() - 1])),
            None => Source::Made(made_column(name, ticks)),
        };
        Self { columns: inputs.iter().map(source).collect() }
    }

    /// Replaces `out` by the rows `range`.
    pub(crate) fn pack(&self, range: Range<usize>, out: &mut Vec<u64>) {
        let columns: Vec<WordColumn<'_>> = self
            .columns
            .iter()
            .map(|source| match source {
                Source::Ticks(column) => *column,
                Source::Made(values) => WordColumn::Floats(values),
            })
            .collect();
        pack_rows(&columns, range, out);
    }
}

/// A column that the lineup would make: drawn from the row's own content, so that other rows have other values.
///
/// Scores lie in 0..1, anything else in -1..1; one in 61 is missing.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
fn made_column(name: &str, ticks: &TickTable) -> Vec<f64> {
    let seed = name.bytes().fold(0u64, |seed, byte| mix(seed ^ u64::from(byte)));
    let value = |row: usize| {
        let seen = ticks.floats.iter().fold(seed ^ ticks.ts_ns[row].cast_unsigned(), |seen, column| {
            mix(seen ^ crate::fixture::canonical(column[row]))
        });
        let share = (seen >> 11) as f64 / (1u64 << 53) as f64;
        match (seen % 61, name.starts_with("score/")) {
            (0, _) => f64::NAN,
            (_, true) => share,
            (_, false) => 2.0 * share - 1.0,
        }
    };
    (0..ticks.rows()).map(value).collect()
}

impl Fixture {
    /// The same stretch with other rows from `row` on: prices, sizes and times, by a seed; prices are higher for an even one, lower
    /// for an odd one. Borders stay.
    pub(crate) fn with_other_rows(&self, row: usize, seed: u64) -> Self {
        let mut other = self.clone();
        let ticks = &mut other.ticks;
        let mut rng = super::Rng::new(seed);
        let price_tick = if self.instrument.price_tick > 0.0 { self.instrument.price_tick } else { 1.0 };
        let away_ticks = if seed.is_multiple_of(2) { 22.0 } else { -22.0 };
        let (mut shift_ticks, mut traded) = (0.0f64, 0.0);
        for at in row..ticks.rows() {
            // Another market, yet one that could be: prices on the grid, what is counted over the day never falls.
            shift_ticks = (shift_ticks + rng.below(5) as f64 - 2.0).clamp(-20.0, 20.0);
            traded += 1.0 + rng.below(40) as f64;
            ticks.ts_ns[at] = ticks.ts_ns[at].saturating_add(LATER_NS);
            for column in Column::floats() {
                let value = &mut ticks.floats[column.index() - 1][at];
                match column {
                    Column::Volume | Column::Amount => *value += traded,
                    column if column.is_price() => {
                        let moved = *value + price_tick * (shift_ticks + away_ticks);
                        *value = if moved <= 0.0 { price_tick } else { moved };
                    }
                    _ => *value += 1.0 + rng.below(40) as f64,
                }
            }
        }
        other
    }
}
