//! Telnet (RFC 854), as much of it as a command line needs: the other side may echo
//! (RFC 857) and suppress go-aheads (RFC 858), and nothing else is agreed on.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::wire::{CHUNK, Wire};

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;

/// Requests that are answered in a session: two sides that disagree could go on for
/// ever.
const ANSWERS: usize = 256;
/// The longest subnegotiation that is skipped.
const SUBNEGOTIATION: usize = 4096;

/// A telnet connection.
pub(super) struct Telnet<S> {
    stream: S,
    filter: Filter,
    /// Answers that were not sent yet.
    answers: Vec<u8>,
}

impl<S> Telnet<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, filter: Filter::default(), answers: Vec::new() }
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for Telnet<S> {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let before = into.len();
        loop {
            self.answer().await?;
            let mut chunk = [0; CHUNK];
            let count = self.stream.read(&mut chunk).await?;
            self.filter.pass(&chunk[..count], into, &mut self.answers)?;
            if count == 0 || into.len() > before {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.answer().await?;
        let mut escaped = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            escaped.extend(std::iter::repeat_n(byte, if byte == IAC { 2 } else { 1 }));
        }
        self.stream.write_all(&escaped).await?;
        self.stream.flush().await
    }
}

impl<S: AsyncWrite + Unpin> Telnet<S> {
    async fn answer(&mut self) -> io::Result<()> {
        while !self.answers.is_empty() {
            let count = self.stream.write(&self.answers).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.answers.drain(..count);
        }
        self.stream.flush().await
    }
}

/// Takes commands out of what comes.
#[derive(Default)]
pub(super) struct Filter {
    state: State,
    answered: usize,
    /// What the other side does, of options that we like.
    does: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    Command,
    /// WILL, WONT, DO or DONT, and now the option.
    Option(u8),
    /// In a subnegotiation of so many bytes, after an IAC or not.
    Skip(usize, bool),
}

impl Filter {
    /// Adds text to `text`, and answers to requests to `answers`.
    ///
    /// # Errors
    /// Where the other side does nothing but negotiate.
    pub fn pass(
        &mut self,
        bytes: &[u8],
        text: &mut Vec<u8>,
        answers: &mut Vec<u8>,
    ) -> io::Result<()> {
        for &byte in bytes {
            self.state = match self.state {
                State::Text if byte == IAC => State::Command,
                State::Text => {
                    text.push(byte);
                    State::Text
                }
                State::Command => match byte {
                    WILL | WONT | DO | DONT => State::Option(byte),
                    SB => State::Skip(0, false),
                    IAC => {
                        text.push(IAC);
                        State::Text
                    }
                    _ => State::Text,
                },
                State::Option(verb) => {
                    self.option(verb, byte, answers)?;
                    State::Text
                }
                State::Skip(_, true) if byte == SE => State::Text,
                State::Skip(SUBNEGOTIATION, _) => {
                    return Err(io::Error::other("a telnet subnegotiation has no end"));
                }
                State::Skip(length, after) => State::Skip(length + 1, byte == IAC && !after),
            };
        }
        Ok(())
    }

    /// A refusal is answered to every request; an agreement only where it is news
    /// (RFC 1143).
    fn option(&mut self, verb: u8, option: u8, answers: &mut Vec<u8>) -> io::Result<()> {
        let liked = matches!(option, ECHO | SUPPRESS_GO_AHEAD);
        let does = self.does.contains(&option);
        let answer = match verb {
            WILL if liked && does => return Ok(()),
            WILL if liked => {
                self.does.push(option);
                DO
            }
            WILL => DONT,
            WONT if does => {
                self.does.retain(|other| *other != option);
                DONT
            }
            DO => WONT,
            _ => return Ok(()),
        };
        self.answered += 1;
        if self.answered > ANSWERS {
            return Err(io::Error::other("it negotiates telnet options without end"));
        }
        answers.extend([IAC, answer, option]);
        Ok(())
    }
}
