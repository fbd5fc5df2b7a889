//! The telnet protocol (RFC 854, RFC 855), as far as a box with no options
//! of its own needs it.

/// What the box says first: it echoes, and goes on without go-aheads
/// (RFC 857, RFC 858).
pub(super) const GREETING: &[u8] = &[IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD];

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;
const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;

/// Takes the protocol out of what a client sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Telnet {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After WILL, WONT, DO or DONT.
    Option(u8),
    /// Inside a subnegotiation.
    Sub,
    /// After an IAC inside of one.
    SubCommand,
}

impl Telnet {
    /// Takes a byte, gives one of text if it is, and what must be answered.
    pub(super) fn take(&mut self, byte: u8) -> (Option<u8>, Option<[u8; 3]>) {
        let mut text = None;
        let mut answer = None;
        *self = match (*self, byte) {
            (Self::Text, IAC) => Self::Command,
            (Self::Text, _) | (Self::Command, IAC) => {
                text = Some(byte);
                Self::Text
            }
            (Self::Command, WILL | WONT | DO | DONT) => Self::Option(byte),
            (Self::Command, SB) => Self::Sub,
            (Self::Sub, IAC) => Self::SubCommand,
            (Self::SubCommand, SE) | (Self::Command, _) => Self::Text,
            (Self::Sub | Self::SubCommand, _) => Self::Sub,
            (Self::Option(verb), option) => {
                answer = refuse(verb, option);
                Self::Text
            }
        };
        (text, answer)
    }
}

/// Nothing is done that was not offered. An answer to an offer has no answer,
/// so that two sides cannot go on for ever.
fn refuse(verb: u8, option: u8) -> Option<[u8; 3]> {
    match (verb, option) {
        (DO, ECHO | SUPPRESS_GO_AHEAD) => None,
        (DO, _) => Some([IAC, WONT, option]),
        (WILL, _) => Some([IAC, DONT, option]),
        _ => None,
    }
}
