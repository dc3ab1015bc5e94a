//! Tags move, and remember.

use crate::guests::{NOW_NS, Place, artefact, check, echo};
use ghtrader_core::{Digest, ErrorClass};
use ghtrader_plugin::{RegistryError, Role, TagHistory, Via};

fn set(place: &Place, digest: &Digest, generation: Option<u64>) -> Result<TagHistory, RegistryError> {
    place.again().set_tag(Role::Feature, "echo", "champion", digest, generation, "ann", "it is better", NOW_NS)
}

/// C-03
#[test]
fn a_tag_lists_its_moves_with_actor_time_and_reason() {
    let place = Place::new();
    let [old, new] = ["0.1.0", "0.2.0"].map(|v| place.push(&artefact("echo", v, "Returns its input.")).digest);
    set(&place, &old, None).unwrap();
    place
        .registry
        .set_tag(Role::Feature, "echo", "champion", &new, Some(1), "bob", "twice\nas \"fast\"", NOW_NS + 1)
        .unwrap();
    let history = place.again().tag(Role::Feature, "echo", "champion").unwrap();
    assert_eq!((history.generation, history.digest, history.key().as_str()), (2, new, "feature/echo:champion"));
    let moves: Vec<_> =
        history.moves.iter().map(|m| (m.generation, m.digest, m.version.as_str(), m.at_ns, m.actor.as_str())).collect();
    assert_eq!(moves, [(1, old, "0.1.0", NOW_NS, "ann"), (2, new, "0.2.0", NOW_NS + 1, "bob")]);
    assert_eq!(history.moves[1].reason, "twice\nas \"fast\"");

    let resolved = place.again().resolve("echo:champion", None).unwrap();
    assert_eq!((resolved.digest, resolved.identity.as_str()), (new, "feature/echo@0.2.0"));
    assert_eq!(resolved.via, Via::Tag { key: "feature/echo:champion".to_owned(), generation: 2 });
    place.registry.set_tag(Role::Feature, "echo", "candidate", &old, Some(0), "ann", "", NOW_NS).unwrap();
    let tags = place.registry.tags(Role::Feature, "echo").unwrap();
    assert_eq!(tags.iter().map(|t| t.tag.as_str()).collect::<Vec<_>>(), ["candidate", "champion"]);
    assert_eq!(place.registry.tags(Role::Label, "echo").unwrap(), []);
}

/// C-10
#[test]
fn a_stale_generation_changes_nothing_and_tells_the_present_one() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    let stale = |given, present| {
        let error = set(&place, &digest, given).unwrap_err();
        assert!(matches!(&error, RegistryError::GenerationStale { present: p, .. } if *p == present), "{error}");
        check(error, "generation_stale", ErrorClass::Conflict, "feature/echo:champion")
    };
    stale(Some(1), 0);
    set(&place, &digest, None).unwrap();
    set(&place, &digest, Some(1)).unwrap();
    let before = place.registry.tag(Role::Feature, "echo", "champion").unwrap();
    for given in [None, Some(0), Some(1), Some(3), Some(u64::MAX)] {
        let problem = stale(given, 2);
        assert!(problem.what.contains("generation 2"), "{problem}");
    }
    assert_eq!(place.registry.tag(Role::Feature, "echo", "champion").unwrap(), before);
}

/// C-03
#[test]
fn of_many_moves_from_one_generation_one_wins() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    for generation in 0..10 {
        let won = std::thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|_| s.spawn(|| set(&place, &digest, Some(generation)).is_ok())).collect();
            threads.into_iter().filter_map(|t| t.join().unwrap().then_some(())).count()
        });
        assert_eq!(won, 1, "generation {generation}");
    }
    assert_eq!(place.registry.tag(Role::Feature, "echo", "champion").unwrap().moves.len(), 10);
}

#[test]
fn a_tag_names_its_own_plugin_only() {
    let place = Place::new();
    let digest = place.push(&artefact("other", "0.1.0", "Returns its input.")).digest;
    place.push(&echo());
    check(set(&place, &digest, None).unwrap_err(), "tag_mismatch", ErrorClass::User, "feature/other@0.1.0");
    check(set(&place, &Digest::of(b"x"), None).unwrap_err(), "unknown_plugin", ErrorClass::User, "sha256:");
    for (name, tag) in [("echo", "../x"), ("../echo", "x"), ("echo", ""), ("echo", "UP"), ("", "x")] {
        let error = place.registry.set_tag(Role::Feature, name, tag, &digest, None, "ann", "", NOW_NS).unwrap_err();
        check(error, "bad_reference", ErrorClass::User, "is no name");
        check(place.registry.tag(Role::Feature, name, tag).unwrap_err(), "bad_reference", ErrorClass::User, "no name");
    }
}
