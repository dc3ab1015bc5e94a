//! From digests to live instances.

use crate::protocol::{ResolvedLineup, ResolvedPlugin};
use ghtrader_core::{ErrorClass, FeatureColumn, Problem};
use ghtrader_model::{Artefact, LinearModel};
use ghtrader_plugin::{Instrument, ParamValue, Params, Plugin, Registry};
use ghtrader_runtime::{Lineup, LineupParts, Scorer};
use std::path::PathBuf;
use std::sync::Arc;

/// Makes a lineup's instances.
pub trait LineupMaker: Send + Sync {
    /// Fresh instances of every plugin, tied together.
    ///
    /// # Errors
    /// A plugin that is not there or does not start, a model that is not there or reads other columns.
    fn make(&self, lineup: &ResolvedLineup, instrument: &Instrument) -> Result<Lineup, Problem>;
}

/// Makes lineups of what the registry and the folder of models hold.
#[derive(Debug, Clone)]
pub struct RegistryMaker {
    registry: Registry,
    models_dir: PathBuf,
}

impl RegistryMaker {
    /// Models lie in `models_dir`, each in the folder that its digest names.
    pub fn new(registry: Registry, models_dir: PathBuf) -> Self {
        Self { registry, models_dir }
    }

    fn load(&self, plugin: &ResolvedPlugin) -> Result<(Arc<Plugin>, Params), Problem> {
        let loaded = self.registry.load(&plugin.digest)?;
        let params = plugin.params.iter().map(|(k, v)| (k.clone(), param_value(v))).collect();
        Ok((loaded, params))
    }
}

impl LineupMaker for RegistryMaker {
    fn make(&self, lineup: &ResolvedLineup, instrument: &Instrument) -> Result<Lineup, Problem> {
        let mut features = Vec::new();
        let mut columns: Vec<FeatureColumn> = Vec::new();
        for feature in &lineup.features {
            let (plugin, params) = self.load(feature)?;
            let instance = plugin.feature(&params, instrument)?;
            let described: std::collections::BTreeMap<String, String> = plugin
                .manifest()
                .resolve_params(&params)
                .unwrap_or_default()
                .iter()
                .map(|(k, v)| (k.clone(), v.to_string()))
                .collect();
            columns.extend(instance.description().outputs.iter().map(|o| FeatureColumn {
                name: o.name.clone(),
                unit: o.unit.clone(),
                component: feature.digest,
                params: described.clone(),
            }));
            features.push(instance);
        }
        let scorer = match &lineup.model {
            None => None,
            Some(model) => {
                let folder = self.models_dir.join(model.digest.to_string());
                let artefact = Artefact::open(&folder)?;
                let found = artefact.digest()?;
                if found != model.digest {
                    return Err(Problem::new(
                        "model_damaged",
                        ErrorClass::Conflict,
                        format!("the model in {} has digest {found}", folder.display()),
                        "plan the lineup again from the model's own folder",
                    ));
                }
                artefact.check_schema(&columns)?;
                let names = LinearModel::score_names(artefact.manifest.horizon_rows);
                Some(Scorer { model: artefact.model, names })
            }
        };
        let (plugin, params) = self.load(&lineup.strategy)?;
        let strategy = plugin.strategy(&params, instrument)?;
        Ok(Lineup::new(LineupParts { features, scorer, strategy })?)
    }
}

/// A parameter as it stands in a plan.
pub(crate) fn param_value(value: &serde_json::Value) -> ParamValue {
    match value {
        serde_json::Value::Bool(v) => ParamValue::Flag(*v),
        serde_json::Value::Number(n) => match n.as_i64() {
            Some(v) => ParamValue::Integer(v),
            None => ParamValue::Number(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(v) => ParamValue::Text(v.clone()),
        other => ParamValue::Text(other.to_string()),
    }
}
