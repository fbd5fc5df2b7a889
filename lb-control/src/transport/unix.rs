//! Unix sockets in the file system.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::net::{UnixDatagram, UnixListener};

/// Removes a socket's file when it is served no more.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Someone may have removed it already.
        drop(fs::remove_file(&self.0));
    }
}

/// Listens for connections at `path`, which the file calls `setting`; `mode` is
/// the file's. A socket that was left behind is replaced, one that somebody
/// serves is not.
///
/// # Errors
/// Says what is in the way.
pub fn listen(path: &Path, setting: &str, mode: u32) -> anyhow::Result<(UnixListener, SocketFile)> {
    clear(path, setting, || net::UnixStream::connect(path).is_ok())?;
    let listener = UnixListener::bind(path);
    Ok((listener.with_context(|| cannot(path, setting))?, protect(path, mode)?))
}

/// The same for datagrams.
///
/// # Errors
/// Says what is in the way.
pub fn listen_datagrams(
    path: &Path,
    setting: &str,
    mode: u32,
) -> anyhow::Result<(UnixDatagram, SocketFile)> {
    let served = || net::UnixDatagram::unbound().is_ok_and(|socket| socket.connect(path).is_ok());
    clear(path, setting, served)?;
    let socket = UnixDatagram::bind(path);
    Ok((socket.with_context(|| cannot(path, setting))?, protect(path, mode)?))
}

fn cannot(path: &Path, setting: &str) -> String {
    format!("cannot listen on {}, which is `{setting}`", path.display())
}

/// Makes room for a socket.
fn clear(path: &Path, setting: &str, served: impl Fn() -> bool) -> anyhow::Result<()> {
    let shown = path.display();
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| {
            format!("cannot make {} for the socket of `{setting}`", directory.display())
        })?;
    }
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => bail!(
            "{shown}, which is `{setting}`, exists and is no socket: remove it or choose another path"
        ),
        Ok(_) if served() => bail!(
            "another process answers at {shown}, which is `{setting}`: is it running already?"
        ),
        Ok(_) => fs::remove_file(path)
            .with_context(|| format!("cannot remove the stale socket {shown}"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    }
    Ok(())
}

/// Until then only its owner can connect: others need the right to write.
fn protect(path: &Path, mode: u32) -> anyhow::Result<SocketFile> {
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the permissions of {}", path.display()))?;
    Ok(file)
}
