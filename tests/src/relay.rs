//! A cable between a manager and a device, and what can be wrong with it.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::Netns;

/// How often a thread that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Where the device is.
#[derive(Clone, Debug)]
pub enum Device {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// What is wrong with the cable.
#[derive(Clone, Default)]
pub enum Fault {
    #[default]
    None,
    /// Connections stand, and nothing passes in either direction.
    Silence,
    /// The connection by which this word comes for that many times, either way, counted
    /// over all connections from now on, is cut in the middle of it. The next is well.
    Cut { word: &'static [u8], times: usize },
    /// Somebody else answers new connections, and ends those that are open.
    Impostor(Arc<dyn Fn(TcpStream) -> io::Result<()> + Send + Sync>),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Silence => "silence",
            Self::Cut { .. } => "cut",
            Self::Impostor(_) => "impostor",
        })
    }
}

/// Takes connections for a device, and carries them there.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    netns: Netns,
    device: Device,
    fault: Mutex<Fault>,
    /// Faults so far: a connection that began under another ends.
    changes: AtomicUsize,
    cuts: AtomicUsize,
    stop: AtomicBool,
}

impl Relay {
    /// Listens on a free loopback port of a namespace.
    pub fn start(netns: &Netns, device: Device) -> Result<Self> {
        let listener = netns.enter(|| Ok(TcpListener::bind("127.0.0.1:0")?))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            netns: netns.clone(),
            device,
            fault: Mutex::default(),
            changes: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, this is wrong.
    pub fn set(&self, fault: Fault) {
        self.shared.set(fault);
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

/// A connection, of whatever kind.
trait Stream: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> io::Result<Self>;
    fn patience(&self) -> io::Result<()>;
    fn close(&self);
}

macro_rules! stream {
    ($kind:ty) => {
        impl Stream for $kind {
            fn twin(&self) -> io::Result<Self> {
                self.try_clone()
            }

            fn patience(&self) -> io::Result<()> {
                self.set_nonblocking(false)?;
                self.set_read_timeout(Some(LOOK))
            }

            fn close(&self) {
                // It may be closed already.
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}
stream!(TcpStream);
stream!(UnixStream);

impl Shared {
    fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no holder panics") = fault;
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn fault(&self) -> Fault {
        self.fault.lock().expect("no holder panics").clone()
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.stop.load(Ordering::SeqCst) {
            let Ok((near, _)) = listener.accept() else {
                thread::sleep(LOOK);
                continue;
            };
            let shared = Arc::clone(self);
            // A peer that hangs up is no failure of the cable.
            thread::spawn(move || drop(shared.carry(near)));
        }
    }

    fn carry(self: Arc<Self>, near: TcpStream) -> io::Result<()> {
        near.patience()?;
        if let Fault::Impostor(speak) = self.fault() {
            return speak(near);
        }
        match &self.device {
            Device::Unix(path) => Arc::clone(&self).between(near, UnixStream::connect(path)?),
            Device::Tcp(address) => {
                let far = self.netns.enter(|| Ok(TcpStream::connect(address)?));
                Arc::clone(&self).between(near, far.map_err(io::Error::other)?)
            }
        }
    }

    fn between<F: Stream>(self: Arc<Self>, near: TcpStream, far: F) -> io::Result<()> {
        far.patience()?;
        let (near_twin, far_twin, twin) = (near.twin()?, far.twin()?, Arc::clone(&self));
        let answers = thread::spawn(move || twin.copy(far_twin, near_twin));
        let outcome = self.copy(near, far);
        drop(answers.join());
        outcome
    }

    /// Carries one direction until an end hangs up or an impostor comes.
    fn copy(&self, mut from: impl Stream, mut to: impl Stream) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let outcome = loop {
            if self.stop.load(Ordering::SeqCst) {
                break Ok(());
            }
            match self.fault() {
                Fault::Silence => {
                    thread::sleep(LOOK);
                    continue;
                }
                Fault::Impostor(_) => break Ok(()),
                Fault::None | Fault::Cut { .. } => {}
            }
            let read = match from.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(read) => read,
                Err(error) if is_pause(&error) => continue,
                Err(error) => break Err(error),
            };
            // What came while nothing passed is not lost, as on a cable it is not.
            while matches!(self.fault(), Fault::Silence) && !self.stop.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
            }
            let passes = self.until_cut(&buffer[..read]);
            if let Err(error) = to.write_all(&buffer[..passes]) {
                break Err(error);
            }
            if passes < read {
                self.cuts.fetch_add(1, Ordering::SeqCst);
                break Ok(());
            }
        };
        from.close();
        to.close();
        outcome
    }

    /// How much of this passes before the cut.
    fn until_cut(&self, bytes: &[u8]) -> usize {
        let mut fault = self.fault.lock().expect("no holder panics");
        let Fault::Cut { word, times } = &mut *fault else { return bytes.len() };
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(word) {
                *times -= 1;
                if *times == 0 {
                    let middle = at + word.len() / 2;
                    *fault = Fault::None;
                    return middle;
                }
            }
        }
        bytes.len()
    }
}

/// The read timeout, after which the state is looked at.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
