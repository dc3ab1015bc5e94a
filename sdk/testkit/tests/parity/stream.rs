//! Rows with everything that a day has: moving books, empty levels, one-sided books, nulls, extremes.

/// splitmix64: a generator small enough to be read.
#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// `rows` rows of the columns named, packed.
pub(crate) fn rows(seed: u64, rows: usize, inputs: &[String]) -> Vec<u64> {
    let mut rng = Rng(seed);
    let (mut best, mut volume, mut interest) = (70_000.0, 0.0, 100_000.0);
    let mut words = Vec::with_capacity(rows * inputs.len());
    for row in 0..rows {
        best += 10.0 * (rng.below(5) as f64 - 2.0) * f64::from(u8::from(rng.one_in(3)));
        volume += rng.below(40) as f64 * f64::from(u8::from(rng.one_in(2)));
        interest += rng.below(21) as f64 - 10.0;
        let spread = 10.0 * (1 + rng.below(3)) as f64;
        let (no_bid, no_ask) = (rng.one_in(150), rng.one_in(150));
        for name in inputs {
            let level = name.bytes().last().map_or(0.0, |b| f64::from(b.wrapping_sub(b'1')));
            let value = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "datetime" => {
                    words.push(1_760_000_000_000_000_000 + row as u64 * 500_000_000);
                    continue;
                }
                "bid_price" if no_bid => f64::NAN,
                "ask_price" if no_ask => f64::NAN,
                "bid_price" => best - 10.0 * level,
                "ask_price" => best + spread + 10.0 * level,
                "bid_volume" if no_bid => 0.0,
                "ask_volume" if no_ask => 0.0,
                "bid_volume" | "ask_volume" => rng.below(60) as f64,
                "volume" => volume,
                "open_interest" => interest,
                _ if name.starts_with("score/") => rng.below(1000) as f64 / 1000.0,
                _ => best,
            };
            let strange = [f64::NAN, 0.0, -0.0, 1e300, -1.0, f64::MIN_POSITIVE / 4.0];
            let value = if rng.one_in(400) { strange[rng.below(6) as usize] } else { value };
            words.push(value.to_bits());
        }
    }
    words
}

/// Cuts `0..rows` into blocks of random sizes, small ones often.
pub(crate) fn cuts(seed: u64, rows: usize) -> Vec<std::ops::Range<usize>> {
    let mut rng = Rng(seed ^ 0xc075);
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < rows {
        let most = [1, 3, 40, 1500][rng.below(4) as usize];
        let end = rows.min(at + 1 + rng.below(most) as usize);
        blocks.push(at..end);
        at = end;
    }
    blocks
}
