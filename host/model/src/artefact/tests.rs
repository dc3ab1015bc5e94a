use super::*;
use crate::{FoldMetrics, LabelRecord, NullPolicy, ScalerKind, ScalerRecord, TrainingRecord};
use ghtrader_core::{Problem, TradingDay};
use std::collections::BTreeMap;

fn artefact() -> Artefact {
    let features: Vec<FeatureColumn> = ["spread", "imbalance_1"]
        .iter()
        .map(|name| FeatureColumn {
            name: (*name).into(),
            unit: "1".into(),
            component: Digest::of(name.as_bytes()),
            params: BTreeMap::from([("n".into(), "10".into())]),
        })
        .collect();
    let day = |d| TradingDay::from_ymd(2025, 7, d).unwrap();
    Artefact {
        manifest: ModelManifest {
            format: 1,
            family: "logistic".into(),
            symbol: "KQ.m@SHFE.cu".into(),
            horizon_rows: 50,
            schema_hash: FeatureColumn::schema_hash(&features),
            null_policy: NullPolicy::DropRow,
            calibration: "none".into(),
            parent: None,
            note: String::new(),
            scaler: ScalerRecord {
                kind: ScalerKind::Standard,
                clip_sigma: 10.0,
                anchor: Some("spread".into()),
                price_levels: vec!["spread".into()],
            },
            label: LabelRecord { name: "direction_50".into(), digest: Digest::of(b"l"), params: BTreeMap::new() },
            training: TrainingRecord {
                first_day: day(1),
                last_day: day(18),
                rows: 1000,
                set_digest: Digest::of(b"set"),
                dataset_digests: vec![Digest::of(b"a")],
                schedule_hash: Some("0123456789abcdef".into()),
                seed: 0,
                settings: BTreeMap::from([("c".into(), "1".into())]),
            },
            versions: BTreeMap::from([("linfa-logistic".into(), "0.8".into())]),
            features,
            folds: vec![FoldMetrics {
                fold: 0,
                test_first_day: day(15),
                test_last_day: day(18),
                test_rows: 100,
                metrics: BTreeMap::from([("auc_up_down".into(), 0.61), ("auc_up".into(), f64::NAN)]),
            }],
        },
        model: LinearModel {
            anchor: vec![Some(0), None],
            mean: vec![0.0, 0.1],
            scale: vec![2.0, 0.5],
            clip_sigma: 10.0,
            weights: vec![[0.1, -0.2, 0.1], [-0.8, 0.05, 0.75]],
            bias: [-0.3, 0.6, -0.3],
        },
    }
}

/// M-18
#[test]
fn reads_back_under_its_digest() {
    let root = tempfile::tempdir().unwrap();
    let a = artefact();
    let (digest, folder) = a.save(root.path()).unwrap();
    assert_eq!(a.save(root.path()).unwrap(), (digest, folder.clone()));
    let b = Artefact::open(&folder).unwrap();
    assert_eq!(b.model, a.model);
    assert_eq!(b.digest(), Ok(digest));
    assert_eq!(b.score_names(), ["score/down@50", "score/flat@50", "score/up@50"]);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

/// M-18
#[test]
fn damage_is_named() {
    let root = tempfile::tempdir().unwrap();
    let check = |damage: &dyn Fn(&mut String, &mut Vec<u8>), renamed: bool, code: &str, word: &str| {
        let (mut manifest, mut weights) = artefact().files().unwrap();
        let before = digest_of(manifest.as_bytes(), &weights);
        damage(&mut manifest, &mut weights);
        let digest = if renamed { digest_of(manifest.as_bytes(), &weights) } else { before };
        let folder = root.path().join(digest.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(MANIFEST_FILE), &manifest).unwrap();
        fs::write(folder.join(WEIGHTS_FILE), &weights).unwrap();
        let e = Artefact::open(&folder).unwrap_err();
        let p = Problem::from(e.clone());
        assert_eq!(e.code(), code, "{e}");
        assert!(e.to_string().contains(word) && !p.remedy.is_empty(), "{e}");
    };
    check(&|_, w| *w.last_mut().unwrap() ^= 1, false, "model_digest_mismatch", "folder says");
    check(&|_, w| *w.last_mut().unwrap() ^= 1, true, "model_self_test_failed", "test row");
    check(&|_, w| *w = b"\x80\x04\x95pickle".to_vec(), true, "model_weights_invalid", "safetensors");
    check(&|_, w| w.truncate(w.len() - 8), true, "model_weights_invalid", "safetensors");
    check(&|_, w| w[..8].fill(0xff), true, "model_weights_invalid", "safetensors");
    check(&|_, w| w.resize(17 << 20, 0), true, "model_too_large", "16777216");
    check(&|m, _| m.push_str("\n[extra]\nx = 1\n"), true, "model_manifest_invalid", "extra");
    check(&|m, _| *m = m.replace("\"logistic\"", "\"magic\""), true, "model_manifest_invalid", "magic");
    check(
        &|m, _| *m = m.replace("name = \"spread\"", "name = \"other\""),
        true,
        "model_manifest_invalid",
        "schema_hash",
    );
    let none = Artefact::open(&root.path().join("absent")).unwrap_err();
    assert_eq!(none.code(), "model_io");
}

/// M-20
#[test]
fn another_feature_schema_is_refused_with_the_columns() {
    let a = artefact();
    assert_eq!(a.check_schema(&a.manifest.features), Ok(()));
    let mut columns = a.manifest.features.clone();
    columns.swap(0, 1);
    let e = a.check_schema(&columns).unwrap_err();
    assert_eq!(e.code(), "schema_mismatch");
    assert!(e.to_string().contains("column 0 (`spread`): `imbalance_1` instead of `spread`"), "{e}");
    columns.swap(0, 1);
    columns[1].component = Digest::of(b"new version");
    assert!(a.check_schema(&columns).unwrap_err().to_string().contains("component"));
}

#[test]
fn inconsistent_models_are_not_written() {
    let root = tempfile::tempdir().unwrap();
    let mut a = artefact();
    a.model.mean.pop();
    assert_eq!(a.save(root.path()).unwrap_err().code(), "model_weights_invalid");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
