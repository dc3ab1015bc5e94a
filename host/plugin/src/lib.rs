//! The only room that knows wasmtime: engine, host modules by WIT version, limits, artefacts.
//!
//! The rest of the host sees plugins through [`FeatureInstance`], [`LabelInstance`] and [`StrategyInstance`], which a component and
//! a native build implement alike, so that neither pipeline nor runtime can tell them apart.
//!
//! An artefact is a component with its manifest and the rows of its self-test embedded: one digest for code, promise and proof.
//! [`pack`] makes it, [`PluginHost::load`] checks it and reports all findings at once, [`PluginHost::admit`] also runs it over a
//! [`Fixture`]: equal runs, equal cuttings, no look ahead, and what a row costs. Each version of the contract is a module of its own
//! behind the same traits. Each instance has a sandbox of its own (memory, CPU, output and log limits); one that
//! traps or breaks a limit is retired and answers every later call with the same fault.

mod admission;
mod artefact;
mod cache;
mod contract;
mod cost;
mod deadline;
mod engine;
mod fault;
mod finding;
mod fixture;
mod guest;
mod host;
mod instance;
mod limits;
mod manifest;
mod manifest_check;
mod params;
mod proof;
mod registry;
mod sandbox;
mod trace;
mod v0_1;
mod v_dev;
mod version;

pub use admission::{Admission, Check};
pub use artefact::{MANIFEST_SECTION, pack};
pub use contract::SUPPORTED_CONTRACTS;
pub use cost::{CostCard, LimitShare};
pub use fault::{Answer, CallSite, PluginFault};
pub use finding::Finding;
pub use fixture::{FIXTURE_SECTION, Fixture, FixtureError, MAX_FIXTURE_BYTES, MAX_FIXTURE_ROWS};
pub use ghtrader_kernels::wire::Boundary;
pub use host::{Plugin, PluginHost};
pub use instance::{
    AccountView, FeatureDescription, FeatureInstance, Instrument, LabelDescription, LabelInstance, OutputColumn, Step,
    StrategyDescription, StrategyInstance,
};
pub use limits::{HostConfig, Limits};
pub use manifest::{About, LimitRequest, OutputPromise, ParamSpec, ParamType, PluginManifest, Reach, Role, SelfTest};
pub use params::{ParamValue, Params};
pub use registry::{
    ArtefactState, Filter, GcDone, GcItem, GcPlan, GcReason, KeyError, KeyPair, MAX_ARTEFACT_BYTES, PublicKey,
    PushError, PushOutcome, Pushed, Record, Registry, RegistryConfig, RegistryError, Resolved, Signature,
    SignaturePolicy, SignatureState, TagHistory, TagMove, Via,
};
pub use trace::{Difference, Splits, Trace, trace_feature, trace_label, trace_strategy};
