//! What the settings say to this room: where the store lies, and by which limits days are judged.

use crate::ValidationPolicy;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_settings::{Origin, Settings, settings};
use ghtrader_store::{EmbeddedStore, HashOnRead, QuestDbOptions, QuestDbStore, Store, StoreError, StoreOptions};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The store that the settings of a root choose.
///
/// # Errors
/// Those of opening it.
pub fn open_store(root: &Path, settings: &Settings) -> Result<Box<dyn Store>, StoreError> {
    if settings.text_of("store.backend") == Some("questdb") {
        return Ok(Box::new(open_questdb(root, settings)?));
    }
    Ok(Box::new(open_embedded(root, settings)?))
}

/// The embedded store of a root, whichever kind its settings choose.
///
/// # Errors
/// `store_unwritable`.
pub fn open_embedded(root: &Path, settings: &Settings) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open_with(&data_dir(root, settings), options(settings))
}

/// The store behind the server of the settings, whichever kind they choose.
///
/// # Errors
/// Those of opening it.
pub fn open_questdb(root: &Path, settings: &Settings) -> Result<QuestDbStore, StoreError> {
    QuestDbStore::open(&questdb_options(root, settings))
}

/// How the settings say that a server is reached.
pub fn questdb_options(root: &Path, settings: &Settings) -> QuestDbOptions {
    let text = |key: &str| settings.text_of(key).unwrap_or_default().to_owned();
    QuestDbOptions {
        url: text("store.questdb_url"),
        user: text("store.questdb_user"),
        // A password stands in no file, no flag and no report.
        password: std::env::var("GHTRADER_QUESTDB_PASSWORD").unwrap_or_default(),
        prefix: text("store.questdb_prefix"),
        wait: Duration::from_secs(settings.integer("store.questdb_wait_s").unsigned_abs()),
        batch_rows: settings.integer("store.questdb_batch_rows") as usize,
        requests: settings.integer("store.questdb_requests") as usize,
        cache_root: data_dir(root, settings),
        cache: options(settings),
    }
}

fn data_dir(root: &Path, settings: &Settings) -> PathBuf {
    root.join(settings.text_of("data_dir").unwrap_or_default())
}

fn options(settings: &Settings) -> StoreOptions {
    StoreOptions {
        min_free_gib: settings.integer("store.min_free_gib").unsigned_abs(),
        hash_on_read: match settings.text_of("store.hash_on_read") {
            Some("never") => HashOnRead::Never,
            Some("always") => HashOnRead::Always,
            _ => HashOnRead::Sample,
        },
    }
}

/// The limits that hold for a product.
///
/// # Errors
/// `bad_settings` for a ratio of half misses that blocks before it informs.
pub fn validation_policy(settings: &Settings, product: &str) -> Result<ValidationPolicy, Problem> {
    let key = |path| settings.key_for(product, path);
    let number = |path| settings.number(key(path));
    let whole = |path| settings.integer(key(path));
    let gap_s = number("l5_validate.gap_threshold_s");
    let session_gap_s = |path| match settings.effective(key(path)).and_then(|e| e.value.as_ref()) {
        Some(_) => number(path),
        None => gap_s,
    };
    let policy = ValidationPolicy {
        gap_threshold_day_s: session_gap_s("l5_validate.gap_threshold_s_day"),
        gap_threshold_night_s: session_gap_s("l5_validate.gap_threshold_s_night"),
        strict_ratio: number("l5_validate.strict_ratio"),
        missing_half_info_ratio: number("l5_validate.missing_half_info_ratio"),
        missing_half_block_ratio: number("l5_validate.missing_half_block_ratio"),
        gap_block_gt30: whole("l5_validate.gap_block_gt30").unsigned_abs(),
        segments_warn_avg_per_day: number("l5_validate.segments_warn_avg_per_day"),
        outside_sessions_block_s: whole("l5_validate.outside_sessions_block_s"),
        source_blocking: settings.flag(key("l5_validate.source_blocking")),
        source_missing_days_tolerance: whole("l5_validate.source_missing_days_tolerance").unsigned_abs(),
    };
    let (info, block) = (policy.missing_half_info_ratio, policy.missing_half_block_ratio);
    if info > block {
        return Err(Problem::new(
            "bad_settings",
            ErrorClass::User,
            format!("l5_validate.missing_half_info_ratio = {info} lies above missing_half_block_ratio = {block}"),
            "a note comes before an error: lower the first or raise the second",
        ));
    }
    Ok(policy)
}

/// A limit with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileLimit {
    /// The value; none if it is not set.
    pub value: Option<Value>,
    /// The key that decided, such as `variety.cu.l5_validate.strict_ratio`.
    pub key: String,
    /// `built-in`, `--set`, or the file or variable.
    pub origin: String,
}

/// The limits of a product, by their keys without a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValidationProfile {
    /// The product.
    pub product: String,
    /// The limits.
    pub limits: BTreeMap<String, ProfileLimit>,
}

/// Every limit that holds for a product, with its origin.
///
/// # Errors
/// As [`validation_policy`].
pub fn validation_profile(of: &Settings, product: &str) -> Result<ValidationProfile, Problem> {
    validation_policy(of, product)?;
    let paths = settings().iter().map(|s| s.key.path).filter(|path| path.starts_with("l5_validate."));
    let limit = |path: &'static str| {
        let key = of.key_for(product, path);
        let effective = of.effective(key)?;
        let value = effective.value.as_ref().map(|value| serde_json::to_value(value).unwrap_or_default());
        let limit = ProfileLimit { value, key: key.to_owned(), origin: origin_name(&effective.origin) };
        Some((path.to_owned(), limit))
    };
    Ok(ValidationProfile { product: product.to_owned(), limits: paths.filter_map(limit).collect() })
}

/// Gaps of a day that are kept one by one.
pub(crate) fn max_segments(settings: &Settings, product: &str) -> usize {
    settings.integer(settings.key_for(product, "l5_validate.max_segments_per_day")) as usize
}

/// Days of a report that are shown if not all are asked for.
pub(crate) fn report_days(settings: &Settings, product: &str) -> usize {
    settings.integer(settings.key_for(product, "l5_validate.report_max_days")) as usize
}

/// Where a value comes from, as people read it.
pub fn origin_name(origin: &Origin) -> String {
    match origin {
        Origin::BuiltIn => "built-in".to_owned(),
        Origin::File(name) | Origin::Environment(name) => name.clone(),
        Origin::CommandLine => "--set".to_owned(),
    }
}
