//! What becomes of ICMP messages.

use lb_common::abi::{Config, Reason};

use crate::{
    frame::Frame,
    parse::{
        Network, Packet,
        icmp::{self, Message},
    },
    services,
    tables::Generation,
    write,
};

/// What a message asks for.
pub enum Request {
    /// To go where the packets of its flow go.
    Follow(Packet),
    /// Nothing more: it was answered.
    Answered(u32),
}

/// Looks at a message; an error says why it goes nowhere.
#[inline(always)]
pub fn look(
    generation: Generation,
    config: &Config,
    frame: Frame,
    network: &Network,
) -> Result<Request, Reason> {
    match icmp::message(frame, network) {
        Ok(Message::Error(quote)) => {
            let packet = quote.packet(network);
            // An error is for the sender of what it quotes, or for nobody of ours.
            if packet.dst == network.dst {
                Ok(Request::Follow(packet))
            } else {
                Err(Reason::NotOurs)
            }
        }
        Ok(Message::EchoRequest) => match services::address(generation, config, network.dst) {
            Some(flags) if services::answers_echo(flags) => {
                Ok(Request::Answered(write::answer::echo(frame, network)?))
            }
            _ => Err(Reason::OtherProtocol),
        },
        Ok(Message::Other) => Err(Reason::OtherProtocol),
        Err(_) if services::address(generation, config, network.dst).is_some() => {
            Err(Reason::MalformedIcmp)
        }
        Err(_) => Err(Reason::NotOurs),
    }
}
