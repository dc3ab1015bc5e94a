//! The artefact: one folder named by the digest of its two files.

use crate::{CLASSES, LinearModel, ModelError, ModelManifest};
use ghtrader_core::{Digest, DigestBuilder, FeatureColumn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Name of the manifest in the folder.
pub const MANIFEST_FILE: &str = "model.toml";
/// Name of the numbers in the folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";

const FAMILY: &str = "logistic";
const FORMAT: u32 = 1;
const MAX_MANIFEST_BYTES: u64 = 4 << 20;
const MAX_WEIGHTS_BYTES: u64 = 16 << 20;
/// Rows of the stored self-test, in standard deviations from the mean: alternating signs so that features do not cancel.
const SELF_TEST_SIGMA: [f64; 4] = [0.0, 0.7, -1.3, 2.9];

/// A trained model with its manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Artefact {
    /// Everything but the numbers.
    pub manifest: ModelManifest,
    /// The numbers.
    pub model: LinearModel,
}

impl Artefact {
    /// The two files' bytes.
    fn files(&self) -> Result<(String, Vec<u8>), ModelError> {
        check_manifest(&self.manifest, MANIFEST_FILE)?;
        if anchors(&self.manifest, MANIFEST_FILE)? != self.model.anchor {
            let reason = "scaler.price_levels are not those of the model".to_owned();
            return Err(ModelError::Manifest { path: MANIFEST_FILE.to_owned(), reason });
        }
        let text = toml::to_string(&self.manifest)
            .map_err(|e| ModelError::Manifest { path: MANIFEST_FILE.to_owned(), reason: e.to_string() })?;
        Ok((text, write_weights(&self.model)?))
    }

    /// Digest of the model: its identity everywhere.
    ///
    /// # Errors
    /// [`ModelError`] if the manifest cannot be written, or the numbers do not fit it.
    pub fn digest(&self) -> Result<Digest, ModelError> {
        let (manifest, weights) = self.files()?;
        Ok(digest_of(manifest.as_bytes(), &weights))
    }

    /// Writes the folder `root/<digest>` and returns digest and folder; a model that is there already is left as it is.
    ///
    /// The folder appears whole or not at all.
    ///
    /// # Errors
    /// [`ModelError`] if the model is not consistent or the folder cannot be written.
    pub fn save(&self, root: &Path) -> Result<(Digest, PathBuf), ModelError> {
        let (manifest, weights) = self.files()?;
        let digest = digest_of(manifest.as_bytes(), &weights);
        let folder = root.join(digest.to_string());
        if folder.is_dir() {
            Self::open(&folder)?;
            return Ok((digest, folder));
        }
        let fresh = root.join(format!("{digest}.{}.tmp", std::process::id()));
        fs::create_dir_all(&fresh).map_err(io("make", &fresh))?;
        let written = write_file(&fresh.join(MANIFEST_FILE), manifest.as_bytes())
            .and_then(|()| write_file(&fresh.join(WEIGHTS_FILE), &weights))
            .and_then(|()| fs::rename(&fresh, &folder).map_err(io("publish", &folder)));
        if let Err(e) = written {
            // Best effort: the name ends in .tmp, nothing reads it.
            let _ = fs::remove_dir_all(&fresh);
            // Another process may have published the same model in between.
            if !folder.is_dir() {
                return Err(e);
            }
        }
        Ok((digest, folder))
    }

    /// Opens a folder written by [`Artefact::save`]: checks sizes, digest, shapes, and that the stored test rows score to the bit.
    ///
    /// # Errors
    /// [`ModelError`] naming the file and what is wrong.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let manifest_path = folder.join(MANIFEST_FILE);
        let weights_path = folder.join(WEIGHTS_FILE);
        let manifest_bytes = read_file(&manifest_path, MAX_MANIFEST_BYTES)?;
        let weights_bytes = read_file(&weights_path, MAX_WEIGHTS_BYTES)?;
        let found = digest_of(&manifest_bytes, &weights_bytes);
        let named = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if named != found.to_string() {
            return Err(ModelError::Digest { path: folder.display().to_string(), found, named });
        }
        let shown = manifest_path.display().to_string();
        let bad = |reason: String| ModelError::Manifest { path: shown.clone(), reason };
        let text = std::str::from_utf8(&manifest_bytes).map_err(|e| bad(e.to_string()))?;
        let manifest: ModelManifest = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        check_manifest(&manifest, &shown)?;
        let anchor = anchors(&manifest, &shown)?;
        let model = read_weights(&weights_bytes, &manifest, anchor, &weights_path.display().to_string())?;
        Ok(Self { manifest, model })
    }

    /// Checks that columns are those the model was trained on, in order.
    ///
    /// # Errors
    /// [`ModelError::SchemaMismatch`] listing the columns that differ.
    pub fn check_schema(&self, columns: &[FeatureColumn]) -> Result<(), ModelError> {
        let differences = FeatureColumn::differences(&self.manifest.features, columns);
        if differences.is_empty() {
            return Ok(());
        }
        Err(ModelError::SchemaMismatch {
            wanted: self.manifest.schema_hash.clone(),
            given: FeatureColumn::schema_hash(columns),
            differences,
        })
    }

    /// Names of the model's score columns.
    pub fn score_names(&self) -> [String; 3] {
        LinearModel::score_names(self.manifest.horizon_rows)
    }
}

fn digest_of(manifest: &[u8], weights: &[u8]) -> Digest {
    DigestBuilder::new("model").bytes(manifest).bytes(weights).finish()
}

fn check_manifest(m: &ModelManifest, path: &str) -> Result<(), ModelError> {
    let bad = |reason: String| Err(ModelError::Manifest { path: path.to_owned(), reason });
    if m.format != FORMAT {
        return bad(format!("format {}; this version reads {FORMAT}", m.format));
    }
    if m.family != FAMILY {
        return bad(format!("family `{}`; this version scores `{FAMILY}`", m.family));
    }
    if m.calibration != "none" {
        return bad(format!("calibration `{}`; this version knows `none`", m.calibration));
    }
    if m.features.is_empty() || m.features.len() > 10_000 {
        return bad(format!("{} features; 1 to 10,000 are allowed", m.features.len()));
    }
    let hash = FeatureColumn::schema_hash(&m.features);
    if hash != m.schema_hash {
        return bad(format!("schema_hash {} but its features give {hash}", m.schema_hash));
    }
    if m.scaler.clip_sigma.is_nan() || m.scaler.clip_sigma <= 0.0 {
        return bad(format!("scaler.clip_sigma {}; it must be above 0", m.scaler.clip_sigma));
    }
    Ok(())
}

/// Anchor of each feature.
fn anchors(m: &ModelManifest, path: &str) -> Result<Vec<Option<usize>>, ModelError> {
    let position = |name: &String| {
        m.features.iter().position(|f| f.name == *name).ok_or_else(|| ModelError::Manifest {
            path: path.to_owned(),
            reason: format!("scaler names `{name}`, which is no feature"),
        })
    };
    let mut out = vec![None; m.features.len()];
    let Some(anchor) = m.scaler.anchor.as_ref().map(position).transpose()? else { return Ok(out) };
    for level in &m.scaler.price_levels {
        out[position(level)?] = Some(anchor);
    }
    Ok(out)
}

/// Inputs of the self-test, `[row][feature]`, in feature units.
fn self_test_rows(model: &LinearModel) -> Vec<Vec<f64>> {
    SELF_TEST_SIGMA
        .iter()
        .map(|sigma| {
            (0..model.features())
                .map(|k| model.mean[k] + if k % 2 == 0 { *sigma } else { -*sigma } * model.scale[k])
                .collect()
        })
        .collect()
}

fn write_weights(model: &LinearModel) -> Result<Vec<u8>, ModelError> {
    let bad = |reason: String| ModelError::Weights { path: WEIGHTS_FILE.to_owned(), reason };
    let n = model.features();
    if model.mean.len() != n || model.scale.len() != n || model.anchor.len() != n {
        return Err(bad(format!("{n} weights, {} means, {} scales", model.mean.len(), model.scale.len())));
    }
    let scores: Vec<[f64; 3]> = self_test_rows(model).into_iter().map(|row| model.probabilities(|k| row[k])).collect();
    let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let parts = [
        ("bias", vec![CLASSES.len()], bytes(&model.bias)),
        ("scaler_mean", vec![n], bytes(&model.mean)),
        ("scaler_scale", vec![n], bytes(&model.scale)),
        ("self_test_scores", vec![scores.len(), CLASSES.len()], bytes(scores.as_flattened())),
        ("weights", vec![n, CLASSES.len()], bytes(model.weights.as_flattened())),
    ];
    let views = parts
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| bad(e.to_string()))?;
    safetensors::serialize(views, None).map_err(|e| bad(e.to_string()))
}

fn read_weights(
    bytes: &[u8],
    manifest: &ModelManifest,
    anchor: Vec<Option<usize>>,
    path: &str,
) -> Result<LinearModel, ModelError> {
    let bad = |reason: String| ModelError::Weights { path: path.to_owned(), reason };
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(e.to_string()))?;
    let n = manifest.features.len();
    let classes = CLASSES.len();
    let read = |name: &str, shape: &[usize]| -> Result<Vec<f64>, ModelError> {
        let t = tensors.tensor(name).map_err(|e| bad(format!("`{name}`: {e}")))?;
        if t.dtype() != Dtype::F64 || t.shape() != shape {
            return Err(bad(format!("`{name}` is {:?} {:?}, not F64 {shape:?}", t.dtype(), t.shape())));
        }
        let values: Vec<f64> = t.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(bad(format!("`{name}` has {} at position {at}", values[at]))),
            None => Ok(values),
        }
    };
    let triples = |values: Vec<f64>| values.as_chunks::<3>().0.to_vec();
    let bias = read("bias", &[classes])?;
    let model = LinearModel {
        anchor,
        mean: read("scaler_mean", &[n])?,
        scale: read("scaler_scale", &[n])?,
        clip_sigma: manifest.scaler.clip_sigma,
        weights: triples(read("weights", &[n, classes])?),
        bias: [bias[0], bias[1], bias[2]],
    };
    if let Some(k) = model.scale.iter().position(|s| *s <= 0.0) {
        return Err(bad(format!("`scaler_scale` has {} at position {k}, it must be above 0", model.scale[k])));
    }
    let stored = triples(read("self_test_scores", &[SELF_TEST_SIGMA.len(), classes])?);
    if tensors.len() != 5 {
        return Err(bad(format!("{} tensors, not 5", tensors.len())));
    }
    for (row, (x, stored)) in self_test_rows(&model).into_iter().zip(stored).enumerate() {
        let (found, stored) = (model.probabilities(|k| x[k]).map(f64::to_bits), stored.map(f64::to_bits));
        if found != stored {
            return Err(ModelError::SelfTest { row, found, stored });
        }
    }
    Ok(model)
}

fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> ModelError + 'a {
    move |e| ModelError::Io { action, path: path.display().to_string(), reason: e.to_string() }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut file = fs::File::create(path).map_err(io("write", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("write", path))
}

fn read_file(path: &Path, bound: u64) -> Result<Vec<u8>, ModelError> {
    let bytes = fs::metadata(path).map_err(io("read", path))?.len();
    if bytes > bound {
        return Err(ModelError::TooLarge { path: path.display().to_string(), bytes, bound });
    }
    fs::read(path).map_err(io("read", path))
}

#[cfg(test)]
mod tests;
