//! The dialects of external switches.

mod command;
mod haproxy;

use caps::Capability;
use serde::de::DeserializeOwned;

use super::Device;
use crate::config::SwitchSettings;

/// One way to talk to an external switch.
pub struct Dialect {
    /// As `kind` of `[[switch]]` names it.
    pub kind: &'static str,
    /// For people.
    pub about: &'static str,
    /// What the manager must keep for it (capabilities(7)).
    pub needs: &'static [Capability],
    /// Makes a device out of its options, without touching the network; says what
    /// is wrong with them.
    pub make: fn(&SwitchSettings) -> Result<Box<dyn Device>, String>,
}

/// Every dialect there is, by name.
static DIALECTS: &[&Dialect] = &[&command::DIALECT, &haproxy::DIALECT];

/// The dialect of that name.
///
/// # Errors
/// Says which there are.
pub fn find(kind: &str) -> Result<&'static Dialect, String> {
    DIALECTS.iter().copied().find(|dialect| dialect.kind == kind).ok_or_else(|| {
        let kinds = DIALECTS.iter().map(|dialect| dialect.kind);
        let nearest = crate::config::nearest(kind, kinds.clone());
        let meant = nearest.map(|kind| format!(": did you mean `{kind}`?")).unwrap_or_default();
        let all: Vec<_> = kinds.collect();
        format!("there is no kind `{kind}` of switch{meant} (there are: {})", all.join(", "))
    })
}

/// Reads a dialect's own `[switch.options]`.
fn options<T: DeserializeOwned>(settings: &SwitchSettings) -> Result<T, String> {
    T::deserialize(settings.options.clone())
        .map_err(|error| format!("[switch.options] of `{}`: {}", settings.name, error.message()))
}
