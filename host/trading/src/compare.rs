//! What a shadow did beside the active lineup, tick by tick.

use crate::protocol::OutputDifference;
use ghtrader_kernels::wire::Action;

/// The comparison of one shadow with whatever was active meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comparison {
    pub(crate) ticks: u64,
    pub(crate) sessions: u64,
    pub(crate) equal_ticks: u64,
    pub(crate) target_disagreements: u64,
    pub(crate) first_difference: Option<(u64, String)>,
    pub(crate) outputs: Vec<OutputDifference>,
    /// Places of shared outputs: active, shadow, `outputs`.
    shared: Vec<(usize, usize, usize)>,
}

/// One side of a tick.
pub(crate) struct Side<'a> {
    pub(crate) outputs: &'a [f64],
    pub(crate) actions: &'a [Action],
    /// Net position wanted.
    pub(crate) wanted_lots: i64,
}

impl Comparison {
    /// Between two lineups with these output columns.
    pub(crate) fn new(active: &[String], shadow: &[String]) -> Self {
        let mut this = Self::default();
        for (at, name) in shadow.iter().enumerate() {
            let twin = active.iter().position(|n| n == name);
            if let Some(twin) = twin {
                this.shared.push((twin, at, this.outputs.len()));
            }
            this.outputs.push(output(name, twin.is_some()));
        }
        let missing = active.iter().filter(|name| !shadow.contains(name));
        this.outputs.extend(missing.map(|name| output(name, false)));
        this
    }

    /// Takes in a tick that both answered.
    pub(crate) fn tick(&mut self, seq: u64, active: &Side<'_>, shadow: &Side<'_>) {
        self.ticks += 1;
        let mut what = None;
        for &(a, s, place) in &self.shared {
            let (Some(a), Some(s)) = (active.outputs.get(a), shadow.outputs.get(s)) else { continue };
            if a.to_bits() == s.to_bits() {
                continue;
            }
            let output = &mut self.outputs[place];
            output.different_ticks += 1;
            let distance = (a - s).abs();
            if distance > output.max_abs_difference {
                output.max_abs_difference = distance;
            }
            what.get_or_insert_with(|| format!("{}: {a} active, {s} shadow", output.name));
        }
        let equal_actions = active.actions.iter().map(Action::encode).eq(shadow.actions.iter().map(Action::encode));
        if !equal_actions {
            what.get_or_insert_with(|| {
                format!("actions: {} active, {} shadow", active.actions.len(), shadow.actions.len())
            });
        }
        self.target_disagreements += u64::from(active.wanted_lots != shadow.wanted_lots);
        match what {
            None => self.equal_ticks += 1,
            Some(what) if self.first_difference.is_none() => self.first_difference = Some((seq, what)),
            Some(_) => {}
        }
    }
}

fn output(name: &str, shared: bool) -> OutputDifference {
    OutputDifference { name: name.to_owned(), shared, different_ticks: 0, max_abs_difference: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-06
    #[test]
    fn equal_bits_are_equal_and_the_first_difference_is_named() {
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let mut c = Comparison::new(&names(&["feature/a", "feature/b"]), &names(&["feature/b", "feature/c"]));
        let side = |outputs: &'static [f64], wanted_lots| Side { outputs, actions: &[], wanted_lots };
        c.tick(1, &side(&[1.0, f64::NAN], 0), &side(&[f64::NAN, 5.0], 0));
        c.tick(2, &side(&[1.0, 2.0], 0), &side(&[2.5, 5.0], 1));
        assert_eq!((c.ticks, c.equal_ticks, c.target_disagreements), (2, 1, 1));
        assert_eq!(c.first_difference, Some((2, "feature/b: 2 active, 2.5 shadow".to_owned())));
        let known: Vec<_> = c.outputs.iter().map(|o| (o.name.as_str(), o.shared, o.different_ticks)).collect();
        assert_eq!(known, [("feature/b", true, 1), ("feature/c", false, 0), ("feature/a", false, 0)]);
    }
}
