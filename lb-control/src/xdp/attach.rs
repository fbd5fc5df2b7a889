//! Attaching the program to interfaces, by links that outlive the process.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use aya::programs::{
    ProgramError, Xdp, XdpMode as AyaMode,
    links::{FdLink, LinkError, PinnedLink},
    xdp::{XdpLink, XdpLinkId},
};
use tracing::{info, warn};

use super::{
    interfaces::{self, Interface, Place},
    pin::unpin,
};
use crate::config::XdpMode;

/// Attaches `program` to an interface, or puts it in the place of the program
/// that an earlier process attached, between two packets. `pinned` says where
/// the link of an interface, by its index, is pinned.
///
/// # Errors
/// Says why it cannot be attached and what to do.
pub(crate) fn attach(
    program: &mut Xdp,
    pinned: impl Fn(u32) -> PathBuf + Copy,
    name: &str,
    mode: XdpMode,
) -> anyhow::Result<Place> {
    let interface = interfaces::look_up(name)?;
    if let Some(place) = replace(program, pinned, name, &interface, mode)? {
        return Ok(place);
    }
    if let Some((id, place)) = interface.program {
        bail!(
            "interface {name} already carries another XDP program (id {id}, {}): `bpftool prog show \
             id {id}` tells whose it is; stop what attached it (for another edge's, run `sluice \
             detach` with that edge's configuration), or `ip link set dev {name} {} off`",
            place.name(),
            if place == Place::Native { "xdpdrv" } else { "xdpgeneric" },
        );
    }
    let place = match mode {
        XdpMode::Native => create(program, pinned, name, &interface, Place::Native)
            .map_err(|error| error.context(no_native(name)))?,
        XdpMode::Generic => create(program, pinned, name, &interface, Place::Generic)?,
        XdpMode::Auto => match create(program, pinned, name, &interface, Place::Native) {
            Ok(place) => place,
            Err(error) => {
                let place = create(program, pinned, name, &interface, Place::Generic)?;
                warn!(
                    "interface {name}: the driver cannot run XDP programs ({error:#}); using \
                     generic mode, which is slower"
                );
                place
            }
        },
    };
    info!("attached to {name} in {} mode", place.name());
    Ok(place)
}

fn no_native(name: &str) -> String {
    format!(
        "the driver of interface {name} cannot run the XDP program: lower its MTU if it is large, \
         or set `xdp = \"auto\"`"
    )
}

/// Updates the link that an earlier process pinned, if there is one that is
/// still good.
fn replace(
    program: &mut Xdp,
    pinned: impl Fn(u32) -> PathBuf + Copy,
    name: &str,
    interface: &Interface,
    mode: XdpMode,
) -> anyhow::Result<Option<Place>> {
    let Some(standing) = stands(&pinned(interface.index), name, interface, mode)? else {
        return Ok(None);
    };
    let place = standing.place;
    update(program, standing, name)?;
    info!("took over {name} in {} mode", place.name());
    Ok(Some(place))
}

/// Where a program of an older version runs on an interface, by the link that
/// it pinned at `path`; `None` when that link is good for nothing any more.
///
/// # Errors
/// When the mode that is asked for is another one.
pub(crate) fn runs(path: &Path, name: &str, mode: XdpMode) -> anyhow::Result<Option<Place>> {
    let interface = interfaces::look_up(name)?;
    Ok(stands(path, name, &interface, mode)?.map(|standing| standing.place))
}

/// Puts `program` in the place of one of an older version, between two packets,
/// and moves the link's pin from `path` to `pinned`.
///
/// # Errors
/// Says what could not be done. The older program then runs on, or the link is
/// still pinned at `path` and this can be tried again.
pub(crate) fn take_over(
    program: &mut Xdp,
    path: &Path,
    pinned: impl Fn(u32) -> PathBuf,
    name: &str,
    mode: XdpMode,
) -> anyhow::Result<()> {
    let interface = interfaces::look_up(name)?;
    let standing = stands(path, name, &interface, mode)?;
    let standing = standing.with_context(|| format!("the program on {name} is gone"))?;
    let link = update(program, standing, name)?;
    link.pin(pinned(interface.index)).context("the link cannot be pinned")?;
    unpin(path)
}

/// A link whose program runs.
struct Standing {
    link: FdLink,
    program: u32,
    place: Place,
}

fn stands(
    path: &Path,
    name: &str,
    interface: &Interface,
    mode: XdpMode,
) -> anyhow::Result<Option<Standing>> {
    let link = match PinnedLink::from_pin(path) {
        Ok(link) => FdLink::from(link),
        Err(LinkError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be opened", path.display()));
        }
    };
    let ours = link.info().context("a pinned link cannot be examined")?.program_id();
    let Some((program, place)) = interface.program.filter(|&(id, _)| id == ours) else {
        // The interface that it was for is gone; this one only has its number.
        unpin(path)?;
        return Ok(None);
    };
    let asked = match mode {
        XdpMode::Auto => place,
        XdpMode::Native => Place::Native,
        XdpMode::Generic => Place::Generic,
    };
    if asked != place {
        bail!(
            "interface {name} carries our program in {} mode, which cannot be changed without \
             losing packets: set `xdp = \"{}\"`, or run `sluice detach` first",
            place.name(),
            place.name(),
        );
    }
    Ok(Some(Standing { link, program, place }))
}

fn update(program: &mut Xdp, standing: Standing, name: &str) -> anyhow::Result<FdLink> {
    let Standing { link, program: old, .. } = standing;
    let link = XdpLink::try_from(link).context("a pinned link is not an XDP link")?;
    let id = program
        .attach_to_link(link)
        .with_context(|| format!("program {old} on interface {name} cannot be replaced"))?;
    take(program, id)?.try_into().context("a link that was updated is none any more")
}

/// Makes a link and pins it.
fn create(
    program: &mut Xdp,
    pinned: impl Fn(u32) -> PathBuf + Copy,
    name: &str,
    interface: &Interface,
    place: Place,
) -> anyhow::Result<Place> {
    let mode = match place {
        Place::Native => AyaMode::Driver,
        Place::Generic => AyaMode::Skb,
    };
    let id = program
        .attach_to_if_index(interface.index, mode)
        .map_err(|error| explain(error, name, place))?;
    // aya attaches without a link where the kernel has none; such a program
    // would go with this process.
    let link: FdLink = take(program, id)?.try_into().map_err(|_| {
        anyhow!(
            "interface {name}: the kernel made no link in {} mode, so the program could not \
             outlive this process: Linux 6.1 or newer is needed",
            place.name()
        )
    })?;
    link.pin(pinned(interface.index)).context("the link cannot be pinned")?;
    Ok(place)
}

fn take(program: &mut Xdp, id: XdpLinkId) -> anyhow::Result<XdpLink> {
    program.take_link(id).context("the link was not kept")
}

fn explain(error: ProgramError, name: &str, place: Place) -> anyhow::Error {
    let code = match &error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    };
    let hint = match code {
        Some(libc::EPERM) => "run as root, or with CAP_NET_ADMIN and CAP_BPF",
        Some(libc::EBUSY | libc::EEXIST) => "another XDP program is on it",
        Some(libc::EOPNOTSUPP) => "its driver does not have this mode",
        _ => "see the kernel's reason below",
    };
    let place = place.name();
    anyhow::Error::new(error)
        .context(format!("interface {name} does not take the program in {place} mode: {hint}"))
}
