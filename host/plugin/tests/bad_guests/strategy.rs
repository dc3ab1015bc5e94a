//! Strategies that answer what no strategy may.

use crate::guest::embed;
use ghtrader_plugin::{AccountView, HostConfig, Instrument, Params, PluginFault, PluginHost, StrategyInstance, pack};

const MANIFEST: &str = r#"
[plugin]
name = "fixed"
role = "strategy"
version = "0.1.0"
description = "Answers the same to everything."
contract = "0.1.0-next"
inputs = ["last_price"]
"#;

/// A strategy whose `run` answers `ok({ at, actions: words words })`.
fn strategy(at: u32, words: u32) -> Box<dyn StrategyInstance> {
    let text = format!(
        r#"(module
  (memory (export "memory") 1)
  (data (i32.const 4) "\20\00\00\00\01\00\00\00")
  (data (i32.const 32) "\40\00\00\00\0a\00\00\00")
  (data (i32.const 64) "last_price")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  (func (export "ghtrader:plugin/strategy@0.1.0-next#init") (param i32 i32 i32 i32 f64 f64) (result i32) (i32.const 0))
  (func (export "ghtrader:plugin/strategy@0.1.0-next#load") (param i32 i32))
  (func (export "ghtrader:plugin/strategy@0.1.0-next#run")
    (param i32 i32 i32 i32 i32 f64 f64 i32 i32 i32) (result i32)
    (i32.store (i32.const 260) (i32.const {at}))
    (i32.store (i32.const 264) (i32.const 1024))
    (i32.store (i32.const 268) (i32.const {words}))
    (i32.const 256)))"#
    );
    let artefact = pack(&embed(&text, "strategy-plugin"), MANIFEST, None).unwrap_or_else(|f| panic!("{f:#?}"));
    let plugin = PluginHost::new(HostConfig::default()).unwrap().load(&artefact).unwrap_or_else(|f| panic!("{f:#?}"));
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    plugin.strategy(&Params::new(), &instrument).unwrap()
}

/// Rows 2..5 of a block of 10.
fn run(strategy: &mut dyn StrategyInstance) -> Result<(u32, usize), PluginFault> {
    strategy.load(&[0; 10])?;
    let mut actions = Vec::new();
    let at = strategy.run(2, 5, &AccountView::default(), &[7, 0, 0, 0], &mut actions)?;
    Ok((at, actions.len()))
}

#[test]
fn an_outcome_lies_within_the_rows_asked_for() {
    for (at, words) in [(2, 4), (4, 8), (5, 0)] {
        assert_eq!(run(strategy(at, words).as_mut()).unwrap(), (at, words as usize));
    }
    for (at, words) in [(1, 4), (6, 0), (5, 4), (3, 3), (u32::MAX, 0)] {
        let mut bad = strategy(at, words);
        let fault = run(bad.as_mut()).unwrap_err();
        assert_eq!((fault.code(), fault.at().unwrap().rows.clone()), ("plugin_contract", 2..5), "{at} {words}");
        assert_eq!(bad.load(&[]).unwrap_err(), fault);
    }
}

#[test]
fn rows_that_are_not_loaded_are_the_hosts_own_mistake() {
    let mut s = strategy(2, 0);
    let mut actions = Vec::new();
    let mut run = |s: &mut dyn StrategyInstance, rows: (u32, u32), events: &[u64]| {
        s.run(rows.0, rows.1, &AccountView::default(), events, &mut actions).map_err(|f| f.code())
    };
    assert_eq!(run(s.as_mut(), (0, 1), &[]), Err("plugin_misuse"));
    s.load(&[0; 4]).unwrap();
    for (rows, events) in [((0, 5), &[][..]), ((3, 2), &[]), ((0, 4), &[1, 2, 3])] {
        assert_eq!(run(s.as_mut(), rows, events), Err("plugin_misuse"));
    }
    assert_eq!(run(s.as_mut(), (0, 4), &[]), Ok(2), "the mistake is not the plugin's");
}
