//! Checks of what comes from the wire.

use std::{fmt::Display, net::SocketAddr, str::FromStr, time::Duration};

use crate::model::{BindingKey, Name, ServerId, Share, Weight, shown};

/// A field that cannot be taken as it came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct WireError {
    /// Path from the message on, such as `state.services[2].address`.
    pub field: String,
    pub reason: String,
}

impl WireError {
    pub(super) fn new(field: &str, reason: impl Display) -> Self {
        Self { field: field.to_owned(), reason: reason.to_string() }
    }

    /// The same error, seen from a message that holds this one as `outer`.
    pub(super) fn within(self, outer: impl Display) -> Self {
        Self { field: format!("{outer}.{}", self.field), reason: self.reason }
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// Parses a field's text.
pub(super) fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error| WireError::new(field, error))
}

pub(super) fn name(field: &str, text: &str) -> Result<Name, WireError> {
    parse(field, text)
}

pub(super) fn address(field: &str, text: &str) -> Result<SocketAddr, WireError> {
    text.parse().map_err(|_| {
        let text = shown(text);
        WireError::new(
            field,
            format!("`{text}` is not ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80"),
        )
    })
}

pub(super) fn key(service: &str, backend: &str) -> Result<BindingKey, WireError> {
    Ok(BindingKey { service: name("service", service)?, backend: address("backend", backend)? })
}

pub(super) fn weight(weight: u32) -> Result<Weight, WireError> {
    Weight::try_from(weight)
        .map_err(|_| WireError::new("weight", format!("a weight is 0 to 65535, not {weight}")))
}

/// A server id, or nothing.
pub(super) fn server_id(text: &str) -> Result<Option<ServerId>, WireError> {
    if text.is_empty() { Ok(None) } else { parse("server_id", text).map(Some) }
}

/// The same for the wire.
pub(super) fn server_id_text(id: Option<ServerId>) -> String {
    id.map(String::from).unwrap_or_default()
}

pub(super) fn share(ppm: u32) -> Result<Share, WireError> {
    Share::try_from(ppm).map_err(|error| WireError::new("refuse_ppm", error))
}

/// Text for people: bounded, and without characters that a terminal obeys.
pub(super) fn text(text: String) -> String {
    const MOST: usize = 256;
    if text.len() <= MOST && !text.contains(char::is_control) {
        return text;
    }
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or_else(|| {
        WireError::new(field, "missing, or of a kind that this version does not know")
    })
}

/// Converts each of a list, and says which one was wrong.
pub(super) fn each<A, B>(
    field: &str,
    list: Vec<A>,
    convert: impl Fn(A) -> Result<B, WireError>,
) -> Result<Vec<B>, WireError> {
    let one =
        |(index, item)| convert(item).map_err(|error| error.within(format!("{field}[{index}]")));
    list.into_iter().enumerate().map(one).collect()
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
