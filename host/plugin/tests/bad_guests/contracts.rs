//! Two versions of the contract side by side.

use crate::guests::{Guest, manifest};
use crate::walk::walk;
use ghtrader_plugin::{HostConfig, PluginHost, SUPPORTED_CONTRACTS, Splits};

/// C-49: equal code gives equal outputs under either version, in one process and over the same rows.
#[test]
fn equal_code_gives_equal_outputs_under_both_versions() {
    let (host, fixture) = (PluginHost::new(HostConfig::default()).unwrap(), walk());
    for role in [Guest::default(), Guest::label(), Guest::strategy()] {
        let plugins = SUPPORTED_CONTRACTS.map(|contract| {
            let artefact = Guest { contract, ..role.clone() }.artefact();
            let admission = host.admit(&artefact, &fixture);
            assert!(admission.findings.is_empty(), "{contract}: {:#?}", admission.findings);
            admission.plugin.unwrap()
        });
        let [next, dev] = [&plugins[0], &plugins[1]].map(|p| p.trace(&fixture, Splits::Random(1)).unwrap());
        assert_eq!(next.first_difference(&dev), None, "{}", role.role);
        assert!(next.count() > 50 && next.digest() == dev.digest());
        assert_ne!(plugins[0].digest(), plugins[1].digest());
    }
}

#[test]
fn an_unreleased_version_needs_the_development_channel() {
    let closed = PluginHost::new(HostConfig { dev_channel: false, ..HostConfig::default() }).unwrap();
    let [released, dev] =
        SUPPORTED_CONTRACTS.map(|contract| closed.load(&Guest { contract, ..Guest::default() }.artefact()));
    assert!(released.is_ok(), "{released:#?}");
    let findings = dev.unwrap_err();
    let found: Vec<_> = findings.iter().map(|f| (f.code, f.place.as_str())).collect();
    assert_eq!(found, [("contract_unreleased", "plugin.toml: plugin.contract")]);
}

/// C-49: an artefact that is nothing but its module is called as that; another is not, and gives the same.
#[test]
fn a_component_gives_what_its_module_gives() {
    let (host, fixture) = (PluginHost::new(HostConfig::default()).unwrap(), walk());
    for guest in [Guest::default(), Guest::label(), Guest::strategy()] {
        let bare = guest.artefact();
        let more = with_section(&bare, &wat::parse_str("(component (core module))").unwrap());
        let [bare, whole] = [bare, more].map(|artefact| host.load(&artefact).unwrap_or_else(|f| panic!("{f:#?}")));
        assert_eq!((bare.is_bare(), whole.is_bare()), (true, false), "{}", guest.role);
        for splits in [Splits::Whole, Splits::Single, Splits::Random(3)] {
            let [bare, whole] = [&bare, &whole].map(|plugin| plugin.trace(&fixture, splits).unwrap());
            assert_eq!(bare.first_difference(&whole), None, "{} {splits}", guest.role);
            assert!(bare.count() > 50);
        }
    }
}

/// A component with the sections of another behind its own.
fn with_section(component: &[u8], other: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: usize = 8;
    [component, &other[HEADER_BYTES..]].concat()
}

#[test]
fn what_is_not_spoken_names_what_is() {
    let findings = Guest::default().with_manifest(&manifest("feature", "0.3.0")).unwrap_err();
    assert_eq!(findings[0].code, "contract_unsupported");
    for contract in SUPPORTED_CONTRACTS {
        assert!(findings[0].what.contains(contract), "{}", findings[0].what);
    }
}

/// What a version says more reaches its guests; the other version's never hear of it.
#[test]
fn the_newer_version_says_more() {
    let (host, fixture) = (PluginHost::new(HostConfig::default()).unwrap(), walk());
    // The variety's length stands behind the symbol, the margin behind the two sums.
    let init = "(if (result i32) (i32.eq (local.get 5) (i32.const 7)) (then (i32.const 0))
        (else (call $error (i32.const 128) (i32.const 35))))";
    let run = "(if (result i32) (f64.eq (local.get 7) (f64.sub (local.get 5) (local.get 6)))
        (then (call $place (i64.const 0)) (call $act (local.get $start) (i32.const 4)))
        (else (call $error (i32.const 128) (i32.const 35))))";
    let guest = Guest { contract: "0.2.0-dev", init, run, ..Guest::strategy() };
    let plugin = host.load(&guest.artefact()).unwrap_or_else(|f| panic!("{f:#?}"));
    assert_eq!(plugin.trace(&fixture, Splits::Single).unwrap().count(), fixture.ticks.rows());
}
