//! Every lab leaves a directory that says all there is to know for taking it
//! down: on drop, after a signal, by `cargo xtask lab down`, or by the next
//! lab when its owner died without a word.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::geteuid,
};

use crate::{
    command::{Family, ip_batch},
    netns::{self, Netns},
};

const DIRECTORY: &str = "/run/sluice-lab";
const PREFIX: &str = "sl-";
/// File with the owner's process id and the time at which it started.
const OWNER: &str = "owner";
/// File whose presence says that the lab outlives its owner.
const KEPT: &str = "kept";
const BPFFS: &str = "bpf";

/// Labs of this process that a signal must take down.
static LIVE: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NEXT: AtomicU32 = AtomicU32::new(1);
static AT_START: Once = Once::new();

/// A lab's name and directory.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
}

impl Site {
    /// Claims a name: `label`, or one that no other lab has.
    ///
    /// # Errors
    /// Without root; when a lab with this label is up.
    pub(crate) fn claim(label: Option<&str>) -> Result<Self> {
        if !geteuid().is_root() {
            bail!(
                "the lab makes network namespaces, which needs root: run the same command as root"
            );
        }
        AT_START.call_once(|| {
            sweep();
            let installed = ctrlc::set_handler(|| {
                for id in std::mem::take(&mut *live()) {
                    // Nobody is left to hear of an error.
                    let _ = take_down(&id);
                }
                std::process::exit(130);
            });
            if let Err(error) = installed {
                eprintln!("the lab will not be cleaned up after Ctrl-C: {error}");
            }
        });
        let id = match label {
            Some(label) => format!("{PREFIX}{label}"),
            None => {
                format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
            }
        };
        let dir = directory(&id);
        // The name appears together with its owner: a sweeper never sees one
        // without the other.
        let draft = directory(&format!(".{id}"));
        fs::create_dir_all(&draft)?;
        fs::write(draft.join(OWNER), owner_of(std::process::id()).unwrap_or_default())?;
        if let Err(error) = fs::rename(&draft, &dir) {
            fs::remove_dir_all(&draft)?;
            bail!(
                "the lab {id} cannot be made ({error}); if it is up, take it down first: cargo xtask lab down"
            );
        }
        live().push(id.clone());
        let site = Self { id, dir };
        let bpffs = site.bpffs();
        fs::create_dir(&bpffs)?;
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting a bpffs at {}", bpffs.display()))?;
        Ok(site)
    }

    /// The lab's own bpffs: nothing pinned in it is seen in another lab.
    pub(crate) fn bpffs(&self) -> PathBuf {
        self.dir.join(BPFFS)
    }

    /// Lets the lab outlive this process.
    pub(crate) fn keep(&self) -> Result<()> {
        fs::write(self.dir.join(KEPT), "")?;
        live().retain(|id| *id != self.id);
        Ok(())
    }

    fn kept(&self) -> bool {
        self.dir.join(KEPT).exists()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.kept() {
            return;
        }
        if let Err(error) = take_down(&self.id) {
            eprintln!("lab {}: {error:#}", self.id);
        }
        live().retain(|id| *id != self.id);
    }
}

fn live() -> std::sync::MutexGuard<'static, Vec<String>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn directory(id: &str) -> PathBuf {
    Path::new(DIRECTORY).join(id)
}

/// Identifies a living process even after its number was given to another:
/// `PID STARTTIME` (proc(5), fields 3 and 22 of /proc/PID/stat).
fn owner_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name and may hold spaces and brackets.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, start) = (fields.first()?, fields.get(19)?);
    // A zombie is dead, even while nobody has asked for its exit status.
    (!["Z", "X"].contains(state)).then(|| format!("{pid} {start}"))
}

/// Names of the labs that are up.
pub fn list() -> Vec<String> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return Vec::new();
    };
    let mut ids: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|id| id.starts_with(PREFIX))
        .collect();
    ids.sort();
    ids
}

/// Removes labs whose owner died without doing so.
fn sweep() {
    for id in list() {
        let dir = directory(&id);
        let owner = fs::read_to_string(dir.join(OWNER)).unwrap_or_default();
        let pid = owner.split(' ').next().and_then(|pid| pid.parse().ok());
        let alive = pid.is_some_and(|pid| owner_of(pid).as_deref() == Some(owner.as_str()));
        if !alive
            && !dir.join(KEPT).exists()
            && let Err(error) = take_down(&id)
        {
            eprintln!("an abandoned lab is in the way: {error:#}");
        }
    }
}

/// Takes a lab down: its processes, its pinned programs, its namespaces.
///
/// # Errors
/// When something of it stays; what can be removed is removed all the same.
pub fn take_down(id: &str) -> Result<()> {
    let dir = directory(id);
    let namespaces = namespaces_of(id);
    let mut rounds = 0;
    loop {
        let running: Vec<_> = namespaces.iter().flat_map(Netns::processes).collect();
        if running.is_empty() {
            break;
        }
        rounds += 1;
        if rounds > 100 {
            bail!("processes of lab {id} do not end: {running:?}");
        }
        for pid in running {
            // It may be gone already.
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
    // Nothing is mounted when the lab failed early.
    let _ = umount2(&dir.join(BPFFS), MntFlags::MNT_DETACH);
    let script: String =
        namespaces.iter().map(|netns| format!("netns del {}\n", netns.name())).collect();
    if !script.is_empty() {
        ip_batch(None, Family::V4, &script)?;
    }
    fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))
}

fn namespaces_of(id: &str) -> Vec<Netns> {
    let Ok(entries) = fs::read_dir(netns::DIRECTORY) else {
        return Vec::new();
    };
    let prefix = format!("{id}-");
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .map(Netns::named)
        .collect()
}
