//! The manager's sockets: TCP for other hosts, a unix socket for this one.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};

use super::{
    control::Control,
    engine::Handle,
    sessions::{Agents, Door, Edges},
};
use crate::{
    config::Settings,
    core::Input,
    proto::{
        MAX_DECLARATION, MAX_SWITCH_MESSAGE,
        v1::{
            agents_server::AgentsServer, control_server::ControlServer, edges_server::EdgesServer,
        },
    },
    transport::{self, unix},
};

/// The largest message of an agent, in bytes.
const MESSAGE: usize = 1 << 20;
/// The largest message of a command line, in bytes: a declaration.
const COMMAND: usize = MAX_DECLARATION + 4096;
/// A peer that is silent for this long is asked whether it is there, and is
/// gone when it does not answer for as long again.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Calls that one connection may have open.
const CALLS: u32 = 1024;

/// Open sockets that nobody serves yet.
pub(super) struct Listeners {
    tcp: TcpListener,
    unix: UnixListener,
    socket: unix::SocketFile,
}

impl Listeners {
    /// Opens both sockets.
    ///
    /// # Errors
    /// The address is not safe to listen on, or another manager is running.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let listen = settings.manager.listen;
        ensure!(
            listen.ip().is_loopback() || settings.tls.is_some() || settings.manager.insecure,
            "manager.listen = \"{listen}\" would let anybody who reaches it change the configuration: give [tls], \
             listen on a loopback address, or set `insecure = true`"
        );
        let socket = &settings.manager.socket;
        let (unix, socket) = unix::listen(socket, "manager.socket", 0o660)?;
        let tcp = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}, which is `manager.listen`"))?;
        Ok(Self { tcp, unix, socket })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves both until `stop`.
    pub(super) fn serve(
        self,
        handle: &Handle,
        settings: &Settings,
        stop: &CancellationToken,
        tasks: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let server = || {
            Server::builder()
                .http2_keepalive_interval(Some(KEEPALIVE))
                .http2_keepalive_timeout(Some(KEEPALIVE))
                .max_concurrent_streams(CALLS)
        };
        let rate = settings.manager.limits.messages_per_second;
        let agents = |door| {
            AgentsServer::new(Agents::new(handle.clone(), door, rate))
                .max_decoding_message_size(MESSAGE)
        };
        let control = |door| {
            ControlServer::new(Control::new(handle.clone(), door))
                .max_decoding_message_size(COMMAND)
        };
        let edges = EdgesServer::new(Edges::new(handle.clone(), rate))
            .max_decoding_message_size(MAX_SWITCH_MESSAGE)
            .max_encoding_message_size(MAX_SWITCH_MESSAGE);

        let remote = server()
            .add_service(agents(Door::Network))
            .add_service(edges)
            .add_service(control(Door::Network));
        let stopped = stop.clone().cancelled_owned();
        let failed = "the server on `manager.listen` failed";
        if let Some(tls) = &settings.tls {
            let acceptor = transport::acceptor(tls)?;
            let strangers = strangers(handle.clone());
            let incoming = transport::accept(self.tcp, acceptor, strangers, stop.clone());
            let remote = remote.serve_with_incoming_shutdown(incoming, stopped);
            tasks.spawn(async move { remote.await.context(failed) });
        } else {
            let incoming = TcpIncoming::from(self.tcp).with_nodelay(Some(true));
            let remote = remote.serve_with_incoming_shutdown(incoming, stopped);
            tasks.spawn(async move { remote.await.context(failed) });
        }

        let local = server()
            .add_service(agents(Door::Local))
            .add_service(control(Door::Local))
            .serve_with_incoming_shutdown(
                UnixListenerStream::new(self.unix),
                stop.clone().cancelled_owned(),
            );
        let socket = self.socket;
        tasks.spawn(async move {
            let _socket = socket;
            local.await.context("the server on `manager.socket` failed")
        });
        Ok(())
    }
}

/// Tells the core of those whom TLS refuses.
fn strangers(handle: Handle) -> impl Fn(SocketAddr, String) + Clone {
    move |from, reason| {
        let handle = handle.clone();
        let source = from.ip().to_canonical();
        tokio::spawn(async move { handle.input(Input::Stranger { source, reason }).await });
    }
}
