//! Seeded random numbers whose sequence is part of the results.

/// A small generator with a fixed, documented sequence: xoshiro256++, seeded by splitmix64.
///
/// Source: Blackman, Vigna, "Scrambled linear pseudorandom number generators", 2021. Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Starts the sequence of a seed.
    pub fn new(seed: u64) -> Self {
        let mut z = seed;
        Self {
            state: std::array::from_fn(|_| {
                z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut x = z;
                x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                x ^ (x >> 31)
            }),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform whole number below `n`; 0 if `n` is 0.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval", 2019, without the rejection step: the bias is below n/2⁶⁴.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by inversion.
    pub fn normal(&mut self) -> f64 {
        // The half step keeps 0, whose quantile is −∞, out of reach.
        crate::normal_quantile(self.uniform() + 0.5 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_the_published_one() {
        // splitmix64 from state 0, then xoshiro256++: the first value is rotl(s0 + s3, 23) + s0.
        let mut rng = Rng::new(0);
        let (s0, s3) = (0xE220_A839_7B1D_CDAFu64, 0xF88B_B8A8_724C_81ECu64);
        assert_eq!(rng.state[0], s0);
        assert_eq!(rng.state[3], s3);
        assert_eq!(rng.next_u64(), s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0));
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(7);
        let n = 200_000;
        let x: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let (m, s) = (crate::mean(&x), crate::sample_std(&x).unwrap());
        assert!(m.abs() < 0.01 && (s - 1.0).abs() < 0.01, "{m} {s}");
        let mut seen = [0; 5];
        (0..n).for_each(|_| seen[rng.below(5)] += 1);
        assert!(seen.iter().all(|c| (*c as f64 / n as f64 - 0.2).abs() < 0.005), "{seen:?}");
    }
}
