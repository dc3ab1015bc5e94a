//! The generator's own random numbers: integer arithmetic only, so every machine draws the same ones.

use ghtrader_core::DigestBuilder;

/// xoshiro256++ (Blackman, Vigna, "Scrambled linear pseudorandom number generators", 2021).
#[derive(Debug, Clone)]
pub(super) struct Rng([u64; 4]);

impl Rng {
    /// A stream named by its parts: streams of different names are independent of each other.
    pub(super) fn named(seed: u64, parts: &[&str]) -> Self {
        let mut digest = DigestBuilder::new("ghtrader synthetic market 1");
        digest.int(seed as i64);
        for part in parts {
            digest.text(part);
        }
        let bytes = digest.finish().0;
        let mut state = [0u64; 4];
        for (word, chunk) in state.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        // The one state that the generator never leaves.
        if state == [0; 4] {
            state[0] = 1;
        }
        Self(state)
    }

    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// About normal with mean 0 and standard deviation `sd_ppm` millionths of `of`, rounded towards 0: the sum of four
    /// uniform numbers.
    pub(super) fn bell(&mut self, of: i64, sd_ppm: i64) -> i64 {
        // Standard deviation of a sum of four uniform numbers of 16 bits.
        const SUM_SD: i64 = 37_837;
        let r = self.next();
        let sum: i64 = (0..4).map(|i| ((r >> (16 * i)) & 0xFFFF) as i64).sum();
        of * (sum - 131_070) * sd_ppm / (SUM_SD * 1_000_000)
    }
}

/// Probability 1 as a whole number.
const ONE: u64 = 1 << 32;

/// Probability of `k` misses in a row, in 1/2³².
fn survival(miss: u64, k: u32) -> u64 {
    (0..k).fold(ONE, |p, _| ((u128::from(p) * u128::from(miss)) >> 32) as u64)
}

/// Quantiles of the geometric law on 1, 2, …: a uniform index draws from it.
#[derive(Debug, Clone)]
pub(super) struct Geometric<const N: usize>([u16; N]);

impl<const N: usize> Geometric<N> {
    /// With success probability `hits`/`of`, that is with mean `of`/`hits`.
    pub(super) fn new(hits: u64, of: u64) -> Self {
        Self::from_miss((of.saturating_sub(hits) << 32) / of, 0)
    }

    /// The law on 1..=`most` with mean `of`/`hits`, if there is one; else the one without an end.
    pub(super) fn at_most(most: u32, hits: u64, of: u64) -> Self {
        if 2 * of >= hits * (u64::from(most) + 1) {
            return Self::new(hits, of);
        }
        // The mean grows with the chance to miss, so halving finds it.
        let (mut low, mut high) = (0u64, ONE - 1);
        while high - low > 1 {
            let miss = low.midpoint(high);
            let end = survival(miss, most);
            let sum: u64 = (0..most).map(|k| survival(miss, k) - end).sum();
            if u128::from(sum) * u128::from(hits) < u128::from(ONE - end) * u128::from(of) {
                low = miss;
            } else {
                high = miss;
            }
        }
        Self::from_miss(low, survival(low, most))
    }

    /// By the chance to miss and the probability mass that is cut off at the end, both in 1/2³².
    fn from_miss(miss: u64, cut: u64) -> Self {
        let mut table = [1u16; N];
        let (mut value, mut reached) = (1u16, miss);
        for (i, cell) in table.iter_mut().enumerate() {
            // The middle of the i-th of N equal shares of probability, from the top.
            let left = cut + (((2 * (N - i) as u64 - 1) * (ONE - cut)) / (2 * N as u64));
            while reached > left && value < u16::MAX {
                value += 1;
                reached = (reached * miss) >> 32;
            }
            *cell = value;
        }
        Self(table)
    }

    /// The quantile of the low bits of `r`; N is a power of two.
    #[inline]
    pub(super) fn draw(&self, r: u64) -> u16 {
        self.0[r as usize & (N - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_gives_the_published_numbers() {
        // The reference implementation's outputs for the state 1, 2, 3, 4.
        let mut rng = Rng([1, 2, 3, 4]);
        for want in [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386, 9_228_616_714_210_784_205] {
            assert_eq!(rng.next(), want);
        }
    }

    #[test]
    fn geometric_has_its_mean() {
        for mean in [1u64, 2, 5, 10, 20] {
            let g = Geometric::<1024>::new(1000, 1000 * mean);
            let sum: u64 = (0..1024).map(|i| u64::from(g.draw(i))).sum();
            let got = sum as f64 / 1024.0;
            assert!((got - mean as f64).abs() < 0.02 * mean as f64, "{mean}: {got}");
        }
    }

    #[test]
    fn cut_off_law_keeps_its_mean() {
        for tenths in [11u64, 20, 46, 54] {
            let g = Geometric::<4096>::at_most(10, 10, tenths);
            let draws: Vec<u16> = (0..4096).map(|i| g.draw(i)).collect();
            let mean = draws.iter().map(|d| f64::from(*d)).sum::<f64>() / 4096.0;
            assert!((mean - tenths as f64 / 10.0).abs() < 0.02, "{tenths}: {mean}");
            assert!(draws.iter().all(|d| (1..=10).contains(d)));
        }
        assert!((0..4096).any(|i| Geometric::<4096>::at_most(10, 10, 80).draw(i) > 10));
    }
}
