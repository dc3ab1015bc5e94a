//! The schema of a feature set: what a model was trained on and a lineup must offer.

use crate::{Digest, DigestBuilder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One f64 column of a feature set, with the component that computes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureColumn {
    /// Column name, such as `imbalance_1`.
    pub name: String,
    /// Unit as declared by the plugin.
    pub unit: String,
    /// Digest of the component.
    pub component: Digest,
    /// Parameters by name, values in their shortest text.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

impl FeatureColumn {
    /// Schema hash of ordered columns: first 16 hex of SHA-256 over (name, unit, type, component digest, parameters) of each.
    pub fn schema_hash(columns: &[Self]) -> String {
        let mut digest = DigestBuilder::new("feature-schema");
        digest.int(columns.len() as i64);
        for c in columns {
            digest.text(&c.name).text(&c.unit).text("float64").digest(&c.component).int(c.params.len() as i64);
            for (name, value) in &c.params {
                digest.text(name).text(value);
            }
        }
        digest.finish().short16()
    }

    /// What differs between the columns wanted and those given, one line a position; empty when they agree.
    pub fn differences(wanted: &[Self], given: &[Self]) -> Vec<String> {
        let name = |c: Option<&Self>| c.map_or_else(|| "nothing".to_owned(), |c| format!("`{}`", c.name));
        (0..wanted.len().max(given.len()))
            .filter_map(|i| {
                let (w, g) = (wanted.get(i), given.get(i));
                let parts = match (w, g) {
                    (Some(w), Some(g)) if w.name == g.name => {
                        let mut parts = Vec::new();
                        if w.unit != g.unit {
                            parts.push(format!("unit {} instead of {}", g.unit, w.unit));
                        }
                        if w.component != g.component {
                            parts.push(format!(
                                "component {} instead of {}",
                                g.component.short16(),
                                w.component.short16()
                            ));
                        }
                        if w.params != g.params {
                            parts.push(format!("parameters {:?} instead of {:?}", g.params, w.params));
                        }
                        parts
                    }
                    _ => vec![format!("{} instead of {}", name(g), name(w))],
                };
                (!parts.is_empty()).then(|| format!("column {i} ({}): {}", name(w.or(g)), parts.join(", ")))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, unit: &str) -> FeatureColumn {
        FeatureColumn { name: name.into(), unit: unit.into(), component: Digest::of(b"c"), params: BTreeMap::new() }
    }

    /// M-20
    #[test]
    fn order_unit_component_and_parameters_matter() {
        let wanted = [column("mid", "CNY"), column("spread", "CNY")];
        let hash = FeatureColumn::schema_hash(&wanted);
        assert_eq!(hash.len(), 16);
        let mut other = wanted.clone();
        other.swap(0, 1);
        assert_ne!(FeatureColumn::schema_hash(&other), hash);
        assert_eq!(
            FeatureColumn::differences(&wanted, &other),
            ["column 0 (`mid`): `spread` instead of `mid`", "column 1 (`spread`): `mid` instead of `spread`"]
        );
        let mut other = wanted.clone();
        other[1].params.insert("n".into(), "10".into());
        assert_ne!(FeatureColumn::schema_hash(&other), hash);
        assert_eq!(FeatureColumn::differences(&wanted, &other).len(), 1);
        assert_eq!(
            FeatureColumn::differences(&wanted, &wanted[..1]),
            ["column 1 (`spread`): nothing instead of `spread`"]
        );
        assert!(FeatureColumn::differences(&wanted, &wanted).is_empty());
    }
}
