//! Single connections, seen closely: by whom they were answered, or how and
//! how fast they were turned away.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::Host;

/// After this a connection counts as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens TCP connections from a host.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    host: &'a Host,
}

/// One try to connect.
#[derive(Debug)]
pub struct Attempt {
    pub stream: io::Result<TcpStream>,
    pub took: Duration,
}

impl Attempt {
    /// Refused by an RST.
    pub fn refused(&self) -> bool {
        self.stream.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

impl<'a> Client<'a> {
    pub fn of(host: &'a Host) -> Self {
        Self { host }
    }

    /// Tries to connect once.
    ///
    /// # Errors
    /// Only when the host's namespace cannot be entered.
    pub fn connect(&self, to: SocketAddr) -> Result<Attempt> {
        self.connect_many(to, 1).map(|mut attempts| attempts.remove(0))
    }

    /// Tries to connect `count` times, one after the other; earlier
    /// connections stay open meanwhile.
    pub fn connect_many(&self, to: SocketAddr, count: usize) -> Result<Vec<Attempt>> {
        self.host.netns().enter(|| Ok((0..count).map(|_| attempt(to)).collect()))
    }
}

fn attempt(to: SocketAddr) -> Attempt {
    let begun = Instant::now();
    let stream = TcpStream::connect_timeout(&to, PATIENCE).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    Attempt { stream, took: begun.elapsed() }
}

/// Asks the web server at the other end for its name and leaves the
/// connection open.
///
/// # Errors
/// As the connection does; `UnexpectedEof` when the server closed it.
pub fn ask_name(stream: &TcpStream) -> io::Result<String> {
    let mut writer = stream;
    writer.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((field, value)) = line.split_once(':')
            && field.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let length: usize = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let name = String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(name.trim_end().to_owned())
}
