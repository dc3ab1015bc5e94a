//! What is taken in, and what is not.

use crate::guest::Guest;
use crate::guests::{NOW_NS, Place, artefact, check, check_usable, echo, push};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::{ArtefactState, Filter, MAX_ARTEFACT_BYTES, PushError, PushOutcome, Role};

/// C-02
#[test]
fn the_same_bytes_are_the_same_and_other_bytes_are_refused() {
    let place = Place::new();
    let first = place.push(&echo());
    assert_eq!((first.outcome, first.role, first.name.as_str()), (PushOutcome::New, Role::Feature, "echo"));
    let files = place.files();
    let again = push(&place.again(), &echo()).unwrap();
    assert_eq!(again.outcome, PushOutcome::Same);
    assert_eq!((again.digest, again.checks, again.cost), (first.digest, first.checks, first.cost));

    let other = artefact("echo", "0.1.0", "Returns something else.");
    let error = push(&place.registry, &other).unwrap_err();
    assert!(matches!(&error, PushError::VersionExists { have, given, .. }
        if *have == first.digest && *given == Digest::of(&other)));
    check(error, "version_exists", ErrorClass::Conflict, "feature/echo@0.1.0");
    assert_eq!(place.files(), files, "a refused push leaves nothing");
    check_usable(&place.again(), "echo@0.1.0", &echo());
    assert_eq!(place.push(&artefact("echo", "0.1.1", "Returns something else.")).outcome, PushOutcome::New);
}

/// C-02
#[test]
fn of_two_at_once_exactly_one_has_the_version() {
    for round in 0..8 {
        let place = Place::new();
        let versions: Vec<Vec<u8>> = (0..4).map(|n| artefact("echo", "0.1.0", &format!("{round} {n}"))).collect();
        let results: Vec<_> = std::thread::scope(|s| {
            let threads: Vec<_> = versions
                .iter()
                .map(|bytes| {
                    let registry = place.again();
                    s.spawn(move || push(&registry, bytes))
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let winner = results.iter().position(Result::is_ok).unwrap();
        for (n, result) in results.iter().enumerate().filter(|(n, _)| *n != winner) {
            assert!(matches!(result, Err(PushError::VersionExists { .. })), "{n}: {result:?}");
        }
        check_usable(&place.registry, "echo@0.1.0", &versions[winner]);
        assert_eq!(place.files().len(), 3, "the others left nothing: {:?}", place.files());
    }
}

#[test]
fn the_same_bytes_from_many_at_once_are_stored_once() {
    let place = Place::new();
    let outcomes: Vec<PushOutcome> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let registry = place.again();
                s.spawn(move || push(&registry, &echo()).unwrap().outcome)
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|o| **o == PushOutcome::New).count(), 1, "{outcomes:?}");
    check_usable(&place.registry, "echo@0.1.0", &echo());
}

#[test]
fn what_is_not_admitted_is_not_stored() {
    let place = Place::new();
    let core = Guest::default().module();
    for (bytes, code) in [(&b""[..], "not_a_component"), (b"garbage", "not_a_component"), (&core, "not_a_component")] {
        let error = push(&place.registry, bytes).unwrap_err();
        assert!(matches!(&error, PushError::Refused(findings) if findings.iter().any(|f| f.code == code)), "{error}");
        check(error, "admission_failed", ErrorClass::Plugin, code);
    }
    let large = vec![0; MAX_ARTEFACT_BYTES + 1];
    check(push(&place.registry, &large).unwrap_err(), "artefact_too_large", ErrorClass::User, "67108865");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn records_say_what_was_pushed_and_are_listed_in_order() {
    let place = Place::new();
    for (name, version) in [("zeta", "0.1.0"), ("echo", "0.10.0"), ("echo", "0.2.0"), ("echo", "0.9.1")] {
        place.push(&artefact(name, version, "Returns its input."));
    }
    let identities = |filter: &Filter| -> Vec<String> {
        place.again().list(filter).unwrap().iter().map(ghtrader_plugin::Record::identity).collect()
    };
    let all = ["feature/echo@0.2.0", "feature/echo@0.9.1", "feature/echo@0.10.0", "feature/zeta@0.1.0"];
    assert_eq!(identities(&Filter::default()), all);
    assert_eq!(identities(&Filter { name: Some("echo".to_owned()), ..Filter::default() }), all[..3]);
    assert_eq!(identities(&Filter { role: Some(Role::Label), ..Filter::default() }), [""; 0]);
    assert_eq!(identities(&Filter { state: Some(ArtefactState::Removed), ..Filter::default() }), [""; 0]);

    let bytes = artefact("zeta", "0.1.0", "Returns its input.");
    let record = place.registry.record(&Digest::of(&bytes)).unwrap();
    assert_eq!((record.pushed_by.as_str(), record.pushed_at_ns), ("ann", NOW_NS));
    assert_eq!((record.bytes, record.state), (bytes.len() as u64, ArtefactState::Admitted));
    assert_eq!(record.manifest["plugin"]["name"], "zeta");
    assert!(!record.checks.is_empty() && record.checks.iter().all(|c| c.passed), "{:?}", record.checks);
    assert!(record.cost.is_some_and(|c| c.instructions_per_row > 0.0));
}

#[test]
fn a_folder_that_cannot_be_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let host = ghtrader_plugin::PluginHost::new(ghtrader_plugin::HostConfig::default()).unwrap();
    let config = ghtrader_plugin::RegistryConfig {
        root: file.join("registry"),
        signature: ghtrader_plugin::SignaturePolicy::Off,
        trusted_keys: Vec::new(),
    };
    let error = ghtrader_plugin::Registry::open(config, host).unwrap_err();
    check(error, "registry_unwritable", ErrorClass::Unavailable, "registry");
}

#[test]
fn removed_is_out_of_sight_and_its_version_stays_taken() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    let removed = place.again().remove(&digest, &[]).unwrap();
    assert_eq!(removed.state, ArtefactState::Removed);
    assert_eq!(place.registry.list(&Filter::default()).unwrap(), []);
    let gone = Filter { state: Some(ArtefactState::Removed), ..Filter::default() };
    assert_eq!(place.registry.list(&gone).unwrap(), [removed]);
    check(place.registry.load(&digest).unwrap_err(), "unknown_plugin", ErrorClass::User, "removed");
    check(place.registry.resolve("echo@0.1.0", None).unwrap_err(), "unknown_version", ErrorClass::User, "removed");
    check(place.registry.remove(&digest, &[]).unwrap_err(), "unknown_plugin", ErrorClass::User, "removed");
    let other = push(&place.registry, &artefact("echo", "0.1.0", "Other bytes."));
    assert!(matches!(other, Err(PushError::VersionExists { .. })));
    assert_eq!(place.push(&echo()).outcome, PushOutcome::New);
    check_usable(&place.again(), "echo@0.1.0", &echo());
}

#[test]
fn what_is_used_is_not_removed() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    place.registry.set_tag(Role::Feature, "echo", "champion", &digest, None, "ann", "", NOW_NS).unwrap();
    let error = place.registry.remove(&digest, &["lineup cu/7".to_owned()]).unwrap_err();
    let problem: Problem = check(error, "in_use", ErrorClass::Conflict, "tag feature/echo:champion");
    assert!(problem.what.contains("lineup cu/7"));
    check_usable(&place.registry, "echo:champion", &echo());
}
