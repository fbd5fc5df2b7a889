//! The command line over SSH (RFC 4251..4254).

use std::{io, sync::Arc, time::Duration};

use russh::{
    Channel, ChannelId,
    keys::{PrivateKey, ssh_key::private::Ed25519Keypair},
    server::{self, Auth, ChannelOpenHandle, Msg, Session},
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

use super::session;
use crate::serveriron::{Login, device::Device};

/// How long a client may take to hang up after its shell has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// A host key, new each time.
pub(crate) fn host_key() -> PrivateKey {
    let mut seed = [0; 32];
    fastrand::Rng::new().fill(&mut seed);
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

/// As a line of `known_hosts`, without the host: `ssh-ed25519 AAAA…`.
pub(crate) fn public_line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap_or_default()
}

pub(crate) fn config(key: PrivateKey) -> server::Config {
    server::Config {
        keys: vec![key],
        // No secret is worth guessing here, and tests would wait for it.
        auth_rejection_time: Duration::ZERO,
        nodelay: true,
        inactivity_timeout: None,
        ..server::Config::default()
    }
}

/// Serves one connection, until its shell ends or the client goes.
pub(super) async fn serve(
    device: Arc<Device>,
    config: Arc<server::Config>,
    stream: TcpStream,
) -> io::Result<()> {
    let (ended, mut end) = mpsc::channel(1);
    let client = Client { device, channel: None, ended };
    let mut running = server::run_stream(config, stream, client).await.map_err(io::Error::other)?;
    let end = tokio::select! {
        result = &mut running => return result.map_err(io::Error::other),
        end = end.recv() => end,
    };
    if end == Some(End::Exit) {
        // The channel is closed; the client takes its leave.
        let _ = timeout(FAREWELL, running).await;
    }
    Ok(())
}

struct Client {
    device: Arc<Device>,
    channel: Option<Channel<Msg>>,
    /// Told when the shell has ended.
    ended: mpsc::Sender<End>,
}

/// How a shell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As it was told.
    Exit,
    /// Its connection is lost.
    Lost,
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, given: &str) -> Result<Auth, Self::Error> {
        let known = match &self.device.options.login {
            Login::Password(password) => given == password,
            Login::Name { name, password } => user == name && given == password,
        };
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(channel) = self.channel.take() else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (device, ended) = (Arc::clone(&self.device), self.ended.clone());
        tokio::spawn(async move {
            let end = match session::ssh(device, channel.into_stream()).await {
                Ok(()) => End::Exit,
                Err(_) => End::Lost,
            };
            // The connection may have ended before its shell.
            let _ = ended.send(end).await;
        });
        Ok(())
    }
}
