//! SHA-256 digests: the names of everything that is stored or compared.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A SHA-256 digest, written as 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no digest; write 64 hex digits, with or without `sha256:` before them")]
pub struct DigestError {
    /// The text as given.
    pub text: String,
}

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The digest of all that a reader gives, and how many bytes that is; memory holds a piece of it.
    ///
    /// # Errors
    /// The reader's.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<(Self, u64)> {
        let mut hasher = sha2::Sha256::new();
        let (mut piece, mut length) = (vec![0; 128 << 10], 0);
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok((Self(hasher.finalize().into()), length)),
                Ok(read) => {
                    hasher.update(&piece[..read]);
                    length += read as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Of the first part, of the first two together, and so on.
    pub fn of_prefixes<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Self> {
        let mut hasher = sha2::Sha256::new();
        let of_prefix = |part| {
            hasher.update(part);
            Self(hasher.clone().finalize().into())
        };
        parts.into_iter().map(of_prefix).collect()
    }

    /// The first 16 hex digits, as schema and schedule hashes are written.
    pub fn short16(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError { text: text.to_owned() };
        let hex = text.trim();
        let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
        if hex.len() != 64 || !hex.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(error());
        }
        let mut out = [0u8; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(out))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Builds a digest from typed parts; every part carries its length, so that no two sequences of parts collide.
///
/// NaN is hashed in its canonical form and −0.0 as written.
#[derive(Clone, Default)]
pub struct DigestBuilder(sha2::Sha256);

impl DigestBuilder {
    /// Starts with a domain name that separates digests of different things.
    pub fn new(domain: &str) -> Self {
        let mut b = Self::default();
        b.bytes(domain.as_bytes());
        b
    }

    /// Adds bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a whole number.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.0.update(value.to_le_bytes());
        self
    }

    /// Adds a float by its bits, NaN in canonical form.
    pub fn float(&mut self, value: f64) -> &mut Self {
        let value = if value.is_nan() { f64::NAN } else { value };
        self.0.update(value.to_bits().to_le_bytes());
        self
    }

    /// Adds another digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.0.update(digest.0);
        self
    }

    /// The digest of all parts so far.
    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_and_separates_parts() {
        let d = Digest::of(b"x");
        assert_eq!(d.to_string().parse(), Ok(d));
        assert_eq!(format!("sha256:{d}").parse(), Ok(d));
        let (mut a, mut b) = (DigestBuilder::new("t"), DigestBuilder::new("t"));
        assert_ne!(a.text("ab").text("c").finish(), b.text("a").text("bc").finish());
    }

    #[test]
    fn a_reader_has_the_digest_of_its_bytes() {
        for length in [0, 1, 128 << 10, (128 << 10) + 1, 400_000] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            assert_eq!(Digest::of_reader(&bytes[..]).unwrap(), (Digest::of(&bytes), length as u64));
        }
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("gone"))
            }
        }
        assert_eq!(Digest::of_reader(Broken).unwrap_err().to_string(), "gone");
    }
}
