//! Ethernet addresses and VLAN tags.

use lb_common::abi::{Backend, Reason};

use crate::frame::Frame;

/// An Ethernet address in memory order, in the widths that a store takes.
#[derive(Clone, Copy)]
pub struct Mac {
    head: u32,
    tail: u16,
}

impl From<[u8; 6]> for Mac {
    #[inline(always)]
    fn from(m: [u8; 6]) -> Self {
        Self {
            head: u32::from_ne_bytes([m[0], m[1], m[2], m[3]]),
            tail: u16::from_ne_bytes([m[4], m[5]]),
        }
    }
}

/// Writes destination and source.
#[inline(always)]
pub fn address(frame: Frame, dst: Mac, src: Mac) -> Result<(), Reason> {
    let header = frame.header::<12>(0)?;
    header.write::<u32, 0>(dst.head);
    header.write::<u16, 4>(dst.tail);
    header.write::<u32, 6>(src.head);
    header.write::<u16, 10>(src.tail);
    Ok(())
}

/// Sends the frame back to where it came from.
#[inline(always)]
pub fn turn_around(frame: Frame) -> Result<(), Reason> {
    let (dst, src) = addresses(frame)?;
    address(frame, src, dst)
}

/// Destination and source.
#[inline(always)]
fn addresses(frame: Frame) -> Result<(Mac, Mac), Reason> {
    let header = frame.header::<12>(0)?;
    Ok((
        Mac { head: header.read::<u32, 0>(), tail: header.read::<u16, 4>() },
        Mac { head: header.read::<u32, 6>(), tail: header.read::<u16, 10>() },
    ))
}

/// What stands before the IP header, to be put before another one.
#[derive(Clone, Copy)]
pub struct Link {
    dst: Mac,
    src: Mac,
    tags: [u32; 2],
    /// Its bytes, EtherType included.
    len: usize,
}

impl Link {
    /// Of a frame whose IP header is at `l3`.
    #[inline(always)]
    pub fn of(frame: Frame, l3: usize) -> Result<Self, Reason> {
        let (dst, src) = addresses(frame)?;
        let mut tags = [0; 2];
        if l3 > 14 {
            tags[0] = frame.header::<16>(0)?.read::<u32, 12>();
        }
        if l3 > 18 {
            tags[1] = frame.header::<20>(0)?.read::<u32, 16>();
        }
        Ok(Self { dst, src, tags, len: l3 })
    }

    /// The same, on the way to a backend.
    #[inline(always)]
    pub fn to(self, backend: &Backend) -> Self {
        Self { dst: backend.dst_mac.into(), src: backend.src_mac.into(), ..self }
    }

    /// The same, on the way back.
    #[inline(always)]
    pub fn turned(self) -> Self {
        Self { dst: self.src, src: self.dst, ..self }
    }

    /// Writes it at the beginning of a frame.
    #[inline(always)]
    pub fn write(self, frame: Frame, ethertype: u16) -> Result<(), Reason> {
        address(frame, self.dst, self.src)?;
        let ethertype = ethertype.to_be();
        if self.len == 14 {
            frame.header::<14>(0)?.write::<u16, 12>(ethertype);
        } else if self.len == 18 {
            let header = frame.header::<18>(0)?;
            header.write::<u32, 12>(self.tags[0]);
            header.write::<u16, 16>(ethertype);
        } else {
            let header = frame.header::<22>(0)?;
            header.write::<u32, 12>(self.tags[0]);
            header.write::<u32, 16>(self.tags[1]);
            header.write::<u16, 20>(ethertype);
        }
        Ok(())
    }
}
