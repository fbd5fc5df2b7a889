//! The smallest XDP program: it passes everything.
//!
//! A veth hands on at once what its peer sends by `XDP_TX` only while it has a
//! program of its own: `veth_xdp_flush` (drivers/net/veth.c) wakes it for no
//! other. With GRO alone the frames wait in its ring until an ordinary packet
//! comes by: tens of milliseconds instead of microseconds, when measured here.

use std::{
    ffi::{CString, c_long},
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::Netns;

/// Attaches the program to `interface` in `netns`. It is pinned in `bpffs` for
/// as long as that takes.
pub(crate) fn attach(netns: &Netns, interface: &str, bpffs: &Path) -> Result<()> {
    let pin = bpffs.join("pass");
    let program = load().context("loading an XDP program that passes everything")?;
    pin_to(&program, &pin).with_context(|| format!("pinning it to {}", pin.display()))?;
    let pinned = pin.to_string_lossy();
    let line = format!("link set dev {interface} xdp pinned {pinned}\n");
    crate::command::ip_batch(Some(netns.name()), crate::command::Family::V4, &line)?;
    Ok(fs::remove_file(pin)?)
}

/// `struct bpf_insn` (linux/bpf.h).
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const MOVE_IMMEDIATE_64: u8 = 0xb7;
const EXIT: u8 = 0x95;
const XDP_PASS: i32 = 2;

static PASS: [Instruction; 2] = [
    Instruction { code: MOVE_IMMEDIATE_64, registers: 0, offset: 0, immediate: XDP_PASS },
    Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
];

/// `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// `union bpf_attr` as `BPF_OBJ_PIN` reads it.
#[repr(C)]
struct Pin {
    path: u64,
    fd: u32,
    flags: u32,
}

const BPF_PROG_LOAD: c_long = 5;
const BPF_OBJ_PIN: c_long = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;

fn load() -> io::Result<OwnedFd> {
    let attributes = Load {
        program_type: BPF_PROG_TYPE_XDP,
        instruction_count: PASS.len() as u32,
        instructions: PASS.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        ..Load::default()
    };
    // A signal makes the verifier give up: it is asked again, as libbpf does.
    let interrupted = |result: &io::Result<i32>| {
        result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    let mut loading = (1..5).map(|_| bpf(BPF_PROG_LOAD, &attributes));
    let loaded = loading.find(|result| !interrupted(result));
    let fd = loaded.unwrap_or_else(|| bpf(BPF_PROG_LOAD, &attributes))?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pin_to(program: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let fd = program.as_raw_fd().cast_unsigned();
    bpf(BPF_OBJ_PIN, &Pin { path: path.as_ptr() as u64, fd, flags: 0 })?;
    Ok(())
}

/// bpf(2). Every address in `attributes` is of something that outlives the call.
fn bpf<T>(command: c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes at `attributes`, and what
    // the addresses in it point to; it keeps none of them.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    i32::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)
}
