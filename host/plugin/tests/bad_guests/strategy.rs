//! Outcomes of strategies, word by word.

use crate::guests::{Guest, instrument};
use ghtrader_plugin::{AccountView, HostConfig, Params, PluginFault, PluginHost, Step, StrategyInstance};

fn strategy(run: &'static str) -> Box<dyn StrategyInstance> {
    let artefact = Guest { run, ..Guest::strategy() }.artefact();
    let plugin = PluginHost::new(HostConfig::default()).unwrap().load(&artefact).unwrap_or_else(|f| panic!("{f:#?}"));
    plugin.strategy(&Params::new(), &instrument()).unwrap()
}

/// Rows 2..5 of a block of 10.
fn run(strategy: &mut dyn StrategyInstance) -> Result<(u32, usize), PluginFault> {
    let mut actions = Vec::new();
    let account = AccountView::default();
    let step = Step { rows: Some(&[0; 10]), start: 2, until: 5, account: &account, events: &[7, 0, 0, 0] };
    let at = strategy.run(&step, &mut actions)?;
    Ok((at, actions.len()))
}

#[test]
fn an_outcome_lies_within_the_rows_asked_for() {
    for (answer, outcome) in [
        ("(call $act (i32.const 2) (i32.const 4))", (2, 4)),
        ("(call $act (i32.const 4) (i32.const 8))", (4, 8)),
        ("(call $act (i32.const 5) (i32.const 0))", (5, 0)),
    ] {
        assert_eq!(run(strategy(answer).as_mut()).unwrap(), outcome);
    }
    let mut bad = strategy("(call $act (i32.const 1) (i32.const 4))");
    let fault = run(bad.as_mut()).unwrap_err();
    assert_eq!((fault.code(), fault.at().unwrap().rows.clone()), ("plugin_contract", 2..5));
    assert_eq!(run(bad.as_mut()).unwrap_err().code(), fault.code(), "a retired instance gives the same fault");
}

#[test]
fn rows_that_are_not_loaded_are_the_hosts_own_mistake() {
    let mut s = strategy("(call $act (i32.const 2) (i32.const 0))");
    let mut actions = Vec::new();
    let account = AccountView::default();
    let mut run = |s: &mut dyn StrategyInstance, rows: Option<&[u64]>, (start, until): (u32, u32), events: &[u64]| {
        s.run(&Step { rows, start, until, account: &account, events }, &mut actions).map_err(|f| f.code())
    };
    assert_eq!(run(s.as_mut(), None, (0, 1), &[]), Err("plugin_misuse"));
    assert_eq!(run(s.as_mut(), Some(&[0; 4]), (0, 2), &[]), Ok(2));
    for (range, events) in [((0, 5), &[][..]), ((3, 2), &[]), ((0, 4), &[1, 2, 3])] {
        assert_eq!(run(s.as_mut(), None, range, events), Err("plugin_misuse"));
    }
    assert_eq!(run(s.as_mut(), None, (0, 4), &[]), Ok(2), "the mistake is not the plugin's");
}
