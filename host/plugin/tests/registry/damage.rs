//! Files that changed on the disk.

use crate::guest::Guest;
use crate::guests::{NOW_NS, Place, artefact, check, check_usable, echo, push};
use ghtrader_core::{Digest, ErrorClass};
use ghtrader_plugin::{
    ArtefactState, Filter, HostConfig, PluginHost, PushError, PushOutcome, Registry, RegistryConfig, RegistryError,
    Role, SignaturePolicy,
};
use std::path::Path;
use std::time::Duration;

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn state(place: &Place, digest: &Digest) -> ArtefactState {
    let records = place.again().list(&Filter::default()).unwrap();
    records.iter().find(|r| r.digest == *digest).unwrap().state
}

/// C-51
#[test]
fn a_changed_byte_in_an_artefact_puts_it_into_quarantine_and_harms_nobody_else() {
    let other = artefact("other", "0.1.0", "Returns its input.");
    let size = echo().len();
    for at in [0, 8, size / 2, size - 1] {
        let place = Place::new();
        let digest = place.push(&echo()).digest;
        place.push(&other);
        let active = place.registry.load(&digest).unwrap();
        flip(&place.blob(&digest), at);

        let fresh = place.again();
        let problem =
            check(fresh.load(&digest).unwrap_err(), "blob_damaged", ErrorClass::Unavailable, "feature/echo@0.1.0");
        assert!(problem.what.contains("quarantine") && problem.remedy.contains("push the same artefact again"));
        assert!(!place.blob(&digest).exists(), "byte {at}");
        assert_eq!(state(&place, &digest), ArtefactState::Quarantined);
        check(fresh.artifact(&digest).unwrap_err(), "blob_damaged", ErrorClass::Unavailable, "gone");
        let tagged = fresh.set_tag(Role::Feature, "echo", "champion", &digest, None, "ann", "", NOW_NS);
        check(tagged.unwrap_err(), "blob_damaged", ErrorClass::Unavailable, "feature/echo@0.1.0");

        check_usable(&fresh, "other@0.1.0", &other);
        assert_eq!(place.registry.load(&digest).unwrap().digest(), active.digest(), "what is loaded stays loaded");

        assert_eq!(push(&fresh, &echo()).unwrap().outcome, PushOutcome::Same);
        check_usable(&place.again(), "echo@0.1.0", &echo());
    }
}

/// C-51
#[test]
fn every_damage_is_named_and_healed_by_the_same_push() {
    type Damage = fn(&Path);
    let (gone, changed): (Damage, Damage) = (|p| std::fs::remove_file(p).unwrap(), |p| flip(p, 5));
    let empty: Damage = |p| std::fs::write(p, "").unwrap();
    for (part, damage, code) in [
        ("blob", gone, "blob_damaged"),
        ("blob", cut, "blob_damaged"),
        ("blob", empty, "blob_damaged"),
        ("record", gone, "record_damaged"),
        ("record", cut, "record_damaged"),
        ("record", empty, "record_damaged"),
        ("record", changed, "record_damaged"),
        ("version", cut, "record_damaged"),
        ("version", empty, "record_damaged"),
        ("version", changed, "record_damaged"),
    ] {
        let place = Place::new();
        let digest = place.push(&echo()).digest;
        let other = artefact("other", "0.1.0", "Returns its input.");
        place.push(&other);
        let path = match part {
            "blob" => place.blob(&digest),
            "record" => place.record(&digest),
            _ => place.version("echo", "0.1.0"),
        };
        damage(&path);

        let fresh = place.again();
        let error = fresh.resolve("echo@0.1.0", None).and_then(|r| fresh.load(&r.digest)).unwrap_err();
        check(error, code, ErrorClass::Unavailable, &digest.to_string()[..if part == "version" { 0 } else { 64 }]);
        let wrong = fresh.verify().unwrap();
        assert_eq!(wrong.iter().map(RegistryError::code).collect::<Vec<_>>(), [code], "{part}");
        check_usable(&fresh, "other@0.1.0", &other);
        let listed = fresh.list(&Filter::default()).unwrap();
        assert_eq!(listed.len(), if part == "version" { 1 } else { 2 }, "{part}");

        let same_version = push(&fresh, &artefact("echo", "0.1.0", "Other bytes.")).unwrap_err();
        let taken = matches!(&same_version, PushError::VersionExists { .. });
        let unclear = matches!(&same_version, PushError::Registry(RegistryError::RecordDamaged { .. }));
        assert!(if part == "version" { unclear } else { taken }, "{part}: {same_version}");

        assert_eq!(push(&fresh, &echo()).unwrap().outcome, PushOutcome::Same, "{part}");
        check_usable(&place.again(), "echo@0.1.0", &echo());
        assert_eq!(place.again().verify().unwrap().len(), 0, "{part}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_a_damaged_one() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    std::fs::remove_file(place.blob(&digest)).unwrap();
    std::fs::create_dir(place.blob(&digest)).unwrap();
    let path = format!("{digest}.wasm");
    check(place.again().load(&digest).unwrap_err(), "registry_unreadable", ErrorClass::Unavailable, &path);
    check(push(&place.again(), &echo()).unwrap_err(), "registry_unreadable", ErrorClass::Unavailable, &path);
    assert!(place.blob(&digest).is_dir(), "nothing was moved");
}

#[test]
fn what_this_program_no_longer_takes_says_why() {
    let place = Place::new();
    let unreleased = Guest { contract: "0.2.0-dev", ..Guest::default() }.artefact();
    let digest = place.push(&unreleased).digest;
    let host = PluginHost::new(HostConfig { dev_channel: false, ..HostConfig::default() }).unwrap();
    let root = place.dir.path().to_owned();
    let config = RegistryConfig { root, signature: SignaturePolicy::Off, trusted_keys: Vec::new() };
    let released_only = Registry::open(config, host).unwrap();
    check(released_only.load(&digest).unwrap_err(), "plugin_unloadable", ErrorClass::Plugin, "not released");
    assert_eq!(released_only.artifact(&digest).unwrap(), unreleased, "its bytes are as good as ever");
}

#[test]
fn an_intact_registry_has_nothing_wrong() {
    let place = Place::new();
    place.push(&echo());
    let removed = place.push(&artefact("other", "0.1.0", "Returns its input.")).digest;
    place.registry.remove(&removed, &[]).unwrap();
    assert_eq!(place.registry.verify().unwrap().len(), 0);
}

/// C-51
#[test]
fn a_reader_that_comes_late_does_not_take_a_mended_artefact_away() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    flip(&place.blob(&digest), 9);
    let writer = ghtrader_durable::lock(&place.dir.path().join("lock")).unwrap();
    let registry = place.again();
    let late = std::thread::spawn(move || registry.artifact(&digest));
    // Long enough for the reader to have seen the damage and to wait for the writer, who mends it.
    std::thread::sleep(Duration::from_millis(200));
    std::fs::write(place.blob(&digest), echo()).unwrap();
    drop(writer);
    assert_eq!(late.join().unwrap().unwrap(), echo());
    check_usable(&place.again(), "echo@0.1.0", &echo());
}

#[test]
fn a_damaged_tag_is_named_and_is_not_taken_for_none() {
    let place = Place::new();
    let digest = place.push(&echo()).digest;
    let set = |g| place.registry.set_tag(Role::Feature, "echo", "champion", &digest, g, "ann", "", NOW_NS);
    set(None).unwrap();
    let path = place.dir.path().join("tags/feature/echo/champion.json");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        flip(&path, at);
        assert_eq!(place.registry.resolve("echo:champion", None).unwrap_err().code(), "record_damaged", "byte {at}");
        std::fs::write(&path, &whole).unwrap();
    }
    flip(&path, 30);
    check(set(None).unwrap_err(), "record_damaged", ErrorClass::Unavailable, "champion.json");
    assert_eq!(place.registry.remove(&digest, &[]).unwrap_err().code(), "record_damaged", "it may be in use");
}
