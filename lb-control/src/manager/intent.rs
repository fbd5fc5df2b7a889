//! The intent file: written whole, checked whole, never silently replaced.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    config::ServiceSettings,
    core::{Intent, Removal, ServicePlan},
    model::{BindingKey, Name, Policy, ServerId, Weight},
};

/// The version that this program writes, and the only one that it reads.
const VERSION: u32 = 1;

/// The intent's place on disk, held against other managers for as long as it lives.
#[derive(Debug)]
pub(super) struct IntentFile {
    path: PathBuf,
    /// Its lock is on a file beside, since the file itself is replaced at each save.
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// [`checksum`] of `intent` as compact JSON.
    checksum: String,
    intent: Entries,
}

/// [`Intent`] with lists in place of maps, whose keys JSON could not hold.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entries {
    term: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<ServiceSettings>,
    /// Of the configuration file's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed_services: Vec<Name>,
    adds: Vec<Weighted>,
    removals: Vec<Removed>,
    weights: Vec<Weighted>,
    drops: Vec<Dropped>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    server_ids: Vec<Identified>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Weighted {
    #[serde(flatten)]
    key: BindingKey,
    weight: Weight,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identified {
    #[serde(flatten)]
    key: BindingKey,
    server_id: ServerId,
}

#[derive(Debug, Serialize, Deserialize)]
struct Removed {
    #[serde(flatten)]
    key: BindingKey,
    boot: Option<u64>,
    force: bool,
    deadline: Duration,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    declared: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Dropped {
    service: Name,
    class: Name,
    #[serde(flatten)]
    policy: Policy,
}

impl IntentFile {
    /// Takes the file for this process; makes its directory.
    ///
    /// # Errors
    /// Another manager has it, or the directory cannot be written.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let directory = directory(path);
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {} for the intent file", directory.display()))?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another manager is running: it uses the intent file {}", path.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }

    /// Reads the intent; a file that is not there is an empty one.
    ///
    /// # Errors
    /// It cannot be read, or is damaged. It is left as it is.
    pub(super) fn load(&self) -> anyhow::Result<Intent> {
        match fs::read(&self.path) {
            Ok(bytes) => decode(&bytes).with_context(|| {
                format!(
                    "the intent file {0} cannot be used: restore it from a backup, or move it away to start \
                     without the operator's commands",
                    self.path.display()
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Intent::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read the intent file {}", self.path.display())),
        }
    }

    /// Replaces the file: after a crash there is the old one or the new one.
    ///
    /// # Errors
    /// It cannot be written; the old one is still there.
    pub(super) fn save(&self, intent: &Intent) -> anyhow::Result<()> {
        let write = || -> anyhow::Result<()> {
            let directory = directory(&self.path);
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&encode(intent)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path)?;
            // The new name must be on disk too.
            File::open(directory)?.sync_all()?;
            Ok(())
        };
        write().with_context(|| format!("cannot write the intent file {}", self.path.display()))
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn encode(intent: &Intent) -> anyhow::Result<Vec<u8>> {
    let intent = Entries::from(intent);
    let checksum = checksum(&intent)?;
    let mut bytes = serde_json::to_vec_pretty(&Document { version: VERSION, checksum, intent })?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> anyhow::Result<Intent> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(bytes).context("it is damaged")?;
    ensure!(version == VERSION, "it is of version {version}; this program reads version {VERSION}");
    let document: Document = serde_json::from_slice(bytes).context("it is damaged")?;
    let checksum = checksum(&document.intent)?;
    ensure!(
        checksum == document.checksum,
        "it is damaged or was edited: its checksum is {checksum}, not {}",
        document.checksum
    );
    document.intent.try_into()
}

/// FNV-1a, 64 bits (draft-eastlake-fnv, section 2), of the compact JSON.
fn checksum(intent: &Entries) -> anyhow::Result<String> {
    let bytes = serde_json::to_vec(intent)?;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    Ok(format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)))
}

impl From<&Intent> for Entries {
    fn from(intent: &Intent) -> Self {
        let weighted =
            |(key, weight): (&BindingKey, &Weight)| Weighted { key: key.clone(), weight: *weight };
        let removed = |(key, removal): (&BindingKey, &Removal)| {
            let Removal { boot, force, deadline, declared } = *removal;
            Removed { key: key.clone(), boot, force, deadline, declared }
        };
        let dropped = |((service, class), policy): (&(Name, Name), &Policy)| Dropped {
            service: service.clone(),
            class: class.clone(),
            policy: *policy,
        };
        Self {
            term: intent.term,
            services: intent.services.values().flatten().map(ServicePlan::settings).collect(),
            removed_services: intent
                .services
                .iter()
                .filter(|(_, service)| service.is_none())
                .map(|(name, _)| name.clone())
                .collect(),
            adds: intent.adds.iter().map(weighted).collect(),
            removals: intent.removals.iter().map(removed).collect(),
            weights: intent.weights.iter().map(weighted).collect(),
            drops: intent.drops.iter().map(dropped).collect(),
            server_ids: intent
                .server_ids
                .iter()
                .map(|(key, &server_id)| Identified { key: key.clone(), server_id })
                .collect(),
        }
    }
}

impl TryFrom<Entries> for Intent {
    type Error = anyhow::Error;

    fn try_from(entries: Entries) -> anyhow::Result<Self> {
        let weighted = |Weighted { key, weight }| (key, weight);
        let removed = |Removed { key, boot, force, deadline, declared }| {
            (key, Removal { boot, force, deadline, declared })
        };
        let dropped = |Dropped { service, class, policy }| ((service, class), policy);
        let mut services = BTreeMap::new();
        for name in entries.removed_services {
            services.insert(name, None);
        }
        for service in &entries.services {
            let plan = ServicePlan::try_from(service).context("it is damaged")?;
            services.insert(service.name.clone(), Some(plan));
        }
        Ok(Self {
            term: entries.term,
            services,
            adds: entries.adds.into_iter().map(weighted).collect(),
            removals: entries.removals.into_iter().map(removed).collect(),
            weights: entries.weights.into_iter().map(weighted).collect(),
            drops: entries.drops.into_iter().map(dropped).collect(),
            server_ids: entries
                .server_ids
                .into_iter()
                .map(|Identified { key, server_id }| (key, server_id))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests;
