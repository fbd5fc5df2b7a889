//! Messages out of a TCP stream, however it is cut.

use tokio_util::{bytes::BytesMut, codec::Decoder};

use super::{DfpError, Message, message};

/// Reads messages. After an error nothing more is to be read: nobody knows where the
/// next message begins.
#[derive(Debug, Default)]
pub struct Messages;

impl Decoder for Messages {
    type Item = Message;
    type Error = DfpError;

    fn decode(&mut self, stream: &mut BytesMut) -> Result<Option<Message>, DfpError> {
        match message::length(stream)? {
            Some(length) if length <= stream.len() => {
                Message::decode(&stream.split_to(length)).map(Some)
            }
            _ => Ok(None),
        }
    }
}
