//! Clean-up: planned, looked at, done.

use crate::guests::{NOW_NS, Place, artefact, check, check_usable, echo};
use ghtrader_core::{Digest, ErrorClass};
use ghtrader_plugin::{ArtefactState, Filter, GcReason, Role};
use std::collections::BTreeSet;

fn keep(digests: &[Digest]) -> BTreeSet<Digest> {
    digests.iter().copied().collect()
}

fn reasons(place: &Place, digests: &[Digest]) -> Vec<GcReason> {
    place.registry.gc_plan(&keep(digests)).unwrap().items.iter().map(|i| i.reason).collect()
}

#[test]
fn a_plan_has_no_effect_and_nothing_that_is_needed_in_it() {
    let place = Place::new();
    assert_eq!(reasons(&place, &[]), []);
    let used = place.push(&echo()).digest;
    let removed = place.push(&artefact("echo", "0.2.0", "Returns its input.")).digest;
    place.registry.remove(&removed, &[]).unwrap();
    std::fs::write(place.dir.path().join("blobs/.x1.tmp"), "12345").unwrap();
    std::fs::write(place.dir.path().join("tags-are-no-temporaries"), "").unwrap();
    std::fs::write(place.blob(&Digest::of(b"nobody's")), "123").unwrap();
    let files = place.files();

    let plan = place.registry.gc_plan(&keep(&[])).unwrap();
    assert_eq!(plan, place.again().gc_plan(&keep(&[])).unwrap(), "a plan follows from the files alone");
    assert_eq!(place.files(), files);
    let mut found: Vec<(GcReason, u64)> = plan.items.iter().map(|i| (i.reason, i.bytes)).collect();
    found.sort();
    let size = std::fs::metadata(place.blob(&removed)).unwrap().len();
    assert_eq!(found, [(GcReason::Removed, size), (GcReason::Unfinished, 3), (GcReason::Temporary, 5)]);
    assert_eq!(plan.bytes, size + 8);
    assert_eq!(reasons(&place, &[removed]).len(), 2, "what is kept stays");
    assert_eq!(place.registry.artifact(&removed).unwrap(), artefact("echo", "0.2.0", "Returns its input."));

    let done = place.again().gc_apply(&plan.plan_hash, &keep(&[])).unwrap();
    assert_eq!((done.files, done.bytes), (3, plan.bytes));
    assert_eq!(reasons(&place, &[]), []);
    check_usable(&place.again(), "echo@0.1.0", &echo());
    let gone = Filter { state: Some(ArtefactState::Removed), ..Filter::default() };
    assert_eq!(place.registry.list(&gone).unwrap()[0].digest, removed, "its version stays taken");
    check(place.registry.artifact(&removed).unwrap_err(), "unknown_plugin", ErrorClass::User, "removed");
    assert_eq!(place.again().verify().unwrap().len(), 0);
    place.push(&artefact("echo", "0.2.0", "Returns its input."));
    check_usable(&place.again(), "echo@0.2.0", &artefact("echo", "0.2.0", "Returns its input."));
    assert!(place.registry.load(&used).is_ok());
}

#[test]
fn an_outdated_plan_does_nothing() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    place.registry.remove(&digest, &[]).unwrap();
    let plan = place.registry.gc_plan(&keep(&[])).unwrap();
    place.push(&echo());
    let files = place.files();
    let error = place.registry.gc_apply(&plan.plan_hash, &keep(&[])).unwrap_err();
    check(error, "plan_stale", ErrorClass::Conflict, &plan.plan_hash.to_string());
    assert_eq!(place.files(), files);
    check_usable(&place.again(), "echo@0.1.0", &echo());
    assert!(place.registry.gc_apply(&Digest::of(b"x"), &keep(&[])).is_err());
}

#[test]
fn quarantine_goes_and_a_lost_record_does_not_take_its_artefact_along() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    std::fs::write(place.blob(&digest), "damaged").unwrap();
    assert!(place.registry.artifact(&digest).is_err());
    assert_eq!(reasons(&place, &[]), [GcReason::Quarantined]);
    place.push(&echo());
    std::fs::remove_file(place.record(&digest)).unwrap();
    let plan = place.registry.gc_plan(&keep(&[])).unwrap();
    assert_eq!(plan.items.len(), 1, "{plan:?}");
    place.registry.gc_apply(&plan.plan_hash, &keep(&[])).unwrap();
    assert!(place.blob(&digest).exists());

    place.push(&echo());
    place.registry.set_tag(Role::Feature, "echo", "champion", &digest, None, "ann", "", NOW_NS).unwrap();
    std::fs::remove_file(place.version("echo", "0.1.0")).unwrap();
    assert_eq!(reasons(&place, &[]), [], "a tag names it");
    place.push(&echo());
    check_usable(&place.again(), "echo:champion", &echo());

    std::fs::write(place.version("echo", "0.1.0"), "damaged").unwrap();
    let error = place.registry.gc_plan(&keep(&[])).unwrap_err();
    check(error, "record_damaged", ErrorClass::Unavailable, "0.1.0.json");
}
