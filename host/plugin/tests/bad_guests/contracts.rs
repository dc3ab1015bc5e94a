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
    for contract in SUPPORTED_CONTRACTS {
        let findings = closed.load(&Guest { contract, ..Guest::default() }.artefact()).unwrap_err();
        let found: Vec<_> = findings.iter().map(|f| (f.code, f.place.as_str())).collect();
        assert_eq!(found, [("contract_unreleased", "plugin.toml: plugin.contract")]);
    }
}

#[test]
fn what_is_not_spoken_names_what_is() {
    let findings = Guest::default().with_manifest(&manifest("feature", "0.3.0")).unwrap_err();
    assert_eq!(findings[0].code, "contract_unsupported");
    for contract in SUPPORTED_CONTRACTS {
        assert!(findings[0].what.contains(contract), "{}", findings[0].what);
    }
}
