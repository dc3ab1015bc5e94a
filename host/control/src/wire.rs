//! Bodies of requests. Every field is named here; unknown ones are refused.

use crate::access::Role;
use ghtrader_trading::protocol::{ActivateAt, Mode, OrderPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `POST …/plans`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanRequest {
    /// What should run.
    pub(crate) lineup: LineupBody,
}

/// A lineup as a person writes it: plugins by version, tag or digest.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineupBody {
    /// A name for people.
    pub(crate) name: String,
    /// Features in order.
    #[serde(default)]
    pub(crate) features: Vec<PluginUse>,
    /// A trained model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<ModelUse>,
    /// What decides.
    pub(crate) strategy: PluginUse,
}

/// A plugin in a lineup.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PluginUse {
    /// `role/name@version`, `role/name:tag` or a digest.
    #[schema(example = "strategy/taker:champion")]
    pub(crate) plugin: String,
    /// Parameters that differ from their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub(crate) params: BTreeMap<String, Value>,
}

/// A model in a lineup.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelUse {
    /// Digest of the artefact, or the name of its folder.
    pub(crate) artifact: String,
}

/// `POST …/deployments`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentRequest {
    /// The plan to carry out.
    pub(crate) plan_hash: String,
    /// `shadow` (beside, never acted on) or `swap` (in place of the active one).
    #[schema(value_type = String, example = "shadow")]
    pub(crate) mode: Mode,
    /// `"next_tick"`, `"session_open"` or `{"seq": N}`.
    #[serde(default)]
    #[schema(value_type = Object, example = "next_tick")]
    pub(crate) activate_at: ActivateAt,
    /// `keep`, `cancel` or `flatten`; the setting `lineup.order_policy` if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) order_policy: Option<OrderPolicy>,
    /// Names of breaking changes that are known and wanted.
    #[serde(default)]
    pub(crate) acknowledge: Vec<String>,
    /// Why; for the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read for every change in one place; named here so that it is no unknown field")]
    pub(crate) reason: String,
}

/// `POST …/promote`, `…/rollback`, `…/halt`, `…/resume`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatRequest {
    /// `"next_tick"`, `"session_open"` or `{"seq": N}`; a halt is always at the next tick.
    #[serde(default)]
    #[schema(value_type = Object, example = "next_tick")]
    pub(crate) activate_at: ActivateAt,
    /// `keep`, `cancel` or `flatten`; the settings `lineup.order_policy` and `lineup.on_halt` if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) order_policy: Option<OrderPolicy>,
    /// Why; for the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read for every change in one place; named here so that it is no unknown field")]
    pub(crate) reason: String,
}

/// `PUT …/tags/{tag}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagRequest {
    /// What the tag shall name.
    pub(crate) digest: String,
    /// Why; kept in the tag's history and the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read for every change in one place; named here so that it is no unknown field")]
    pub(crate) reason: String,
}

/// `POST /tokens`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// Who or what will use it; unique.
    #[schema(min_length = 1, max_length = 64, example = "dashboard")]
    pub(crate) name: String,
    /// What it may do.
    pub(crate) role: Role,
    /// Life in days.
    #[serde(default = "ninety")]
    #[schema(minimum = 1, maximum = 3650, default = 90)]
    pub(crate) days: u32,
    /// Why; for the audit.
    #[serde(default)]
    #[expect(dead_code, reason = "read for every change in one place; named here so that it is no unknown field")]
    pub(crate) reason: String,
}

const fn ninety() -> u32 {
    90
}
