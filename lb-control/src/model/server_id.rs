//! Server ids of QUIC.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What names a backend in the connection ids that it gives out: 1 to 8 bytes,
/// written in hexadecimal, such as `0a1b2c3d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerId {
    /// Zero after `len`.
    bytes: [u8; 8],
    len: u8,
}

/// Why a server id was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a server id: write 1 to 8 bytes in hexadecimal, such as 0a1b2c3d")]
pub struct ServerIdError(String);

impl ServerId {
    /// The most bytes of one.
    pub const MOST: u8 = 8;

    /// The first `len` bytes; None unless that is 1 to [`Self::MOST`].
    pub fn of(bytes: [u8; 8], len: u8) -> Option<Self> {
        let live = bytes.get(..usize::from(len)).filter(|live| !live.is_empty())?;
        let mut bytes = [0; 8];
        bytes[..live.len()].copy_from_slice(live);
        Some(Self { bytes, len })
    }

    /// How many bytes count.
    pub fn bytes(self) -> u8 {
        self.len
    }

    /// All of it, zero padded.
    pub fn padded(self) -> [u8; 8] {
        self.bytes
    }
}

impl FromStr for ServerId {
    type Err = ServerIdError;

    fn from_str(text: &str) -> Result<Self, ServerIdError> {
        let parse = || {
            // Also refuses signs, which `from_str_radix` takes.
            let whole = text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
            let len =
                u8::try_from(text.len() / 2).ok().filter(|&len| whole && len <= Self::MOST)?;
            let number = u64::from_str_radix(text, 16).ok()?;
            Self::of((number << (64 - 8 * u32::from(len))).to_be_bytes(), len)
        };
        parse().ok_or_else(|| ServerIdError(super::shown(text)))
    }
}

impl TryFrom<String> for ServerId {
    type Error = ServerIdError;

    fn try_from(text: String) -> Result<Self, ServerIdError> {
        text.parse()
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..usize::from(self.len)].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_and_written_back() {
        for text in ["00", "0a1b2c3d", "ffffffffffffffff"] {
            assert_eq!(text.parse::<ServerId>().unwrap().to_string(), text);
        }
        let id: ServerId = "0A1b".parse().unwrap();
        assert_eq!((id.bytes(), id.padded()), (2, [0x0a, 0x1b, 0, 0, 0, 0, 0, 0]));
        assert_eq!(ServerId::of([0x0a, 0x1b, 7, 7, 7, 7, 7, 7], 2), Some(id));
        assert_eq!((ServerId::of([1; 8], 0), ServerId::of([1; 8], 9)), (None, None));
        for text in ["", "0", "0a1", "0x0a", "+a", "0g", "0a 1", "000000000000000000", "ä"] {
            let error = text.parse::<ServerId>().unwrap_err().to_string();
            assert!(error.contains("1 to 8 bytes in hexadecimal"), "{text}: {error}");
        }
    }
}
