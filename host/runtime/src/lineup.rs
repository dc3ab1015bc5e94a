//! A lineup that is alive: features, model and strategy, asked tick by tick.

use crate::{InputLayout, RuntimeError, StrategyRunner};
use ghtrader_core::TickView;
use ghtrader_kernels::wire::{Action, Boundary, Event};
use ghtrader_model::LinearModel;
use ghtrader_plugin::{AccountView, FeatureInstance, PluginFault, StrategyInstance};

/// What a lineup is made of.
pub struct LineupParts {
    /// Feature instances, in order.
    pub features: Vec<Box<dyn FeatureInstance>>,
    /// The model that scores their outputs.
    pub scorer: Option<Scorer>,
    /// The strategy.
    pub strategy: Box<dyn StrategyInstance>,
}

/// A model with the names of its score columns.
#[derive(Debug, Clone)]
pub struct Scorer {
    /// Reads all feature outputs, in the lineup's order.
    pub model: LinearModel,
    /// Names of the scores, such as `score/up@50`.
    pub names: [String; 3],
}

/// How a tick was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every plugin gave a result.
    Whole,
    /// A plugin answered with an error: its outputs are NaN for this tick, or the strategy did nothing.
    Error,
}

struct Stage {
    instance: Box<dyn FeatureInstance>,
    layout: InputLayout,
    width: usize,
}

/// One instance of each plugin of a lineup, fed with the same ticks in the same order.
pub struct Lineup {
    stages: Vec<Stage>,
    scorer: Option<LinearModel>,
    runner: StrategyRunner,
    names: Vec<String>,
    /// Outputs of the present tick: features, then scores.
    made: Vec<f64>,
    words: Vec<u64>,
    values: Vec<f64>,
}

impl Lineup {
    /// Ties the parts together by the names of their columns.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownColumn`] if a part asks for what nothing makes; [`RuntimeError::Contract`] if the model is for
    /// another number of columns.
    pub fn new(parts: LineupParts) -> Result<Self, RuntimeError> {
        let mut names = Vec::new();
        let mut stages = Vec::new();
        for instance in parts.features {
            let description = instance.description();
            let layout = InputLayout::resolve(&description.inputs, &[])?;
            names.extend(description.outputs.iter().map(|o| format!("feature/{}", o.name)));
            let width = description.outputs.len();
            stages.push(Stage { instance, layout, width });
        }
        let scorer = match parts.scorer {
            Some(scorer) if scorer.model.features() == names.len() => {
                names.extend(scorer.names);
                Some(scorer.model)
            }
            Some(scorer) => {
                return Err(RuntimeError::Contract {
                    what: format!(
                        "the model reads {} columns, the features make {}",
                        scorer.model.features(),
                        names.len()
                    ),
                });
            }
            None => None,
        };
        let runner = StrategyRunner::new(parts.strategy, &names)?;
        let made = vec![f64::NAN; names.len()];
        Ok(Self { stages, scorer, runner, names, made, words: Vec::new(), values: Vec::new() })
    }

    /// Names of [`Self::outputs`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Features and scores of the last tick; NaN = not available.
    pub fn outputs(&self) -> &[f64] {
        &self.made
    }

    /// Rows that must have been seen before the lineup means anything: the features', then the strategy's.
    pub fn warmup_rows(&self) -> usize {
        let features = self.stages.iter().map(|s| s.instance.description().warmup_rows).max().unwrap_or(0);
        features as usize + self.runner.warmup_rows() as usize
    }

    /// Linear memory of all instances, bytes.
    pub fn memory_bytes(&self) -> u64 {
        let features: u64 = self.stages.iter().filter_map(|s| s.instance.memory_bytes()).sum();
        features + self.runner.memory_bytes()
    }

    /// Tells the features of a border, before the first row behind it. Strategies hear of it as an event.
    ///
    /// # Errors
    /// A plugin's fault, behind which the lineup is of no more use.
    pub fn boundary(&mut self, kind: Boundary) -> Result<(), RuntimeError> {
        for stage in &mut self.stages {
            stage.instance.boundary(kind)?;
        }
        Ok(())
    }

    /// Answers a tick; `actions` is replaced.
    ///
    /// # Errors
    /// A fault of any plugin but an error answer; the lineup is of no more use behind it.
    pub fn tick(
        &mut self,
        view: &TickView<'_>,
        row: usize,
        account: &AccountView,
        events: &[Event],
        actions: &mut Vec<Action>,
    ) -> Result<Answer, RuntimeError> {
        let mut answer = Answer::Whole;
        actions.clear();
        let mut place = 0;
        for stage in &mut self.stages {
            let made = place..place + stage.width;
            place = made.end;
            stage.layout.pack_row(view, row, &[], &mut self.words);
            self.values.clear();
            match stage.instance.compute(&self.words, &mut self.values) {
                // One form of NaN, as built columns have it.
                Ok(()) => {
                    let canonical = self.values.iter().map(|v| if v.is_nan() { f64::NAN } else { *v });
                    self.made[made].iter_mut().zip(canonical).for_each(|(to, v)| *to = v);
                }
                Err(PluginFault::Error { .. }) => {
                    self.made[made].fill(f64::NAN);
                    answer = Answer::Error;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        if let Some(model) = &self.scorer {
            let (features, scores) = self.made.split_at_mut(place);
            scores.copy_from_slice(&model.probabilities(|k| features[k]));
        }
        self.runner.layout().pack_row(view, row, &self.made, &mut self.words);
        let asked = self.runner.run(Some(&self.words), 0..1, account, events, actions);
        match asked {
            Ok(_) => Ok(answer),
            Err(RuntimeError::Plugin(PluginFault::Error { .. })) => {
                actions.clear();
                Ok(Answer::Error)
            }
            Err(error) => Err(error),
        }
    }
}
