//! Brief conversations: so many at once, and each for so long.

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What a listener's clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// One of them, for the log: `"a monitor"`.
    pub who: &'static str,
    /// Connections that there can be; others wait in the kernel.
    pub most: usize,
    /// How long one may take, from its first byte to its last.
    pub patience: Duration,
}

impl Brief {
    /// Gives each connection to `converse`, until `stop`. When the kernel gives it
    /// none, it waits and tries again.
    pub async fn serve<F>(
        self,
        listener: TcpListener,
        converse: impl Fn(TcpStream) -> F,
        stop: CancellationToken,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { who, most, patience } = self;
        let room = Arc::new(Semaphore::new(most));
        loop {
            let next = async {
                let place = Arc::clone(&room).acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("{who}'s connection could not be taken: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (conversation, stop) = (converse(stream), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    outcome = timeout(patience, conversation) => {
                        if outcome.is_err() {
                            tracing::debug!("{who} took longer than {patience:?}");
                        }
                    }
                }
                drop(place);
            });
        }
    }
}
