//! Many long-lived connections, each of which remembers who answered it first.

use std::{
    fmt,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Client, Spread, ask_name};

/// Open connections that are kept busy.
#[derive(Debug, Default)]
pub struct Crowd {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    stream: TcpStream,
    server: String,
}

/// What a [`Crowd`] went through. A broken connection leaves it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Answers from the server that answered first.
    pub answers: u64,
    /// Connections lost, by the server that had answered.
    pub broken: Vec<Broken>,
    /// Connections answered by another server than before.
    pub moved: Vec<String>,
}

/// A lost connection.
#[derive(Clone, Debug)]
pub struct Broken {
    pub server: String,
    pub error: std::io::ErrorKind,
}

impl Report {
    /// Fails unless every connection was answered by its own server each time.
    pub fn untouched(&self) -> Result<()> {
        ensure!(self.answers > 0, "no connection asked anything");
        ensure!(self.broken.is_empty() && self.moved.is_empty(), "{self}");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers, {} connections broken, {} moved",
            self.answers,
            self.broken.len(),
            self.moved.len()
        )?;
        if let Some(first) = self.broken.first() {
            write!(f, "; first broken: {} on {}", first.error, first.server)?;
        }
        if let Some(first) = self.moved.first() {
            write!(f, "; first moved: {first}")?;
        }
        Ok(())
    }
}

impl Crowd {
    /// Opens `count` connections and has each of them answered once.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn gather(client: Client<'_>, to: SocketAddr, count: usize) -> Result<Self> {
        let mut members = Vec::with_capacity(count);
        for attempt in client.connect_many(to, count)? {
            let stream = attempt.stream.with_context(|| format!("connecting to {to}"))?;
            let server = ask_name(&stream).with_context(|| format!("asking {to} for its name"))?;
            members.push(Member { stream, server });
        }
        Ok(Self { members })
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Connections by server.
    pub fn spread(&self) -> Spread {
        self.members.iter().map(|member| member.server.clone()).collect()
    }

    /// Takes `other`'s connections in.
    pub fn join(&mut self, other: Self) {
        self.members.extend(other.members);
    }

    /// Has every connection ask once more.
    pub fn ask(&mut self) -> Report {
        let mut report = Report::default();
        self.members.retain_mut(|member| match ask_name(&member.stream) {
            Ok(name) if name == member.server => {
                report.answers += 1;
                true
            }
            Ok(name) => {
                report.moved.push(format!("from {} to {name}", member.server));
                true
            }
            Err(error) => {
                report.broken.push(Broken { server: member.server.clone(), error: error.kind() });
                false
            }
        });
        report
    }

    /// Has them ask without pause, in the background, until
    /// [`Asking::stop`].
    pub fn keep_asking(mut self) -> Asking {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut total = Report::default();
            while !seen.load(Ordering::Relaxed) {
                let round = self.ask();
                total.answers += round.answers;
                total.broken.extend(round.broken);
                total.moved.extend(round.moved);
            }
            (self, total)
        });
        Asking { stop, thread }
    }
}

/// A [`Crowd`] that asks in the background.
#[derive(Debug)]
pub struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Crowd, Report)>,
}

impl Asking {
    /// Ends the asking; gives the connections back with what they went through.
    pub fn stop(self) -> (Crowd, Report) {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
