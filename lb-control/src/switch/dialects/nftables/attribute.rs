//! Netlink attributes (netlink(7)): written from a tree, read from bytes.

use super::uapi::LIST_ELEM;

/// A tree of attributes that we send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    kind: u16,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    Nest(Vec<Attribute>),
}

/// Bytes that are no attributes, or not those that there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's answer makes no sense")]
pub(super) struct Garbage;

const NESTED: u16 = 1 << 15;
const KIND: u16 = 0x3fff;
const HEADER: usize = 4;

impl Attribute {
    pub(super) fn bytes(kind: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: Value::Bytes(bytes.into()) }
    }

    pub(super) fn u32(kind: u16, number: u32) -> Self {
        Self::bytes(kind, number.to_be_bytes())
    }

    /// Ends with a NUL.
    pub(super) fn text(kind: u16, text: &str) -> Self {
        Self::bytes(kind, [text.as_bytes(), &[0]].concat())
    }

    pub(super) fn nest(kind: u16, inner: impl Into<Vec<Self>>) -> Self {
        Self { kind, value: Value::Nest(inner.into()) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let flag = match &self.value {
            Value::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                0
            }
            Value::Nest(inner) => {
                inner.iter().for_each(|attribute| attribute.write(out));
                NESTED
            }
        };
        // Whoever builds a longer one hears from the kernel that it is malformed.
        let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        out[start + 2..start + HEADER].copy_from_slice(&(self.kind | flag).to_ne_bytes());
        out.resize(out.len().next_multiple_of(HEADER), 0);
    }

    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        let value = match &self.value {
            Value::Bytes(bytes) => bytes.len(),
            Value::Nest(inner) => inner.iter().map(Self::len).sum(),
        };
        (HEADER + value).next_multiple_of(HEADER)
    }
}

/// Whether the kernel shows all that we wrote. It adds what it made of it, and of
/// its own; lists have as many elements as ours.
pub(super) fn covers(ours: &[Attribute], theirs: &[u8]) -> bool {
    let Ok(theirs) = all(theirs) else { return false };
    let of = |kind: u16| theirs.iter().filter(move |(there, _)| *there == kind);
    let count = |kind| ours.iter().filter(|attribute| attribute.kind == kind).count();
    if ours.iter().any(|one| one.kind == LIST_ELEM) && of(LIST_ELEM).count() != count(LIST_ELEM) {
        return false;
    }
    ours.iter().enumerate().all(|(index, attribute)| {
        let before = ours.iter().take(index).filter(|one| one.kind == attribute.kind).count();
        of(attribute.kind).nth(before).is_some_and(|(_, value)| match &attribute.value {
            Value::Bytes(bytes) => bytes == value,
            Value::Nest(inner) => covers(inner, value),
        })
    })
}

/// Kinds and values, in order.
pub(super) fn all(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, Garbage> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((kind, value)) = next(&mut rest)? {
        found.push((kind, value));
    }
    Ok(found)
}

/// The first of a kind.
pub(super) fn find(bytes: &[u8], wanted: u16) -> Result<Option<&[u8]>, Garbage> {
    let mut rest = bytes;
    while let Some((kind, value)) = next(&mut rest)? {
        if kind == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The first of a kind, which must be there.
pub(super) fn need(bytes: &[u8], wanted: u16) -> Result<&[u8], Garbage> {
    find(bytes, wanted)?.ok_or(Garbage)
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<(u16, &'a [u8])>, Garbage> {
    if rest.is_empty() {
        return Ok(None);
    }
    let field = |at: usize| {
        let bytes = rest.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u16::from_ne_bytes).ok_or(Garbage)
    };
    let (length, kind) = (usize::from(field(0)?), field(2)?);
    let value = rest.get(HEADER..length).ok_or(Garbage)?;
    *rest = rest.get(length.next_multiple_of(HEADER)..).unwrap_or_default();
    Ok(Some((kind & KIND, value)))
}

/// A number in network order.
pub(super) fn u32_of(value: &[u8]) -> Result<u32, Garbage> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| Garbage)
}

pub(super) fn u64_of(value: &[u8]) -> Result<u64, Garbage> {
    value.try_into().map(u64::from_be_bytes).map_err(|_| Garbage)
}

/// A text that ends with a NUL.
pub(super) fn text_of(value: &[u8]) -> Result<&str, Garbage> {
    let text = value.strip_suffix(&[0]).unwrap_or(value);
    std::str::from_utf8(text).map_err(|_| Garbage)
}
