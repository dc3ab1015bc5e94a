//! Versions of plugins, by the rules of semver without build metadata: equal versions have equal texts.

/// `major.minor.patch`, or a pre-release of it such as `1.0.0-dev.1`; ordered by precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    release: [u32; 3],
    stage: Stage,
}

/// Pre-releases come before what they lead to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Before(Vec<Identifier>),
    Released,
}

/// Numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u32),
    Word(String),
}

/// Longest pre-release, bytes; versions name files.
const MAX_STAGE_BYTES: usize = 64;

impl Version {
    /// Reads a version in its one form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (release, stage) = match text.split_once('-') {
            None => (text, Stage::Released),
            Some((_, stage)) if stage.len() > MAX_STAGE_BYTES => return None,
            Some((release, stage)) => {
                (release, Stage::Before(stage.split('.').map(identifier).collect::<Option<_>>()?))
            }
        };
        let numbers: Vec<u32> = release.split('.').map(number).collect::<Option<_>>()?;
        Some(Self { release: numbers.try_into().ok()?, stage })
    }
}

/// A number without leading zeros or a sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n: &u32| n.to_string() == text)
}

fn identifier(text: &str) -> Option<Identifier> {
    if text.bytes().all(|c| c.is_ascii_digit()) {
        return number(text).map(Identifier::Number);
    }
    let plain = text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    plain.then(|| Identifier::Word(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_precedence() {
        let ascending = [
            "0.1.0-1",
            "0.1.0-2",
            "0.1.0-10",
            "0.1.0-dev",
            "0.1.0-dev.1",
            "0.1.0-dev-0a1b2c3d",
            "0.1.0",
            "0.2.0-rc",
            "0.10.0",
            "1.0.0",
        ];
        let versions: Vec<Version> = ascending.iter().map(|v| Version::parse(v).unwrap()).collect();
        assert!(versions.is_sorted() && versions.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn a_version_has_one_form() {
        let long = format!("1.0.0-{}", "x".repeat(65));
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0-a_b",
            "1.0.0+build",
            "1.0.0-a/b",
            "+1.0.0",
            " 1.0.0",
            "1.0.4294967296",
            &long,
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
