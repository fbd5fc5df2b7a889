//! One client's terminal: lines with an echo, prompts, pages, and messages
//! that break into all of these.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::broadcast::{Receiver, error::RecvError},
    time::sleep,
};

use super::telnet::Telnet;
use crate::serveriron::device::Device;

/// Longer lines lose their end.
const MAX_LINE: usize = 1024;
/// How the box hides a password, whatever its length.
const HIDDEN: &str = "*****";
const MORE: &str = "--More--, next page: Space, next line: Return key, quit: Control-c";
/// How often a box that hangs looks whether it still does.
const HANG_POLL: Duration = Duration::from_millis(5);

/// What can be read and written.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What a line's letters look like while they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    Letters,
    Hidden,
}

/// What a line ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Entered(String),
    /// `?` after this much of one.
    Help(String),
}

pub(super) struct Terminal<S> {
    stream: S,
    device: Arc<Device>,
    telnet: Option<Telnet>,
    input: VecDeque<u8>,
    /// Of letters that were typed in one go.
    echo: Vec<u8>,
    after_return: bool,
    messages: Option<Receiver<String>>,
    random: fastrand::Rng,
}

impl<S: Stream> Terminal<S> {
    pub(super) fn new(stream: S, device: Arc<Device>, telnet: bool) -> Self {
        let random = fastrand::Rng::with_seed(device.options.seed);
        Self {
            stream,
            device,
            telnet: telnet.then(Telnet::default),
            input: VecDeque::new(),
            echo: Vec::new(),
            after_return: false,
            messages: None,
            random,
        }
    }

    /// From now on, asynchronous messages break in.
    pub(super) fn listen(&mut self) {
        self.messages = Some(self.device.listen());
    }

    /// Writes text whose lines end in `\n`.
    pub(super) async fn say(&mut self, text: &str) -> io::Result<()> {
        self.raw(text.replace('\n', "\r\n").as_bytes()).await
    }

    /// Writes bytes as they are.
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.echo);
        all.extend_from_slice(bytes);
        self.stream.write_all(&all).await?;
        self.stream.flush().await
    }

    /// Writes text page by page.
    pub(super) async fn page(&mut self, text: &str) -> io::Result<()> {
        let page = self.device.options.page_lines.saturating_sub(1).max(1);
        let mut room = page;
        for line in text.split_inclusive('\n') {
            if room == 0 {
                self.say(MORE).await?;
                let answer = loop {
                    let answer = self.byte().await?;
                    if matches!(answer, b' ' | b'\r' | b'\n' | b'q' | 0x03) {
                        break answer;
                    }
                };
                self.after_return = answer == b'\r';
                self.say(&format!("\r{:width$}\r", "", width = MORE.len())).await?;
                room = match answer {
                    b' ' => page,
                    b'\r' | b'\n' => 1,
                    _ => return Ok(()),
                };
            }
            self.say(line).await?;
            room -= 1;
        }
        Ok(())
    }

    /// Writes a prompt. Messages that wait get into the midst of it.
    pub(super) async fn prompt(&mut self, prompt: &str) -> io::Result<()> {
        let mut bytes = prompt.as_bytes().to_vec();
        if let Some(messages) = &mut self.messages {
            while let Ok(message) = messages.try_recv() {
                let at = self.random.usize(0..=bytes.len());
                bytes.splice(at..at, format!("{message}\r\n").into_bytes());
            }
        }
        self.raw(&bytes).await
    }

    /// Reads a line.
    pub(super) async fn line(&mut self, echo: Echo) -> io::Result<Line> {
        self.edit(String::new(), echo).await
    }

    /// Reads on in a line of which there is some.
    pub(super) async fn edit(&mut self, typed: String, echo: Echo) -> io::Result<Line> {
        let mut line = typed;
        loop {
            let byte = self.byte().await?;
            let quoted = line.matches('"').count() % 2 == 1;
            match byte {
                b'\r' | b'\n' => {
                    self.after_return = byte == b'\r';
                    let hidden = if echo == Echo::Hidden { HIDDEN } else { "" };
                    self.say(&format!("{hidden}\n")).await?;
                    return Ok(Line::Entered(line));
                }
                // Control-C, Control-U, Control-Z
                0x03 | 0x15 | 0x1a => {
                    self.say("\n").await?;
                    return Ok(Line::Entered(String::new()));
                }
                0x08 | 0x7f => {
                    let erased = line.pop().is_some() && echo == Echo::Letters;
                    self.say(if erased { "\u{8} \u{8}" } else { "" }).await?;
                }
                b'?' if echo == Echo::Letters && !quoted => {
                    self.say("?\n").await?;
                    return Ok(Line::Help(line));
                }
                b' '..=b'~' if line.len() < MAX_LINE => {
                    line.push(char::from(byte));
                    if echo == Echo::Letters {
                        self.echo.push(byte);
                    }
                }
                _ => {}
            }
        }
    }

    /// Waits while the box hangs, and forgets what was said meanwhile.
    pub(super) async fn wait_out_hang(&mut self) {
        while self.device.faults().hang {
            sleep(HANG_POLL).await;
            self.input.clear();
        }
    }

    /// The next byte of text. Meanwhile, messages come when they like.
    async fn byte(&mut self) -> io::Result<u8> {
        loop {
            if let Some(byte) = self.input.pop_front() {
                let half = std::mem::take(&mut self.after_return);
                // RFC 854: a return is followed by a line feed or a NUL.
                if half && matches!(byte, b'\n' | 0) {
                    continue;
                }
                return Ok(byte);
            }
            if !self.echo.is_empty() {
                self.raw(&[]).await?;
            }
            let mut chunk = [0; 1024];
            tokio::select! {
                read = self.stream.read(&mut chunk) => {
                    let length = read?;
                    if length == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let heard = chunk.get(..length).unwrap_or_default();
                    self.hear(heard).await?;
                }
                message = next(&mut self.messages) => {
                    self.raw(format!("{message}\r\n").as_bytes()).await?;
                }
            }
        }
    }

    async fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.device.faults().hang {
            return Ok(());
        }
        for &byte in bytes {
            let (text, answer) = match &mut self.telnet {
                Some(telnet) => telnet.take(byte),
                None => (Some(byte), None),
            };
            self.input.extend(text);
            if let Some(answer) = answer {
                self.raw(&answer).await?;
            }
        }
        Ok(())
    }
}

/// The next message; never, for who does not listen.
async fn next(messages: &mut Option<Receiver<String>>) -> String {
    let Some(messages) = messages else { return std::future::pending().await };
    loop {
        match messages.recv().await {
            Ok(message) => return message,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
