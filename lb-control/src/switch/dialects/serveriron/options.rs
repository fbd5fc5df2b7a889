//! What both dialects ask for.

use std::collections::BTreeMap;

/// Longest name of a virtual server.
const LONGEST: usize = 32;

/// The largest weight that the box is given, unless told otherwise.
pub(super) const MAX_WEIGHT: u32 = 65_000;

/// Options that do not depend on the language.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    /// Names of the virtual servers that are made, by service.
    pub virtual_servers: BTreeMap<String, String>,
    pub max_weight: u32,
}

impl Common {
    /// # Errors
    /// Says what is wrong with them.
    pub fn new(
        virtual_servers: BTreeMap<String, String>,
        max_weight: Option<u32>,
    ) -> Result<Self, String> {
        for (service, name) in &virtual_servers {
            let fit = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
            if name.is_empty() || name.len() > LONGEST || !fit {
                return Err(format!(
                    "virtual_servers.{service}: `{}` is not the name of a virtual server: use 1 \
                     to {LONGEST} characters without spaces and quotes",
                    name.escape_default()
                ));
            }
        }
        let max_weight = max_weight.unwrap_or(MAX_WEIGHT);
        if max_weight == 0 {
            return Err("max_weight: 0 leaves no weight to give".into());
        }
        Ok(Self { virtual_servers, max_weight })
    }
}

/// When the configuration is written to flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WriteMemory {
    #[default]
    Never,
    AfterChange,
}
