//! Directories in a bpffs: what is pinned there outlives the process.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use anyhow::{Context as _, anyhow, bail};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

/// Removes a pin.
///
/// # Errors
/// Of unlink(2), with the path.
pub(crate) fn unpin(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))
}

/// The directory, or the nearest one above it that is there, must be in a bpffs.
///
/// # Errors
/// Says how one is mounted.
pub(crate) fn check_bpffs(root: &Path) -> anyhow::Result<()> {
    if is_bpffs(root)? {
        return Ok(());
    }
    bail!(
        "{} is not in a BPF file system, where program and maps could outlive this process: mount \
         one with `{}`, or set `pin`",
        root.display(),
        mount_bpffs(root),
    )
}

/// Whether a directory is in a bpffs, or will be when it is made.
///
/// # Errors
/// Of statfs(2), with the path.
pub(crate) fn is_bpffs(root: &Path) -> anyhow::Result<bool> {
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let found = statfs(there).with_context(|| format!("{} cannot be examined", there.display()))?;
    Ok(found.filesystem_type() == BPF_FS_MAGIC)
}

/// The command that mounts one for `root`.
pub(crate) fn mount_bpffs(root: &Path) -> String {
    let mount = if root.starts_with("/sys/fs/bpf") { Path::new("/sys/fs/bpf") } else { root };
    format!("mkdir -p {mount} && mount -t bpf bpf {mount}", mount = mount.display())
}

/// Locks the directory itself: who holds it uses exactly these pins.
///
/// # Errors
/// Says who holds it.
pub(crate) fn lock(root: &Path) -> anyhow::Result<File> {
    let file = File::open(root).with_context(|| format!("{} cannot be opened", root.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(anyhow!(
            "{} is in use by another process{}: stop that one first, or set another `pin`",
            root.display(),
            holder(root).map_or_else(String::new, |pid| format!(" (process {pid})")),
        )),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", root.display()))
        }
    }
}

/// The process that holds the lock, as /proc/locks tells.
pub(crate) fn holder(root: &Path) -> Option<u32> {
    let found = fs::metadata(root).ok()?;
    let (major, minor) = (nix::sys::stat::major(found.dev()), nix::sys::stat::minor(found.dev()));
    holder_in(&fs::read_to_string("/proc/locks").ok()?, major, minor, found.ino())
}

/// Format: proc_locks(5).
fn holder_in(locks: &str, major: u64, minor: u64, inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    let of = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, at, ..] = fields[..] else { return None };
        if at == place { pid.parse().ok() } else { None }
    };
    locks.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found() {
        let locks = "1: POSIX  ADVISORY  READ 800 00:1a:12 128 128\n\
                     2: FLOCK  ADVISORY  WRITE 4711 00:2b:12 0 EOF\n";
        assert_eq!(holder_in(locks, 0, 0x2b, 12), Some(4711));
        assert_eq!(holder_in(locks, 0, 0x1a, 12), None);
        assert_eq!(holder_in(locks, 0, 0x2b, 1), None);
    }

    #[test]
    fn a_directory_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        let error = lock(dir.path()).unwrap_err().to_string();
        let me = format!("(process {})", std::process::id());
        assert!(error.contains("in use by another process") && error.contains(&me), "{error}");
        drop(first);
        lock(dir.path()).unwrap();
    }
}
