//! Artefacts taken apart and put together in ways that no packer would.

use ghtrader_plugin::{FIXTURE_SECTION, MANIFEST_SECTION};

const HEADER_BYTES: usize = 8;
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const COMPONENT: u8 = 4;

fn leb(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], leb(body.len()).as_slice(), body].concat()
}

fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    section(CUSTOM, &[leb(name.len()).as_slice(), name.as_bytes(), data].concat())
}

/// Top-level sections: number, and the whole of it.
fn sections(artefact: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let mut rest = &artefact[HEADER_BYTES..];
    while !rest.is_empty() {
        let (mut size, mut at) = (0usize, 1);
        for shift in (0..).step_by(7) {
            let byte = rest[at];
            (size, at) = (size | usize::from(byte & 0x7f) << shift, at + 1);
            if byte < 0x80 {
                break;
            }
        }
        let (whole, behind) = rest.split_at(at + size);
        found.push((rest[0], whole));
        rest = behind;
    }
    found
}

/// The embedded manifest, as JSON.
pub(crate) fn manifest_of(artefact: &[u8]) -> String {
    let mark = [leb(MANIFEST_SECTION.len()).as_slice(), MANIFEST_SECTION.as_bytes()].concat();
    let data = sections(artefact).into_iter().find_map(|(_, s)| {
        let at = s.windows(mark.len()).position(|w| w == mark)?;
        Some(s[at + mark.len()..].to_owned())
    });
    String::from_utf8(data.unwrap_or_default()).unwrap_or_default()
}

/// The artefact with these manifests and fixtures instead of its own.
pub(crate) fn sealed(artefact: &[u8], manifests: &[&[u8]], fixtures: &[&[u8]]) -> Vec<u8> {
    let mut out = artefact[..HEADER_BYTES].to_vec();
    for (id, whole) in sections(artefact) {
        let own = [MANIFEST_SECTION, FIXTURE_SECTION].iter().any(|n| whole.windows(n.len()).any(|w| w == n.as_bytes()));
        if id != CUSTOM || !own {
            out.extend_from_slice(whole);
        }
    }
    manifests.iter().for_each(|data| out.extend(custom(MANIFEST_SECTION, data)));
    fixtures.iter().for_each(|data| out.extend(custom(FIXTURE_SECTION, data)));
    out
}

/// The artefact with its manifest's text changed; both texts must be there.
pub(crate) fn claiming(artefact: &[u8], from: &str, to: &str) -> Vec<u8> {
    let json = manifest_of(artefact);
    assert!(json.contains(from), "{json} has no {from}");
    sealed(artefact, &[json.replacen(from, to, 1).as_bytes()], &[])
}

/// A component of no code, given by its text, with the manifest of an artefact.
pub(crate) fn hollow(text: &str, artefact: &[u8]) -> Vec<u8> {
    let component = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    sealed(&component, &[manifest_of(artefact).as_bytes()], &[])
}

/// The artefact with another component inside it, which nothing uses.
pub(crate) fn with_inner(artefact: &[u8], text: &str) -> Vec<u8> {
    let inner = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    [artefact, &section(COMPONENT, &inner)].concat()
}

/// The artefact with a core module that is instantiated that many times.
pub(crate) fn with_instances(artefact: &[u8], module: &str, count: usize) -> Vec<u8> {
    let module = wat::parse_str(module).unwrap_or_else(|e| panic!("{e}\n{module}"));
    let index = sections(artefact).iter().filter(|(id, _)| *id == CORE_MODULE).count();
    let one = [&[0], leb(index).as_slice(), &[0]].concat();
    let all = [leb(count), one.repeat(count)].concat();
    [artefact, &section(CORE_MODULE, &module), &section(CORE_INSTANCE, &all)].concat()
}
