//! The command line, over telnet and over SSH.

mod commands;
mod grammar;
mod session;
mod shell;
mod show;
mod ssh;
mod telnet;
mod terminal;
#[cfg(test)]
mod tests;

use std::{io, net::Shutdown, sync::Arc};

use tokio::net::{TcpListener, TcpStream};

pub(crate) use ssh::{config as ssh_config, host_key, public_line};

use super::device::Device;

/// How a listener's clients speak.
#[derive(Clone)]
pub(crate) enum Protocol {
    Telnet,
    Ssh(Arc<russh::server::Config>),
}

/// Serves everybody who connects.
pub(crate) async fn listen(device: Arc<Device>, listener: TcpListener, protocol: Protocol) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if !device.is_down() {
            tokio::spawn(serve(Arc::clone(&device), stream, protocol.clone()));
        }
    }
}

/// Serves one client until it goes or is thrown out.
async fn serve(device: Arc<Device>, stream: TcpStream, protocol: Protocol) -> io::Result<()> {
    let mut boots = device.boots();
    stream.set_nodelay(true)?;
    // A second handle on the socket ends it whoever else has one.
    let stream = stream.into_std()?;
    let socket = stream.try_clone()?;
    let stream = TcpStream::from_std(stream)?;
    let conversation = async {
        match protocol {
            Protocol::Telnet => session::telnet(device, stream).await,
            Protocol::Ssh(config) => ssh::serve(device, config, stream).await,
        }
    };
    let result = tokio::select! {
        result = conversation => result,
        _ = boots.changed() => Ok(()),
    };
    // It may have gone by itself.
    let _ = socket.shutdown(Shutdown::Both);
    result
}
