//! What the kernel's verifier says of a program that it takes. aya asks it only
//! about those that it refuses, so the program is loaded once more here.

use std::{
    collections::HashSet,
    ffi::CStr,
    io,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use anyhow::{Context as _, Result};
use aya::{EbpfLoader, maps::MapData, programs::Xdp};
use aya_obj::{
    Object,
    generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type},
};

use super::{decap, program};

/// The verifier's log has one line of each statistic.
const LOG_STATISTICS: u32 = 4;
const LOG_BYTES: usize = 1 << 16;
/// Bytes of a map's name that the kernel keeps.
const NAME: usize = 15;

/// The verifier's way through a program.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Instructions that it has looked at; an instruction counts once for each
    /// way that leads to it.
    pub instructions: u32,
    /// Bytes of the stack that the program and its functions use.
    pub stack: Vec<u32>,
}

/// Of the program of edges, for one of the purposes that the loader knows.
///
/// # Errors
/// When the kernel refuses it.
pub fn walk_edge(purpose: u32) -> Result<Walk> {
    walk(program::OBJECT, "sluice", Some(purpose))
}

/// Of the program of servers.
///
/// # Errors
/// When the kernel refuses it.
pub fn walk_server() -> Result<Walk> {
    walk(decap::OBJECT, "sluice_decap", None)
}

fn walk(object: &[u8], name: &str, purpose: Option<u32>) -> Result<Walk> {
    let mut loader = EbpfLoader::new();
    if let Some(purpose) = &purpose {
        loader.override_global("PURPOSE", purpose, true);
    }
    let mut ebpf = loader.load(object).context("loading the maps; this needs root")?;
    let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    lb_control::xdp::load_program(program).context("the kernel refused it")?;
    let info = program.info()?;
    let ids = info.map_ids()?.context("a kernel that says which maps a program has")?;
    let maps = ids.into_iter().map(MapData::from_id).collect::<Result<Vec<_>, _>>()?;
    let types = by_id(info.btf_id().context("the program has no types")?)?;
    read(&load(object, name, &maps, &types)?)
}

/// Loads it with those maps and types, and keeps what the verifier says.
fn load(object: &[u8], name: &str, maps: &[MapData], types: &OwnedFd) -> Result<String> {
    let mut object = Object::parse(object)?;
    let sections: HashSet<_> = object.functions.keys().map(|(section, _)| *section).collect();
    let mut named: Vec<(String, RawFd, aya_obj::Map)> = Vec::new();
    for map in maps {
        let of = map.info()?;
        let short = of.name_as_str().context("a map's name")?;
        let whole = object.maps.iter().find(|(name, _)| name[..name.len().min(NAME)] == *short);
        let (name, definition) = whole.with_context(|| format!("no map {short}"))?;
        named.push((name.clone(), map.fd().as_fd().as_raw_fd(), definition.clone()));
    }
    object.relocate_maps(named.iter().map(|(name, fd, map)| (&name[..], *fd, map)), &sections)?;
    object.relocate_calls(&sections)?;
    object.sanitize_functions(aya::features());
    let program = object.programs.get(name).context("no such program")?;
    let function = &object.functions[&program.function_key()];
    let functions = function.func_info.func_info_bytes();
    let mut log = vec![0u8; LOG_BYTES];
    // SAFETY: integers and addresses; all zero is valid.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: of the union, this is what `BPF_PROG_LOAD` reads.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    load.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
    load.insns = function.instructions.as_ptr() as u64;
    load.insn_cnt = function.instructions.len() as u32;
    load.license = program.license.as_ptr() as u64;
    load.prog_btf_fd = types.as_raw_fd().cast_unsigned();
    load.func_info = functions.as_ptr() as u64;
    load.func_info_cnt = function.func_info.len() as u32;
    load.func_info_rec_size = function.func_info_rec_size as u32;
    load.log_level = LOG_STATISTICS;
    load.log_buf = log.as_mut_ptr() as u64;
    load.log_size = log.len() as u32;
    let loaded = bpf(bpf_cmd::BPF_PROG_LOAD, &attributes);
    let log = CStr::from_bytes_until_nul(&log)?.to_str()?.to_owned();
    loaded.with_context(|| format!("the kernel refused it once more:\n{log}"))?;
    Ok(log)
}

/// The types that the kernel knows by this id.
fn by_id(id: u32) -> Result<OwnedFd> {
    // SAFETY: as above; of the union, this is what `BPF_BTF_GET_FD_BY_ID` reads.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &attributes).context("the program's types")
}

/// bpf(2), of the commands that give a descriptor. Every address in
/// `attributes` is of something that outlives the call.
fn bpf(command: bpf_cmd, attributes: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads the attributes, and what the addresses in them
    // point to; it keeps none of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attributes),
            size_of::<bpf_attr>(),
        )
    };
    let fd = RawFd::try_from(result).ok().filter(|fd| *fd >= 0);
    // SAFETY: the kernel has just given us this descriptor.
    fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).ok_or_else(io::Error::last_os_error)
}

/// `processed 123 insns (limit ...) ...` and `stack depth 8+16`.
fn read(log: &str) -> Result<Walk> {
    let find = |prefix| log.lines().find_map(|line| line.strip_prefix(prefix));
    let told = || {
        let stack = find("stack depth ")?.split('+').map(str::parse).collect::<Result<_, _>>();
        let instructions = find("processed ")?.split(' ').next()?.parse().ok()?;
        Some(Walk { instructions, stack: stack.ok()? })
    };
    told().with_context(|| format!("the verifier said:\n{log}"))
}
