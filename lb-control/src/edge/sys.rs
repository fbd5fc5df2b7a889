//! System calls that neither aya nor nix has.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    sync::LazyLock,
};

use super::mapping::Plain;

// Commands of bpf(2), from linux/bpf.h.
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_int = 21;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_LINK_DETACH: libc::c_int = 34;
/// Create the element; fail with `EEXIST` when it is there.
const BPF_NOEXIST: u64 = 1;
/// From linux/membarrier.h.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// The element part of `union bpf_attr`.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The batch part of `union bpf_attr`.
#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The pin part of `union bpf_attr`.
#[repr(C)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Returns what the command returns, such as a descriptor.
///
/// # Safety
/// `attr` is the part of `union bpf_attr` that `command` takes, and the
/// addresses in it are valid for what the command reads and writes.
unsafe fn bpf<A>(command: libc::c_int, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: the caller's promise; the kernel reads and writes no more of
    // `attr` than the size says.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn address<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as u64
}

/// Where a walk over a hash map goes on; `None` at the beginning.
pub(super) type Cursor = Option<u32>;

/// Reads the next entries of a hash map, about `most` of them, into `out`.
/// Entries that come and go meanwhile may be seen or not; all others are seen
/// once. Returns whether there are more.
///
/// # Errors
/// Of bpf(2).
pub(super) fn walk<K: Plain, V: Plain>(
    map: BorrowedFd<'_>,
    cursor: &mut Cursor,
    most: usize,
    out: &mut Vec<(K, V)>,
) -> io::Result<bool> {
    let mut keys = vec![K::default(); most];
    let mut values = vec![V::default(); most];
    let mut next = 0u32;
    let mut attr = BatchAttr {
        in_batch: cursor.as_ref().map_or(0, address),
        out_batch: std::ptr::from_mut(&mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: most as u32,
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: `keys` and `values` hold `count` elements of the map's key and
    // value size (checked before the map was adopted); the batch words of a
    // hash map are 4 bytes; everything outlives the call.
    let result = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) };
    let more = match result {
        Ok(_) => true,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => false,
        Err(error) => return Err(error),
    };
    *cursor = Some(next);
    out.extend(keys.into_iter().zip(values).take(attr.count as usize));
    Ok(more)
}

/// Removes an entry and returns what it held at that moment.
///
/// # Errors
/// Of bpf(2).
pub(super) fn take<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = V::default();
    let mut attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        padding: 0,
        key: address(key),
        value: std::ptr::from_mut(&mut value) as u64,
        flags: 0,
    };
    // SAFETY: `key` and `value` have the map's key and value size (checked
    // before the map was adopted) and outlive the call.
    match unsafe { bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Inserts an entry unless there is one.
///
/// # Errors
/// Of bpf(2).
pub(super) fn insert_new<K: Plain, V: Plain>(
    map: BorrowedFd<'_>,
    key: &K,
    value: &V,
) -> io::Result<()> {
    let mut attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        padding: 0,
        key: address(key),
        value: address(value),
        flags: BPF_NOEXIST,
    };
    // SAFETY: as in `take`; the kernel only reads both.
    match unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) } {
        Err(error) if error.raw_os_error() != Some(libc::EEXIST) => Err(error),
        _ => Ok(()),
    }
}

/// Detaches a link's program at once, whoever else holds the link.
///
/// # Errors
/// Of bpf(2).
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = link.as_raw_fd() as u32;
    // SAFETY: the command takes the link's descriptor and nothing else.
    unsafe { bpf(BPF_LINK_DETACH, &mut attr) }?;
    Ok(())
}

/// Opens what is pinned at `path`.
///
/// # Errors
/// Of bpf(2).
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the path ends in a zero byte and outlives the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &mut attr) }?;
    // SAFETY: the call succeeded, so this is a new descriptor, and only ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Waits until every packet that is now under way in the kernel has left
/// (`synchronize_rcu` in the kernel).
///
/// # Errors
/// Of membarrier(2); `EINVAL` on kernels that run with `nohz_full`.
pub(super) fn wait_for_rcu() -> io::Result<()> {
    // SAFETY: membarrier takes integers and touches none of our memory.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Seconds of the clock that the program stamps flows with. It is the kernel's own:
/// in a time namespace, that of this process is another one.
pub(super) fn coarse_seconds() -> u32 {
    static AHEAD: LazyLock<(i64, i64)> = LazyLock::new(|| {
        let offsets = fs::read_to_string("/proc/self/timens_offsets");
        offsets.ok().and_then(|offsets| monotonic_offset(&offsets)).unwrap_or_default()
    });
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    let (seconds, nanos) = *AHEAD;
    (now.tv_sec - seconds - i64::from(now.tv_nsec < nanos)) as u32
}

/// Seconds and nanoseconds that the clock is ahead by (time_namespaces(7)).
fn monotonic_offset(offsets: &str) -> Option<(i64, i64)> {
    let mut words =
        offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_time_namespace_adds_is_read() {
        let offsets = "monotonic      864000         5\nboottime           -3         0\n";
        assert_eq!(monotonic_offset(offsets), Some((864_000, 5)));
        assert_eq!(monotonic_offset("monotonic -7 0\n"), Some((-7, 0)));
        assert_eq!(monotonic_offset("boottime 1 0\nmonotonic x"), None);
    }
}
