//! A stretch of rows on which a plugin is tried, and its one encoding inside an artefact.

use crate::{Finding, Instrument};
use ghtrader_core::{Phase, TickTable};
use ghtrader_kernels::wire::Boundary;

/// Name of the custom section with the encoded fixture.
pub const FIXTURE_SECTION: &str = "ghtrader:fixture";
/// Most rows of an encoded fixture.
pub const MAX_FIXTURE_ROWS: usize = 10_000;
/// Largest encoded fixture, bytes.
pub const MAX_FIXTURE_BYTES: usize = 1 << 20;

const MAGIC: &[u8] = b"ghtrader fixture 1\n";
const MAX_SYMBOL_BYTES: usize = 64;
const MAX_BORDERS: usize = 4096;

/// A stretch of rows of one contract on which a plugin is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixture {
    /// What is traded.
    pub instrument: Instrument,
    /// The rows, in order of time.
    pub ticks: TickTable,
    /// Borders by the row that they lie before, ascending; several before one row are told in this order.
    pub borders: Vec<(usize, Boundary)>,
}

/// A fixture that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FixtureError {
    /// Bytes that no fixture has.
    #[error("the fixture is damaged at byte {at}: {what}")]
    Damaged {
        /// Where reading ended.
        at: usize,
        /// What was due there.
        what: &'static str,
    },
    /// Bytes that say the same as others.
    #[error("the fixture is not in canonical form")]
    NotCanonical,
    /// More than an artefact may carry.
    #[error("the fixture has {value} {unit}, at most {bound} are allowed")]
    TooLarge {
        /// Number found.
        value: usize,
        /// Number allowed.
        bound: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// Rows that no stream has.
    #[error("the fixture {what}")]
    Invalid {
        /// Value and bound.
        what: String,
    },
}

impl From<FixtureError> for Finding {
    fn from(error: FixtureError) -> Self {
        let (code, remedy) = match &error {
            FixtureError::Damaged { .. } => ("fixture_damaged", "pack the module again"),
            FixtureError::NotCanonical => ("fixture_not_canonical", "pack the module again"),
            FixtureError::TooLarge { .. } => ("fixture_too_large", "take a shorter stretch of rows"),
            FixtureError::Invalid { .. } => ("fixture_invalid", "give rows of one contract in order of time"),
        };
        Self::new(code, error.to_string(), remedy).at(format!("section {FIXTURE_SECTION}"))
    }
}

impl Fixture {
    /// The one form in which a fixture is embedded.
    ///
    /// Columns one after the other, each word as its difference to the word above in the shortest LEB128: exclusive or with the
    /// bits reversed for f64, whose low bits are mostly 0; the difference for times and sequence. NaN is written canonically.
    ///
    /// # Errors
    /// [`FixtureError::Invalid`] and [`FixtureError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, FixtureError> {
        self.check()?;
        let mut out = MAGIC.to_vec();
        put(&mut out, self.instrument.symbol.len() as u64);
        out.extend_from_slice(self.instrument.symbol.as_bytes());
        for value in [self.instrument.price_tick, self.instrument.multiplier] {
            put(&mut out, canonical(value).reverse_bits());
        }
        put(&mut out, self.ticks.rows() as u64);
        put(&mut out, self.borders.len() as u64);
        for (row, kind) in &self.borders {
            put(&mut out, *row as u64);
            out.push(*kind as u8);
        }
        let mut above = 0i64;
        for ts_ns in &self.ticks.ts_ns {
            put(&mut out, zigzag(ts_ns.wrapping_sub(above)));
            above = *ts_ns;
        }
        let mut above = 0u32;
        for seq in &self.ticks.seq {
            put(&mut out, u64::from(seq.wrapping_sub(above)));
            above = *seq;
        }
        out.extend_from_slice(&self.ticks.phase);
        for column in &self.ticks.floats {
            let mut above = 0u64;
            for value in column {
                let bits = canonical(*value);
                put(&mut out, (bits ^ above).reverse_bits());
                above = bits;
            }
        }
        match out.len() {
            value if value > MAX_FIXTURE_BYTES => {
                Err(FixtureError::TooLarge { value, bound: MAX_FIXTURE_BYTES, unit: "bytes" })
            }
            _ => Ok(out),
        }
    }

    /// Reads what [`Fixture::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// What is wrong with the bytes, or with the rows in them.
    pub fn decode(data: &[u8]) -> Result<Self, FixtureError> {
        if data.len() > MAX_FIXTURE_BYTES {
            return Err(FixtureError::TooLarge { value: data.len(), bound: MAX_FIXTURE_BYTES, unit: "bytes" });
        }
        let mut reader = Reader { data, at: 0 };
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(FixtureError::Damaged { at: 0, what: "it does not begin as a fixture does" });
        }
        let length = reader.count(MAX_SYMBOL_BYTES, "bytes of symbol")?;
        let symbol = std::str::from_utf8(reader.bytes(length)?)
            .map_err(|_| FixtureError::Damaged { at: reader.at, what: "the symbol is no UTF-8" })?
            .to_owned();
        let mut number = || Ok(f64::from_bits(reader.word()?.reverse_bits()));
        let instrument = Instrument { symbol, price_tick: number()?, multiplier: number()? };
        let rows = reader.count(MAX_FIXTURE_ROWS, "rows")?;
        let borders = reader.count(MAX_BORDERS, "borders")?;
        let borders = (0..borders).map(|_| reader.border()).collect::<Result<_, _>>()?;
        let mut ticks = TickTable::with_capacity(rows);
        let mut above = 0i64;
        for _ in 0..rows {
            above = above.wrapping_add(unzigzag(reader.word()?));
            ticks.ts_ns.push(above);
        }
        let mut above = 0u32;
        for _ in 0..rows {
            above = above.wrapping_add(reader.word()? as u32);
            ticks.seq.push(above);
        }
        ticks.phase.extend_from_slice(reader.bytes(rows)?);
        for column in &mut ticks.floats {
            let mut above = 0u64;
            for _ in 0..rows {
                above ^= reader.word()?.reverse_bits();
                column.push(f64::from_bits(above));
            }
        }
        if reader.at != data.len() {
            return Err(FixtureError::Damaged { at: reader.at, what: "there are bytes behind its end" });
        }
        let fixture = Self { instrument, ticks, borders };
        // One stretch of rows has one form: the digest of an artefact then says whether two fixtures are the same.
        if fixture.encode()? == data { Ok(fixture) } else { Err(FixtureError::NotCanonical) }
    }

    fn check(&self) -> Result<(), FixtureError> {
        let too_large = |value, bound, unit| Err(FixtureError::TooLarge { value, bound, unit });
        let invalid = |what: String| Err(FixtureError::Invalid { what });
        let ticks = &self.ticks;
        let rows = ticks.rows();
        match (self.instrument.symbol.len(), rows, self.borders.len()) {
            (bytes, ..) if bytes > MAX_SYMBOL_BYTES => return too_large(bytes, MAX_SYMBOL_BYTES, "bytes of symbol"),
            (_, rows, _) if rows > MAX_FIXTURE_ROWS => return too_large(rows, MAX_FIXTURE_ROWS, "rows"),
            (_, _, borders) if borders > MAX_BORDERS => return too_large(borders, MAX_BORDERS, "borders"),
            (_, 0, _) => return invalid("has no rows".to_owned()),
            _ => {}
        }
        if ticks.seq.len() != rows || ticks.phase.len() != rows || ticks.floats.iter().any(|c| c.len() != rows) {
            return invalid("has columns of different lengths".to_owned());
        }
        if let Some(row) = ticks.ts_ns.windows(2).position(|t| t[0] > t[1]) {
            return invalid(format!("goes back in time at row {}", row + 1));
        }
        if let Some(row) = ticks.phase.iter().position(|p| usize::from(*p) >= Phase::ALL.len()) {
            return invalid(format!("has phase {} at row {row}", ticks.phase[row]));
        }
        for (i, (row, kind)) in self.borders.iter().enumerate() {
            let before = &self.borders[..i];
            let same_row = before.iter().rev().take_while(|(at, _)| at == row);
            let in_order = before.last().is_none_or(|(at, _)| at <= row);
            if *row >= rows || !in_order || same_row.into_iter().any(|(_, told)| told == kind) {
                return invalid(format!(
                    "has a border before row {row} out of order, told twice or behind its {rows} rows"
                ));
            }
        }
        Ok(())
    }
}

/// The bits of a value, the same for every NaN.
pub(crate) fn canonical(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(word: u64) -> i64 {
    (word >> 1).cast_signed() ^ -(word & 1).cast_signed()
}

fn put(out: &mut Vec<u8>, mut word: u64) {
    while word >= 0x80 {
        out.push(word as u8 | 0x80);
        word >>= 7;
    }
    out.push(word as u8);
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], FixtureError> {
        let bytes = self.data[self.at..].get(..count);
        let bytes = bytes.ok_or(FixtureError::Damaged { at: self.data.len(), what: "it ends too early" })?;
        self.at += count;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u64, FixtureError> {
        let mut word = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?[0];
            word |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(word);
            }
        }
        Err(FixtureError::Damaged { at: self.at, what: "a number is longer than 64 bits" })
    }

    /// A number of things, of which each takes at least a byte.
    fn count(&mut self, bound: usize, unit: &'static str) -> Result<usize, FixtureError> {
        let value = usize::try_from(self.word()?).unwrap_or(usize::MAX);
        if value > bound { Err(FixtureError::TooLarge { value, bound, unit }) } else { Ok(value) }
    }

    fn border(&mut self) -> Result<(usize, Boundary), FixtureError> {
        let row = self.count(MAX_FIXTURE_ROWS, "rows before a border")?;
        let number = self.bytes(1)?[0];
        let kind = Boundary::ALL.into_iter().find(|kind| *kind as u8 == number);
        kind.map(|kind| (row, kind)).ok_or(FixtureError::Damaged { at: self.at, what: "no border has that number" })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ghtrader_core::{Column, NS_PER_S};
    use proptest::prelude::*;

    /// A walking book with holes, a session border and a gap.
    pub(crate) fn walk(rows: usize, seed: u64) -> Fixture {
        let mut rng = crate::trace::Rng::new(seed);
        let mut ticks = TickTable::default();
        let (mut ts_ns, mut best, mut volume) = (1_760_000_000 * NS_PER_S, 70_000.0, 0.0);
        for row in 0..rows {
            ts_ns += NS_PER_S / 2;
            best += 10.0 * (rng.below(3) as f64 - 1.0);
            volume += rng.below(20) as f64;
            ticks.ts_ns.push(ts_ns);
            ticks.seq.push(row as u32);
            ticks.phase.push(Phase::Continuous as u8);
            for column in Column::floats() {
                let level = f64::from((column.index() as u32).saturating_sub(8) / 4);
                let value = match column.name().trim_end_matches(|c: char| c.is_ascii_digit()) {
                    "bid_price" if row % 97 == 5 => f64::NAN,
                    "bid_price" => best - 10.0 * level,
                    "ask_price" => best + 10.0 + 10.0 * level,
                    "bid_volume" | "ask_volume" => 1.0 + rng.below(60) as f64,
                    "volume" => volume,
                    _ => best,
                };
                ticks.floats[column.index() - 1].push(value);
            }
        }
        let borders = [(0, Boundary::TradingDay), (rows / 3, Boundary::Gap), (rows / 2, Boundary::Session)];
        let borders = borders.into_iter().filter(|(row, _)| *row < rows).collect();
        let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
        Fixture { instrument, ticks, borders }
    }

    /// Debug text, in which all NaN are equal.
    fn shown(fixture: &Fixture) -> String {
        format!("{fixture:?}")
    }

    #[test]
    fn what_is_written_is_read() {
        let fixture = walk(2000, 1);
        let data = fixture.encode().unwrap();
        assert!(data.len() < 250_000, "{} bytes", data.len());
        assert_eq!(shown(&Fixture::decode(&data).unwrap()), shown(&fixture));
        let mut odd = fixture.clone();
        odd.ticks.floats[3][7] = f64::from_bits(0x7ff8_dead_beef_0001);
        odd.instrument.price_tick = f64::NAN;
        let again = Fixture::decode(&odd.encode().unwrap()).unwrap();
        assert_eq!(again.ticks.floats[3][7].to_bits(), f64::NAN.to_bits(), "a NaN is one value");
    }

    #[test]
    fn what_no_stream_has_is_refused() {
        type Spoil = fn(&mut Fixture);
        let cases: [(&str, Spoil); 8] = [
            ("fixture_invalid", |f| f.ticks = TickTable::default()),
            ("fixture_invalid", |f| f.ticks.ts_ns[5] = 0),
            ("fixture_invalid", |f| f.ticks.phase[5] = 9),
            ("fixture_invalid", |f| f.ticks.floats[5].truncate(3)),
            ("fixture_invalid", |f| f.borders.push((99, Boundary::Roll))),
            ("fixture_invalid", |f| f.borders.reverse()),
            ("fixture_too_large", |f| f.instrument.symbol = "x".repeat(65)),
            ("fixture_too_large", |f| f.ticks = walk(MAX_FIXTURE_ROWS + 1, 1).ticks),
        ];
        for (code, spoil) in cases {
            let mut fixture = walk(50, 1);
            spoil(&mut fixture);
            assert_eq!(fixture.encode().map_err(|e| Finding::from(e).code), Err(code));
        }
    }

    #[test]
    fn longer_forms_and_rests_are_refused() {
        let data = walk(20, 1).encode().unwrap();
        let mut longer = data.clone();
        longer.push(0);
        assert!(matches!(Fixture::decode(&longer), Err(FixtureError::Damaged { .. })));
        // The symbol's length as two bytes instead of one.
        let mut padded = data.clone();
        padded[MAGIC.len()] |= 0x80;
        padded.insert(MAGIC.len() + 1, 0);
        assert_eq!(Fixture::decode(&padded), Err(FixtureError::NotCanonical));
        assert!(matches!(Fixture::decode(&vec![0; MAX_FIXTURE_BYTES + 1]), Err(FixtureError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_another_fixture(at in 0usize..4000, flip in 1u8.., cut in 0usize..4000) {
            let fixture = walk(40, 3);
            let data = fixture.encode().unwrap();
            let mut damaged = data.clone();
            let at = at % damaged.len();
            damaged[at] ^= flip;
            if let Ok(other) = Fixture::decode(&damaged) {
                prop_assert_eq!(other.encode().unwrap(), damaged);
                prop_assert_ne!(shown(&other), shown(&fixture));
            }
            prop_assert!(Fixture::decode(&data[..cut % data.len()]).is_err());
        }
    }
}
