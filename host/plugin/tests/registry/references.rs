//! Names that stand for something, and names that nearly do.

use crate::guest::Guest;
use crate::guests::{NOW_NS, Place, artefact, check, echo};
use ghtrader_core::{Digest, ErrorClass};
use ghtrader_plugin::{Role, Via};

fn place() -> Place {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    for version in ["0.2.0", "0.3.0", "0.10.0"] {
        place.push(&artefact("echo", version, "Returns its input."));
    }
    place.registry.set_tag(Role::Feature, "echo", "champion", &digest, None, "ann", "", NOW_NS).unwrap();
    place
}

#[test]
fn every_form_leads_to_the_digest() {
    let place = place();
    let digest = Digest::of(&echo());
    let by_tag = Via::Tag { key: "feature/echo:champion".to_owned(), generation: 1 };
    for (reference, via) in [
        ("echo@0.1.0".to_owned(), &Via::Version),
        ("feature/echo@0.1.0".to_owned(), &Via::Version),
        ("echo:champion".to_owned(), &by_tag),
        ("feature/echo:champion".to_owned(), &by_tag),
        (digest.to_string(), &Via::Digest),
        (format!("sha256:{digest}"), &Via::Digest),
    ] {
        for role in [None, Some(Role::Feature)] {
            let resolved = place.registry.resolve(&reference, role).unwrap();
            assert_eq!((resolved.digest, &resolved.via), (digest, via), "{reference}");
            assert_eq!(resolved.identity, "feature/echo@0.1.0");
        }
    }
}

#[test]
fn what_is_not_there_is_told_with_the_nearest_name() {
    let place = place();
    let ((user, none), strange) = ((ErrorClass::User, None), Digest::of(b"x").to_string());
    for (reference, role, code, what, remedy) in [
        ("ecko@0.1.0", none, "unknown_plugin", "`ecko`", "`echo`"),
        ("feature/ecko:champion", none, "unknown_plugin", "`feature/ecko`", "`echo`"),
        ("strategy/echo@0.1.0", none, "unknown_plugin", "`strategy/echo`", "push it"),
        ("echo@0.1.0", Some(Role::Strategy), "unknown_plugin", "`strategy/echo`", "push it"),
        (&strange, none, "unknown_plugin", &strange, "push it"),
        ("echo@0.4.0", none, "unknown_version", "0.4.0", "0.10.0, 0.3.0, 0.2.0"),
        ("echo:champoin", none, "unknown_tag", "`champoin`", "`champion`"),
        ("echo:mine", none, "unknown_tag", "`mine`", "set it"),
        ("echo", none, "bad_reference", "`echo`", "name@1.2.3"),
        ("featur/echo@0.1.0", none, "bad_reference", "`featur`", "`feature/echo@0.1.0`"),
        ("sha256:12", none, "bad_reference", "64 hex digits", "name@1.2.3"),
    ] {
        let problem = check(place.registry.resolve(reference, role).unwrap_err(), code, user, what);
        assert!(problem.remedy.contains(remedy), "{problem}");
    }
    let by_digest = Digest::of(&echo()).to_string();
    let error = place.registry.resolve(&by_digest, Some(Role::Strategy)).unwrap_err();
    check(error, "bad_reference", user, "a strategy is due");
    let error = place.registry.resolve("feature/echo@0.1.0", Some(Role::Label)).unwrap_err();
    check(error, "bad_reference", user, "a label is due");
}

/// A label of the same name as a feature: the name alone is not enough.
#[test]
fn a_name_of_several_roles_needs_its_role() {
    let place = place();
    let feature = Digest::of(&echo());
    let label = place.push(&Guest::label().artefact()).digest;
    let error = place.registry.resolve("echo@0.1.0", None).unwrap_err();
    let problem = check(error, "bad_reference", ErrorClass::User, "a feature and a label");
    assert!(problem.remedy.contains("feature/echo@0.1.0"), "{problem}");
    for (reference, role, digest) in [
        ("feature/echo@0.1.0", None, feature),
        ("label/echo@0.1.0", None, label),
        ("echo@0.1.0", Some(Role::Feature), feature),
        ("echo@0.1.0", Some(Role::Label), label),
        ("echo:champion", Some(Role::Feature), feature),
    ] {
        assert_eq!(place.registry.resolve(reference, role).unwrap().digest, digest, "{reference} {role:?}");
    }
}
