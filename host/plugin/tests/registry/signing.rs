//! Who vouches for an artefact.

use crate::guests::{NOW_NS, check, check_usable, echo, fixture, open};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_plugin::{
    KeyError, KeyPair, PublicKey, PushError, PushOutcome, Pushed, Registry, Signature, SignaturePolicy, SignatureState,
};
use std::os::unix::fs::PermissionsExt as _;

fn key(seed: u8) -> KeyPair {
    KeyPair::generate([seed; 32])
}

fn push(registry: &Registry, signature: Option<&Signature>) -> Result<Pushed, PushError> {
    registry.push(&echo(), signature, &fixture(), "ann", NOW_NS)
}

/// P-30
#[test]
fn each_policy_meets_each_signature() {
    let (trusted, strange) = (key(1), key(2));
    let digest = Digest::of(&echo());
    let (good, foreign) = (trusted.sign(&digest), strange.sign(&digest));
    let wrong = trusted.sign(&Digest::of(b"other bytes"));
    let (off, warn, require) = (SignaturePolicy::Off, SignaturePolicy::Warn, SignaturePolicy::Require);
    for (policy, signature, warning, refusal) in [
        (off, None, "", ""),
        (off, Some(&foreign), "", ""),
        (off, Some(&wrong), "", "signature_invalid"),
        (warn, None, "signature_missing", ""),
        (warn, Some(&foreign), "signature_untrusted", ""),
        (warn, Some(&wrong), "", "signature_invalid"),
        (warn, Some(&good), "", ""),
        (require, None, "", "signature_missing"),
        (require, Some(&foreign), "", "signature_untrusted"),
        (require, Some(&wrong), "", "signature_invalid"),
        (require, Some(&good), "", ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(dir.path(), policy, &[trusted.public()]);
        match push(&registry, signature) {
            Ok(pushed) => {
                assert_eq!(refusal, "", "{policy:?} {signature:?}");
                let codes: Vec<&str> = pushed.findings.iter().map(|f| f.code).collect();
                assert_eq!(codes.join(" "), warning, "{policy:?} {signature:?}");
                check_usable(&registry, "echo@0.1.0", &echo());
            }
            Err(error) => {
                // The code alone decides the exit code of a command: 3.
                let problem = check(error, refusal, ErrorClass::Plugin, &digest.to_string());
                assert_eq!(problem.class.exit_code(), 3);
                assert!(registry.record(&digest).is_err(), "nothing is stored");
            }
        }
    }
}

/// P-30
#[test]
fn a_signature_stands_beside_the_other_findings() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), SignaturePolicy::Require, &[]);
    let error = registry.push(b"garbage", None, &fixture(), "ann", NOW_NS).unwrap_err();
    let PushError::Refused(findings) = &error else { panic!("{error}") };
    assert_eq!(findings.iter().map(|f| f.code).collect::<Vec<_>>(), ["not_a_component", "signature_missing"]);
    check(error, "admission_failed", ErrorClass::Plugin, "signature_missing");
}

/// P-30
#[test]
fn what_came_in_unsigned_does_not_load_where_a_signature_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let (trusted, digest) = (key(1), Digest::of(&echo()));
    let warned = push(&open(dir.path(), SignaturePolicy::Warn, &[]), None).unwrap();
    assert_eq!(warned.findings[0].code, "signature_missing");

    let strict = open(dir.path(), SignaturePolicy::Require, &[trusted.public()]);
    check(strict.load(&digest).unwrap_err(), "signature_missing", ErrorClass::Plugin, &digest.to_string());
    check(push(&strict, None).unwrap_err(), "signature_missing", ErrorClass::Plugin, &digest.to_string());

    let signed = push(&strict, Some(&trusted.sign(&digest))).unwrap();
    assert_eq!((signed.outcome, signed.findings.len()), (PushOutcome::Same, 0));
    let record = strict.record(&digest).unwrap();
    assert_eq!((record.signature, record.signed_by), (SignatureState::Trusted, Some(trusted.public())));
    check_usable(&strict, "echo@0.1.0", &echo());
    assert_eq!(push(&strict, None).unwrap().findings, [], "a signature that is stored counts");

    // A key that is trusted no longer ends what it vouched for.
    let later = open(dir.path(), SignaturePolicy::Require, &[key(3).public()]);
    check(later.load(&digest).unwrap_err(), "signature_untrusted", ErrorClass::Plugin, &trusted.public().to_string());
    push(&later, Some(&key(3).sign(&digest))).unwrap();
    check_usable(&later, "echo@0.1.0", &echo());
    check_usable(&strict, "echo@0.1.0", &echo());
}

#[test]
fn a_damaged_signature_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (trusted, digest) = (key(1), Digest::of(&echo()));
    let strict = open(dir.path(), SignaturePolicy::Require, &[trusted.public()]);
    push(&strict, Some(&trusted.sign(&digest))).unwrap();
    let path = dir.path().join(format!("signatures/{digest}/{}.sig", trusted.public().id()));
    let whole = std::fs::read(&path).unwrap();
    // The last byte ends the line, and says nothing.
    for at in 0..whole.len() - 1 {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        check(strict.load(&digest).unwrap_err(), "signature_invalid", ErrorClass::Plugin, &digest.to_string());
    }
    push(&strict, Some(&trusted.sign(&digest))).unwrap();
    check_usable(&strict, "echo@0.1.0", &echo());
}

#[test]
fn keys_and_signatures_read_back_from_their_texts() {
    let (pair, digest) = (key(7), Digest::of(b"x"));
    let signature = pair.sign(&digest);
    assert!(signature.verify(&digest) && !signature.verify(&Digest::of(b"y")));
    // The text that is stored: what was signed once must hold in every later version of this program.
    let golden = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c:\
                  c20fa5dc385ed500b714f6c6a5e03e73056ec12c74ed0d4ac75b36d7d8f9219d\
                  87ebad10127b1bcc8e72d3b798550059a099b087e8725498456d0b613e435d08";
    assert_eq!(signature.to_string(), golden);
    assert_eq!(golden.parse::<Signature>().unwrap(), signature);
    assert_eq!(format!(" {}\n", pair.public()).parse::<PublicKey>().unwrap(), pair.public());
    let (a, b) = (pair.public().to_string(), key(8).public().to_string());
    let passed_off: Signature = signature.to_string().replace(&a, &b).parse().unwrap();
    assert!(!passed_off.verify(&digest), "another's name under it");

    for bad in ["", "12", &"0".repeat(64), &"zz".repeat(32), &format!("{a}00"), &signature.to_string()] {
        check(bad.parse::<PublicKey>().unwrap_err(), "key_invalid", ErrorClass::User, "no public key");
    }
    for bad in ["", ":", &a, &format!("{a}:12"), &format!("{}:{}", "0".repeat(64), "0".repeat(128))] {
        check(bad.parse::<Signature>().unwrap_err(), "signature_invalid", ErrorClass::User, "no signature");
    }
    assert!(!format!("{pair:?}").contains("0707"), "the seed is shown to nobody");
}

#[test]
fn a_key_file_is_its_owners_alone_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    key(7).write(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(KeyPair::read(&path).unwrap().public(), key(7).public());
    check(key(8).write(&path).unwrap_err(), "key_exists", ErrorClass::Conflict, "key");
    assert_eq!(KeyPair::read(&path).unwrap().public(), key(7).public());

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    check(KeyPair::read(&path).unwrap_err(), "key_exposed", ErrorClass::User, "640");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for text in [String::new(), key(7).public().to_string(), "ghtrader-secret-key:12".to_owned()] {
        std::fs::write(&path, &text).unwrap();
        let error: KeyError = KeyPair::read(&path).unwrap_err();
        let problem = Problem::from(error);
        assert_eq!(problem.code, "key_invalid");
        assert!(text.is_empty() || !problem.to_string().contains(&text), "what a key file holds is not shown");
    }
    check(KeyPair::read(&dir.path().join("none")).unwrap_err(), "key_unreadable", ErrorClass::User, "none");
}
