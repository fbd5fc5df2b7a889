//! What `sluice export` writes and `sluice apply` reads: the operator's whole
//! intent, as TOML whose `[[service]]` is that of the configuration file.

use std::{collections::HashSet, net::SocketAddr, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ClassSettings, ConfigError, ServiceSettings, Settings, duration, parse,
    validate::{self, Fault, Place},
};
use crate::model::{Name, Weight};

/// Services with their static backends and policies, and what the operator has
/// said of the bindings of agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// As in the configuration file. A backend of the file that is not here is
    /// removed, and so is a policy.
    #[serde(default, rename = "service")]
    pub services: Vec<ServiceSettings>,
    /// Weights in place of those that agents ask for.
    #[serde(default, rename = "weight", skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<DeclaredWeight>,
    /// Bindings of agents that are to stay out until the agent starts anew.
    #[serde(default, rename = "removal", skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<DeclaredRemoval>,
}

/// `[[weight]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredWeight {
    pub service: Name,
    pub address: SocketAddr,
    pub weight: Weight,
}

/// `[[removal]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredRemoval {
    pub service: Name,
    pub address: SocketAddr,
    /// Break its connections at once. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// How long its connections may go on. Default: the manager's `drain_deadline`.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
}

impl Declaration {
    /// Reads and checks a declaration's text, for a manager with these classes;
    /// `path` is only for its errors.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], as of the configuration file.
    pub fn parse(text: &str, path: &Path, classes: &[ClassSettings]) -> Result<Self, ConfigError> {
        parse::read(text, path, |declaration| faults(declaration, classes))
    }

    /// As text that [`parse`](Self::parse) reads.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// Everything that can be known to be wrong without the manager's state.
fn faults(declaration: &Declaration, classes: &[ClassSettings]) -> Vec<Fault> {
    let settings = Settings {
        services: declaration.services.clone(),
        classes: classes.to_vec(),
        ..Settings::default()
    };
    let mut faults = validate::service_faults(&settings);
    let services: HashSet<&Name> = declaration.services.iter().map(|s| &s.name).collect();
    let backends: HashSet<(&Name, SocketAddr)> = declaration
        .services
        .iter()
        .flat_map(|s| s.backends.iter().map(|backend| (&s.name, backend.address)))
        .collect();
    let mut removed = HashSet::new();
    for (index, removal) in declaration.removals.iter().enumerate() {
        let (service, address) = (&removal.service, removal.address);
        let place = Place::default().element("removal", index);
        let message = if !services.contains(service) {
            format!("there is no [[service]] `{service}` in this file")
        } else if backends.contains(&(service, address)) {
            format!("service `{service}` has {address} as a backend, which cannot be removed too")
        } else if !removed.insert((service, address)) {
            format!("{address} of service `{service}` is removed twice")
        } else {
            continue;
        };
        faults.push(Fault { place, message });
    }
    let mut weighed = HashSet::new();
    for (index, weight) in declaration.weights.iter().enumerate() {
        let (service, address) = (&weight.service, weight.address);
        let place = Place::default().element("weight", index);
        let message = if !services.contains(service) {
            format!("there is no [[service]] `{service}` in this file")
        } else if removed.contains(&(service, address)) {
            format!("{address} of service `{service}` is removed, and can have no weight")
        } else if !weighed.insert((service, address)) {
            format!("{address} of service `{service}` has two weights")
        } else {
            continue;
        };
        faults.push(Fault { place, message });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
[[service]]
name = "www"
address = "203.0.113.10:80"
mode = "l2"
udp_idle = "2m 1s"
health = { rise = 2, port = 8080 }
backend = [{ address = "192.0.2.1:80", weight = 7 }]
policy = [{ class = "bots", refuse_percent = 12.3456, verdict = "silent", scope = "client" }]

[[weight]]
service = "www"
address = "192.0.2.2:80"
weight = 0

[[removal]]
service = "www"
address = "192.0.2.3:80"
deadline = "1m 30s"
"#;

    fn parse(text: &str) -> Result<Declaration, String> {
        let bots =
            ClassSettings { name: "bots".parse().unwrap(), sources: Vec::new(), dscp: Vec::new() };
        Declaration::parse(text, Path::new("intent.toml"), &[bots]).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let full = parse(FULL).unwrap();
        assert_eq!(parse(&full.to_toml().unwrap()), Ok(full));
        let empty = Declaration::default();
        assert_eq!(parse(&empty.to_toml().unwrap()), Ok(empty));
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let table = [
            ("weight = 0", "wait = 0", "intent.toml:14:1: unknown field `wait`"),
            ("weight = 0", "weight = 65536", "expected a whole number from 0 to 65535"),
            ("[[weight]]", "[[weights]]", "did you mean `weight`?"),
            ("class = \"bots\"", "class = \"cats\"", "there is no class `cats`"),
            ("192.0.2.3:80", "192.0.2.1:80", "which cannot be removed too"),
            ("192.0.2.3:80", "192.0.2.2:80", "is removed, and can have no weight"),
            ("192.0.2.1:80", "[2001:db8::1]:80", "different IP families"),
            (
                "[[weight]]\nservice = \"www\"",
                "[[weight]]\nservice = \"web\"",
                "intent.toml:11:1: there is no [[service]] `web`",
            ),
            ("1m 30s", "soon", "is not a duration"),
        ];
        for (from, to, part) in table {
            let error = parse(&FULL.replace(from, to)).unwrap_err();
            assert!(error.contains(part), "{from} as {to}: {error}");
        }
        let twice = format!("{FULL}{}", FULL.split_once("[[weight]]").unwrap().1).replace(
            "address = \"192.0.2.3:80\"\ndeadline",
            "address = \"192.0.2.3:80\"\ndeadline",
        );
        assert!(parse(&twice).is_err());
    }
}
