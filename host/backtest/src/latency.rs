//! Delays between exchange and strategy: the same for all, drawn by the run's seed, or taken from a measurement.

use ghtrader_settings::Finding;
use ghtrader_stats::Rng;
use serde::{Deserialize, Serialize};

/// Delays between exchange and strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencySpec {
    /// From the exchange's stamp until the strategy sees the row, in microseconds.
    pub feed_us: u64,
    /// From the decision until an order reaches the exchange.
    pub order: Delay,
    /// From the decision until a cancel reaches the exchange.
    pub cancel: Delay,
}

impl Default for LatencySpec {
    fn default() -> Self {
        Self { feed_us: 2_000, order: Delay::Constant { us: 5_000 }, cancel: Delay::Constant { us: 5_000 } }
    }
}

/// A delay: the same for every message, drawn for each by the run's seed, or as it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Delay {
    /// Always the same.
    Constant {
        /// Microseconds.
        us: u64,
    },
    /// exp(ln(median) + sigma·z), z standard normal, cut at `max_us`.
    Lognormal {
        /// Microseconds.
        median_us: u64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Microseconds.
        max_us: u64,
    },
    /// Measured delays, one a message in their order, and from the first again behind the last.
    Trace {
        /// File of them: microseconds, one a line; `#` begins a remark. Relative to the specification's folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Microseconds, as read from the file. A specification may give them itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        us: Vec<u64>,
    },
}

impl Delay {
    /// Longest delay that a specification may ask for, in microseconds.
    const MAX_US: u64 = 10_000_000;
    /// Most delays of a trace.
    const MAX_TRACE: usize = 100_000;

    /// What is wrong with the delay of a key, if anything.
    pub(crate) fn finding(&self, key: &str) -> Option<Finding> {
        let (value, what) = match self {
            Self::Constant { us } if *us > Self::MAX_US => {
                (us.to_string(), format!("needs us in [0, {}]", Self::MAX_US))
            }
            Self::Lognormal { median_us, sigma, max_us }
                if *median_us == 0 || *max_us > Self::MAX_US || median_us > max_us || !(0.0..=3.0).contains(sigma) =>
            {
                let value = format!("median_us {median_us}, sigma {sigma}, max_us {max_us}");
                (value, format!("needs 0 < median_us ≤ max_us ≤ {}, sigma in [0, 3]", Self::MAX_US))
            }
            Self::Trace { file: Some(file), us } if !us.is_empty() => {
                (file.clone(), "needs file or us, not both".to_owned())
            }
            Self::Trace { file: None, us } => return trace_finding(key, us),
            _ => return None,
        };
        Some(Finding { key: key.to_owned(), value, what })
    }

    /// The file that a trace names and that has not been read.
    pub fn unread(&self) -> Option<&str> {
        match self {
            Self::Trace { file: Some(file), .. } => Some(file),
            _ => None,
        }
    }

    /// Puts the delays of a trace's file in its place; `text` is what stands in it.
    ///
    /// # Errors
    /// A line that is no whole number, one out of bounds, none at all, or too many.
    pub(crate) fn take_trace(&mut self, key: &str, text: &str) -> Result<(), Finding> {
        let Self::Trace { file: file @ Some(_), us } = self else { return Ok(()) };
        let mut delays = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let word = line.split('#').next().unwrap_or_default().trim();
            if word.is_empty() {
                continue;
            }
            delays.push(word.parse().map_err(|_| Finding {
                key: key.to_owned(),
                value: word.to_owned(),
                what: format!(
                    "line {} of {} is no whole number of microseconds",
                    number + 1,
                    file.as_deref().unwrap_or_default()
                ),
            })?);
        }
        if let Some(finding) = trace_finding(key, &delays) {
            return Err(finding);
        }
        (*us, *file) = (delays, None);
        Ok(())
    }

    /// The delay of the next message, microseconds. `sent` counts the messages of this kind so far.
    pub(crate) fn draw_us(&self, rng: &mut Rng, sent: &mut usize) -> i64 {
        match self {
            Self::Constant { us } => *us as i64,
            Self::Lognormal { median_us, sigma, max_us } => {
                let drawn = *median_us as f64 * libm::exp(sigma * rng.normal());
                drawn.min(*max_us as f64) as i64
            }
            Self::Trace { us, .. } => {
                let at = *sent;
                *sent += 1;
                us.get(at % us.len().max(1)).map_or(0, |us| *us as i64)
            }
        }
    }
}

/// What is wrong with the values of a trace, if anything.
fn trace_finding(key: &str, us: &[u64]) -> Option<Finding> {
    let (value, what) = match us.iter().find(|us| **us > Delay::MAX_US) {
        Some(us) => (us.to_string(), format!("a trace needs delays in [0, {}] us", Delay::MAX_US)),
        None if us.is_empty() || us.len() > Delay::MAX_TRACE => {
            (format!("{} delays", us.len()), format!("a trace needs 1 to {} delays, by file or us", Delay::MAX_TRACE))
        }
        None => return None,
    };
    Some(Finding { key: key.to_owned(), value, what })
}
