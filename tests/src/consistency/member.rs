//! One client of the crowd: it holds a connection, asks its server for its name
//! again and again, and begins another when that one is over.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    select,
    time::{sleep, timeout},
};

use super::{
    ledger::Flow,
    world::{How, World},
};

/// After this a connection counts as lost: several of TCP's own repeats later.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// How a connection ends that nothing has broken.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// By the client's FIN.
    Close,
    /// By the client's RST.
    Abort,
    /// By the server's FIN.
    Served,
}

/// How a member of the crowd spends its time.
#[derive(Clone, Debug)]
pub(super) struct Habit {
    /// Milliseconds between an answer and the next question.
    pause: Range<u64>,
    /// Milliseconds that a connection lasts.
    life: Range<u64>,
}

impl Habit {
    /// Of the member with this index, of a service whose connections are all
    /// brief or not; `silence` is the longest that anybody falls silent.
    pub(super) fn of(index: usize, brief: bool, silence: Duration) -> Self {
        let silence = silence.as_millis() as u64;
        let ever = u64::MAX / 2;
        match index % 20 {
            _ if brief => Self { pause: 50..500, life: 0..2_000 },
            // Silent for longer than most changes take, and for ever there.
            0..4 => Self { pause: silence / 2..silence, life: ever..ever + 1 },
            4..6 => Self { pause: silence / 2..silence, life: 20_000..60_000 },
            // Busy.
            6 => Self { pause: 20..100, life: 5_000..60_000 },
            7..10 => Self { pause: 50..500, life: 0..2_000 },
            _ => Self { pause: 500..silence.clamp(1_000, 3_000), life: 3_000..90_000 },
        }
    }
}

/// A client.
pub(super) struct Member {
    pub world: Arc<World>,
    pub rng: Rng,
    pub service: usize,
    pub habit: Habit,
    /// The port of all its connections, one after the other; else any.
    pub port: Option<u16>,
}

impl Member {
    /// Until the run is over.
    pub(super) async fn live(mut self) {
        while !self.world.is_over() {
            let now = Instant::now();
            let mut flow = Flow {
                service: self.service,
                begun: now,
                server: None,
                spoke: now,
                silent: Duration::ZERO,
            };
            if let Err(how) = self.converse(&mut flow).await {
                self.world.lost(&flow, how);
                // Not again at once where something is wrong.
                sleep(Duration::from_millis(self.rng.u64(20..200))).await;
            }
        }
    }

    /// One connection, from its first packet to its last.
    async fn converse(&mut self, flow: &mut Flow) -> Result<(), How> {
        let world = Arc::clone(&self.world);
        let vip = world.vip(self.service);
        let mut stream = patiently(connect(vip, self.port)).await?;
        let _open = world.enter();
        let life = Duration::from_millis(self.rng.u64(self.habit.life.clone()));
        let ending = self.ending();
        let mut leave = None;
        let mut over = world.over();
        loop {
            let last = world.is_over()
                || flow.begun.elapsed() >= life
                || flow.server.is_some_and(|server| world.leaves(flow, server));
            let asked = Instant::now();
            flow.silent = flow.silent.max(asked - flow.spoke);
            flow.spoke = asked;
            let goodbye = last && matches!(ending, Ending::Served);
            let server = patiently(ask(&mut stream, goodbye)).await?;
            let begun_at = *flow.server.get_or_insert(server);
            world.answered(flow, asked);
            if begun_at != server {
                return Err(How::Moved(server));
            }
            if last {
                return end(stream, ending).await;
            }
            let leave = leave.get_or_insert_with(|| world.leave(self.service, server));
            let pause = Duration::from_millis(self.rng.u64(self.habit.pause.clone()));
            select! {
                () = sleep(pause) => {}
                // Both senders are the world's, which is here.
                _ = leave.changed() => {}
                _ = over.changed() => {}
            }
        }
    }

    fn ending(&mut self) -> Ending {
        // Its own port is free again at once only where the client was not the
        // first to say FIN.
        let first = if self.port.is_some() { 1 } else { 0 };
        [Ending::Close, Ending::Abort, Ending::Served][self.rng.usize(first..3)]
    }
}

async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, How> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(How::from),
        Err(_) => Err(How::Stalled),
    }
}

async fn connect(to: SocketAddr, port: Option<u16>) -> io::Result<TcpStream> {
    let any: IpAddr =
        if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(port) = port {
        socket.set_reuseaddr(true)?;
        socket.bind((any, port).into())?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks the web server at the other end for its name; returns its number,
/// counted from 0.
async fn ask(stream: &mut TcpStream, goodbye: bool) -> io::Result<usize> {
    let question: &[u8] = if goodbye {
        b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
    } else {
        b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
    };
    stream.write_all(question).await?;
    let mut answer = [0; 512];
    let mut len = 0;
    loop {
        let more = stream.read(&mut answer[len..]).await?;
        if more == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        len += more;
        // The body is one line, and the only one that ends so.
        if let Some(number) = server_in(&answer[..len]) {
            return number.ok_or_else(|| ErrorKind::InvalidData.into());
        }
    }
}

/// The server that an answer names; `None` while it is not complete.
fn server_in(answer: &[u8]) -> Option<Option<usize>> {
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let line = answer[body..].strip_suffix(b"\n")?;
    let name = std::str::from_utf8(line).ok();
    let number = name.and_then(|name| name.strip_prefix("server-")?.parse::<usize>().ok());
    Some(number.and_then(|number| number.checked_sub(1)))
}

async fn end(mut stream: TcpStream, ending: Ending) -> Result<(), How> {
    match ending {
        Ending::Close => {}
        Ending::Abort => stream.set_zero_linger()?,
        Ending::Served => {
            let rest = patiently(async { stream.read(&mut [0; 1]).await }).await?;
            if rest != 0 {
                return Err(How::Broken(ErrorKind::InvalidData));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = b"HTTP/1.1 200 OK\r\nX-Server: server-7\r\n\r\nserver-12\n";
        assert_eq!(server_in(answer), Some(Some(11)));
        assert_eq!(server_in(&answer[..answer.len() - 1]), None);
        assert_eq!(server_in(b"HTTP/1.1 502 Bad\r\n\r\noops\n"), Some(None));
    }
}
