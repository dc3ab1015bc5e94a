//! Guests that break every rule, as one table: what each does, and the code with which it has to end.
//!
//! The tests hold the codes; `ghtrader-bench sandbox` measures what a good plugin notices of each.

pub(crate) mod bytes;
mod calls;
mod files;
mod runs;
mod text;

pub(crate) use text::{Guest, manifest};

use ghtrader_plugin::{
    AccountView, Boundary, FeatureInstance, Finding, Fixture, Instrument, LabelInstance, Params, Plugin, PluginFault,
    PluginHost, Step, StrategyInstance, pack,
};

/// When a bad guest is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// While a module is packed.
    Packing,
    /// While the artefact is read, before any of its code runs.
    Reading,
    /// While an instance is made, by instantiation or `init`.
    Start,
    /// While admission runs it over a fixture; it loads without a finding.
    Admission,
    /// In a call from the host; it loads without a finding.
    Call,
}

/// What is done with a guest.
enum Deed {
    Pack { module: Vec<u8>, manifest: String },
    Load(Vec<u8>),
    Admit(Vec<u8>),
    Call { artefact: Vec<u8>, call: fn(&Plugin) -> Result<(), PluginFault> },
}

/// A line of the table.
pub(crate) struct BadGuest {
    pub(crate) name: &'static str,
    pub(crate) when: When,
    /// The codes with which it ends.
    pub(crate) codes: &'static [&'static str],
    deed: Deed,
}

/// The table.
pub(crate) fn all() -> Vec<BadGuest> {
    [files::guests(), calls::guests(), runs::guests()].into_iter().flatten().collect()
}

impl BadGuest {
    /// Lets it do its worst; gives the codes with which it ended.
    pub(crate) fn misbehave(&self, host: &PluginHost, fixture: &Fixture) -> Vec<&'static str> {
        let codes = |findings: &[Finding]| findings.iter().map(|f| f.code).collect();
        match &self.deed {
            Deed::Pack { module, manifest } => codes(&pack(module, manifest, None).err().unwrap_or_default()),
            Deed::Load(artefact) => codes(&host.load(artefact).err().unwrap_or_default()),
            Deed::Admit(artefact) => codes(&host.admit(artefact, fixture).findings),
            Deed::Call { artefact, call } => match host.load(artefact) {
                Ok(plugin) => call(&plugin).err().map(|fault| fault.code()).into_iter().collect(),
                Err(findings) => codes(&findings),
            },
        }
    }

    /// The artefact, where there is one that can be loaded.
    pub(crate) fn loadable(&self) -> Option<&[u8]> {
        match &self.deed {
            Deed::Admit(artefact) | Deed::Call { artefact, .. } => Some(artefact),
            Deed::Pack { .. } | Deed::Load(_) => None,
        }
    }
}

/// What instances are told of in all these runs.
pub(crate) fn instrument() -> Instrument {
    Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 }
}

fn rows(count: u32) -> Vec<u64> {
    (0..count).map(|i| f64::from(i).to_bits()).collect()
}

fn feature(plugin: &Plugin) -> Result<Box<dyn FeatureInstance>, PluginFault> {
    plugin.feature(&Params::new(), &instrument())
}

fn label(plugin: &Plugin) -> Result<Box<dyn LabelInstance>, PluginFault> {
    plugin.label(&Params::new(), &instrument())
}

fn strategy(plugin: &Plugin) -> Result<Box<dyn StrategyInstance>, PluginFault> {
    plugin.strategy(&Params::new(), &instrument())
}

/// A block of 100 rows.
fn block(plugin: &Plugin) -> Result<(), PluginFault> {
    feature(plugin)?.compute(&rows(100), &mut Vec::new())
}

/// One row, as live.
fn row(plugin: &Plugin) -> Result<(), PluginFault> {
    feature(plugin)?.compute(&rows(1), &mut Vec::new())
}

/// A border.
fn border(plugin: &Plugin) -> Result<(), PluginFault> {
    feature(plugin)?.boundary(Boundary::Session)
}

/// One row after the other, as long as it goes well.
fn many(plugin: &Plugin) -> Result<(), PluginFault> {
    let mut feature = feature(plugin)?;
    (0..100_000).try_for_each(|_| feature.compute(&rows(1), &mut Vec::new()))
}

/// A label's block.
fn labels(plugin: &Plugin) -> Result<(), PluginFault> {
    label(plugin)?.compute(&rows(100), 98, &mut Vec::new())
}

/// A block for a strategy.
fn loading(plugin: &Plugin) -> Result<(), PluginFault> {
    let (rows, account) = (rows(100), AccountView::default());
    let step = Step { rows: Some(&rows), start: 0, until: 0, account: &account, events: &[] };
    strategy(plugin)?.run(&step, &mut Vec::new()).map(drop)
}

/// Rows 2 to 5 of a block.
fn running(plugin: &Plugin) -> Result<(), PluginFault> {
    let (rows, account) = (rows(100), AccountView::default());
    let step = Step { rows: Some(&rows), start: 2, until: 5, account: &account, events: &[7, 0, 0, 0] };
    strategy(plugin)?.run(&step, &mut Vec::new()).map(drop)
}
