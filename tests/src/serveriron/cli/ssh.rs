//! The command line over SSH (RFC 4251..4254).

use std::{io, sync::Arc};

use russh::{
    Channel, ChannelId,
    keys::{PrivateKey, ssh_key::private::Ed25519Keypair},
    server::{self, Auth, ChannelOpenHandle, Msg, Session},
};
use tokio::{net::TcpStream, sync::mpsc};

use super::session;
use crate::serveriron::{Login, device::Device};

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
        auth_rejection_time: std::time::Duration::ZERO,
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
    let running = server::run_stream(config, stream, client).await.map_err(io::Error::other)?;
    tokio::select! {
        result = running => result.map_err(io::Error::other),
        _ = end.recv() => Ok(()),
    }
}

struct Client {
    device: Arc<Device>,
    channel: Option<Channel<Msg>>,
    /// Told when the shell has ended.
    ended: mpsc::Sender<()>,
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
            // How it ended is the client's to see.
            let _ = session::ssh(device, channel.into_stream()).await;
            let _ = ended.send(()).await;
        });
        Ok(())
    }
}
