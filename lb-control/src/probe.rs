//! Whether a TCP port takes connections: what the manager asks of backends, and
//! an edge where no packet of its own is needed to ask.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

/// Connections that probes of this process may have under way together.
const AT_ONCE: usize = 512;
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// Whether a backend takes a TCP connection in time; the cause if not.
pub(crate) async fn connect(backend: SocketAddr, within: Duration) -> Result<(), String> {
    let _turn = TURNS.acquire().await;
    match timeout(within, TcpStream::connect(backend)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err("connection refused".to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {within:?}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_healthy_and_a_closed_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(connect(address, second).await, Ok(()));
        drop(listener);
        assert_eq!(connect(address, second).await, Err("connection refused".to_owned()));
    }
}
