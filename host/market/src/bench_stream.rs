//! The reproducible stream of L5 snapshots that the engine's exact fill counts refer to.
//!
//! A queue-reactive random walk, one record each 0.5 s, five levels a side, the spread always one price tick. The random
//! numbers are MT19937 doubles (Matsumoto, Nishimura 1998, `genrand_res53`), so the same length and seed give the same
//! bytes everywhere, and a longer run starts with the records of a shorter one.

use ghtrader_core::{Column, L5_LEVELS, Phase, TickTable};

/// CNY a price tick of the stream.
pub const PRICE_TICK_CNY: f64 = 10.0;
/// Quoted units a lot of the stream.
pub const MULTIPLIER: f64 = 5.0;
/// Nanoseconds from one record to the next.
pub const INTERVAL_NS: i64 = 500_000_000;

const START_NS: i64 = 1_700_000_000_000_000_000;
const FIRST_BID_TICKS: i32 = 7000;
const RECORD_BYTES: usize = 72;
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
const DESCRIPTION: &str = "{'descr': [('ts', '<i8'), ('bt', '<i4'), ('at', '<i4'), ('lt', '<i4'), ('vb', '<i4'), \
                           ('va', '<i4'), ('bv', '<i4', (5,)), ('av', '<i4', (5,)), ('pad', '<i4')], \
                           'fortran_order': False, 'shape': ";

/// One snapshot of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Exchange time, ns since the epoch.
    pub ts_ns: i64,
    /// Best bid; level i stands i ticks below.
    pub bid_ticks: i32,
    /// Best ask; level i stands i ticks above.
    pub ask_ticks: i32,
    /// Price of the last trade.
    pub last_ticks: i32,
    /// Lots sold at the previous record's best bid since then.
    pub sold_lots: i32,
    /// Lots bought at the previous record's best ask since then.
    pub bought_lots: i32,
    /// Displayed sizes, best first.
    pub bid_lots: [i32; L5_LEVELS],
    /// Displayed sizes, best first.
    pub ask_lots: [i32; L5_LEVELS],
}

/// What keeps a stream file from being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The file system refused.
    #[error("cannot read the stream {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is no such stream.
    #[error("{path} is no snapshot stream: {found}; give the .npy file of the benchmark stream")]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        found: String,
    },
}

/// Makes the first `n` records of the stream of `seed`.
pub fn generate(n: usize, seed: u32) -> Vec<Record> {
    let mut walk = Walk::new(seed);
    (0..n).map(|_| walk.next()).collect()
}

/// The records as the bytes of a NumPy `.npy` file, format 1.0, little endian.
pub fn npy_bytes(records: &[Record]) -> Vec<u8> {
    let mut header = format!("{DESCRIPTION}({},), }}", records.len());
    // The preamble is padded with blanks to a multiple of 64 and ends with a line feed.
    let unpadded = MAGIC.len() + 2 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut bytes = Vec::with_capacity(MAGIC.len() + 2 + header.len() + records.len() * RECORD_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for r in records {
        bytes.extend_from_slice(&r.ts_ns.to_le_bytes());
        for word in [r.bid_ticks, r.ask_ticks, r.last_ticks, r.sold_lots, r.bought_lots] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for word in r.bid_lots.iter().chain(&r.ask_lots).chain(&[0]) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes
}

/// Reads a stream from a `.npy` file.
///
/// # Errors
/// `StreamError` if the file cannot be read, or holds another record layout or a broken last record.
pub fn read_npy(path: &std::path::Path) -> Result<Vec<Record>, StreamError> {
    let bytes = std::fs::read(path)
        .map_err(|e| StreamError::Read { path: path.display().to_string(), reason: e.to_string() })?;
    parse_npy(&bytes).map_err(|found| StreamError::Format { path: path.display().to_string(), found })
}

/// Records of the bytes of a `.npy` file; otherwise what was found.
fn parse_npy(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not start as a NumPy 1.0 file")?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or("it ends inside its header")?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (header, body) = rest.split_at_checked(length).ok_or("it ends inside its header")?;
    if !header.starts_with(DESCRIPTION.as_bytes()) {
        return Err(format!("its records are {}", String::from_utf8_lossy(header).trim()));
    }
    if body.len() % RECORD_BYTES != 0 {
        return Err(format!("its {} bytes of records are no multiple of {RECORD_BYTES}", body.len()));
    }
    let word = |at: &[u8]| at.first_chunk::<4>().map_or(0, |b| i32::from_le_bytes(*b));
    Ok(body
        .chunks_exact(RECORD_BYTES)
        .map(|r| {
            let at = |i: usize| word(&r[8 + 4 * i..]);
            Record {
                ts_ns: r.first_chunk::<8>().map_or(0, |b| i64::from_le_bytes(*b)),
                bid_ticks: at(0),
                ask_ticks: at(1),
                last_ticks: at(2),
                sold_lots: at(3),
                bought_lots: at(4),
                bid_lots: std::array::from_fn(|i| at(5 + i)),
                ask_lots: std::array::from_fn(|i| at(10 + i)),
            }
        })
        .collect())
}

/// The records as tick rows of one continuous session.
///
/// Price = ticks × [`PRICE_TICK_CNY`]; volume and amount are running sums, the amount at the previous record's best
/// prices, so that volume and amount together give the side of every lot. `highest`, `lowest` and `average` follow from
/// the trades; open interest is 0.
pub fn to_ticks(records: &[Record]) -> TickTable {
    let mut table = TickTable::with_capacity(records.len());
    let (mut bid, mut ask) = (FIRST_BID_TICKS, FIRST_BID_TICKS + 1);
    let (mut volume, mut lot_ticks) = (0i64, 0i64);
    let (mut high, mut low) = (i32::MIN, i32::MAX);
    for (row, r) in records.iter().enumerate() {
        volume += i64::from(r.sold_lots) + i64::from(r.bought_lots);
        lot_ticks += i64::from(r.sold_lots) * i64::from(bid) + i64::from(r.bought_lots) * i64::from(ask);
        for (lots, price) in [(r.sold_lots, bid), (r.bought_lots, ask)] {
            if lots > 0 {
                high = high.max(price);
                low = low.min(price);
            }
        }
        (bid, ask) = (r.bid_ticks, r.ask_ticks);
        table.ts_ns.push(r.ts_ns);
        table.seq.push(row as u32);
        table.phase.push(Phase::Continuous as u8);
        let price = |ticks: i32| f64::from(ticks) * PRICE_TICK_CNY;
        let traded = volume > 0;
        let or_null = |value: f64| if traded { value } else { f64::NAN };
        let mut put = |column: Column, value: f64| table.floats[column.index() - 1].push(value);
        put(Column::LastPrice, price(r.last_ticks));
        put(Column::Average, or_null(lot_ticks as f64 * PRICE_TICK_CNY / volume as f64));
        put(Column::Highest, or_null(price(high)));
        put(Column::Lowest, or_null(price(low)));
        put(Column::Volume, volume as f64);
        put(Column::Amount, lot_ticks as f64 * PRICE_TICK_CNY * MULTIPLIER);
        put(Column::OpenInterest, 0.0);
        for level in 0..L5_LEVELS {
            put(Column::bid_price(level), price(r.bid_ticks - level as i32));
            put(Column::bid_volume(level), f64::from(r.bid_lots[level]));
            put(Column::ask_price(level), price(r.ask_ticks + level as i32));
            put(Column::ask_volume(level), f64::from(r.ask_lots[level]));
        }
    }
    table
}

/// The market behind the stream.
struct Walk {
    random: MersenneTwister,
    ts_ns: i64,
    bid: i32,
    last: i32,
    bids: [i32; L5_LEVELS],
    asks: [i32; L5_LEVELS],
}

impl Walk {
    fn new(seed: u32) -> Self {
        let mut random = MersenneTwister::new(seed);
        let (mut bids, mut asks) = ([0; L5_LEVELS], [0; L5_LEVELS]);
        for (bid, ask) in bids.iter_mut().zip(&mut asks) {
            *bid = random.geometric(40.0);
            *ask = random.geometric(40.0);
        }
        Self { random, ts_ns: START_NS, bid: FIRST_BID_TICKS, last: FIRST_BID_TICKS, bids, asks }
    }

    /// The next snapshot. The order of the draws is part of the stream's definition.
    fn next(&mut self) -> Record {
        self.ts_ns += INTERVAL_NS;
        let sold = self.market_order().min(self.bids[0]);
        let bought = self.market_order().min(self.asks[0]);
        let previous_bid = self.bid;
        for level in 0..L5_LEVELS {
            let chance = if level == 0 { 0.7 } else { 0.35 };
            self.random.refresh(&mut self.bids[level], chance);
            self.random.refresh(&mut self.asks[level], chance);
            for lots in [&mut self.bids[level], &mut self.asks[level]] {
                if *lots > 120 {
                    *lots -= 20;
                }
            }
        }
        self.bids[0] -= sold;
        self.asks[0] -= bought;
        if bought > 0 {
            self.last = previous_bid + 1;
        }
        if sold > 0 && (bought == 0 || self.random.uniform() < 0.5) {
            self.last = previous_bid;
        }
        if self.bids[0] <= 0 && self.asks[0] <= 0 {
            self.asks[0] = 1;
        }
        if self.bids[0] <= 0 {
            self.bid -= 1;
            shift(&mut self.bids, &mut self.asks, &mut self.random);
        } else if self.asks[0] <= 0 {
            self.bid += 1;
            shift(&mut self.asks, &mut self.bids, &mut self.random);
        }
        Record {
            ts_ns: self.ts_ns,
            bid_ticks: self.bid,
            ask_ticks: self.bid + 1,
            last_ticks: self.last,
            sold_lots: sold,
            bought_lots: bought,
            bid_lots: self.bids,
            ask_lots: self.asks,
        }
    }

    fn market_order(&mut self) -> i32 {
        if self.random.uniform() < 0.35 { self.random.geometric(6.0) } else { 0 }
    }
}

/// The best level of `gone` is used up: its side steps back, the other side steps forward.
fn shift(gone: &mut [i32; L5_LEVELS], other: &mut [i32; L5_LEVELS], random: &mut MersenneTwister) {
    gone.rotate_left(1);
    gone[L5_LEVELS - 1] = random.geometric(40.0);
    other.rotate_right(1);
    other[0] = random.geometric(15.0);
}

/// MT19937 by `init_genrand(seed)`.
struct MersenneTwister {
    state: [u32; Self::N],
    next: usize,
}

impl MersenneTwister {
    const N: usize = 624;
    const M: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::N];
        for i in 1..Self::N {
            let before = state[i - 1];
            state[i] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: Self::N }
    }

    fn word(&mut self) -> u32 {
        if self.next == Self::N {
            for i in 0..Self::N {
                let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % Self::N] & 0x7fff_ffff);
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + Self::M) % Self::N] ^ (joined >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform in [0, 1) with 53 bits.
    fn uniform(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// Geometric from 1 with the given mean.
    fn geometric(&mut self, mean: f64) -> i32 {
        1 + ((1.0 - self.uniform()).ln() / (1.0 - 1.0 / mean).ln()) as i32
    }

    /// With the given chance a level gains some lots and loses others, never its last one.
    fn refresh(&mut self, lots: &mut i32, chance: f64) {
        if self.uniform() < chance {
            *lots += self.geometric(6.0);
            let cancelled = self.geometric(5.0);
            *lots -= cancelled.min(*lots - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_core::Digest;

    /// B-04, B-36: the published digest of the file of 200,000 records, seed 3.
    #[test]
    fn bytes_are_the_published_ones() {
        let bytes = npy_bytes(&generate(200_000, 3));
        assert_eq!(
            Digest::of(&bytes).to_string().trim_start_matches("sha256:"),
            "204f68d223d4a6c197ea78ec2c39b483e97dcea1178e58ef05992ca022c9b7d0"
        );
    }

    #[test]
    fn file_reads_back() {
        let records = generate(1000, 7);
        let bytes = npy_bytes(&records);
        assert_eq!(parse_npy(&bytes), Ok(records));
        assert!(parse_npy(&bytes[..bytes.len() - 1]).is_err());
        assert!(parse_npy(b"PAR1").is_err());
    }

    #[test]
    fn a_longer_stream_starts_like_a_shorter_one() {
        assert_eq!(generate(2000, 3)[..500], generate(500, 3));
    }
}
