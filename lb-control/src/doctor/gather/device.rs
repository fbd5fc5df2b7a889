//! What drivers are set to: offloads and queues (ethtool), and what they can do
//! with XDP.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use ethtool::{EthtoolAttr, EthtoolChannelAttr, EthtoolFeatureAttr, EthtoolHeader};
use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, NlasIterator,
    ParseableParametrized, parse_u32, parse_u64,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use tokio_stream::StreamExt as _;

use crate::doctor::facts::Channels;

/// By interface index. What a kernel or driver does not tell is not there.
#[derive(Debug, Default)]
pub(super) struct Devices {
    pub features: BTreeMap<u32, BTreeSet<String>>,
    pub channels: BTreeMap<u32, Channels>,
    pub xdp: BTreeMap<u32, u64>,
}

impl Devices {
    pub(super) async fn read() -> Self {
        let mut devices = Self::default();
        if let Ok((connection, mut handle, _)) = ethtool::new_connection() {
            let connection = tokio::spawn(connection);
            if let Ok(replies) = handle.feature().get(None).execute().await {
                let mut replies = pin!(replies);
                while let Some(Ok(reply)) = replies.next().await {
                    devices.features.extend(features(&reply.payload.nlas));
                }
            }
            if let Ok(replies) = handle.channel().get(None).execute().await {
                let mut replies = pin!(replies);
                while let Some(Ok(reply)) = replies.next().await {
                    devices.channels.extend(channels(&reply.payload.nlas));
                }
            }
            connection.abort();
        }
        let indices: Vec<u32> = devices.features.keys().copied().collect();
        devices.xdp = xdp(&indices).await.unwrap_or_default();
        devices
    }
}

fn index(headers: &[EthtoolHeader]) -> Option<u32> {
    headers.iter().find_map(|header| match header {
        EthtoolHeader::DevIndex(index) => Some(*index),
        _ => None,
    })
}

fn features(attributes: &[EthtoolAttr]) -> Option<(u32, BTreeSet<String>)> {
    let (mut device, mut active) = (None, BTreeSet::new());
    for attribute in attributes {
        match attribute {
            EthtoolAttr::Feature(EthtoolFeatureAttr::Header(headers)) => device = index(headers),
            EthtoolAttr::Feature(EthtoolFeatureAttr::Active(bits)) => {
                active.extend(bits.iter().filter(|bit| bit.value).map(|bit| bit.name.clone()));
            }
            _ => {}
        }
    }
    Some((device?, active))
}

fn channels(attributes: &[EthtoolAttr]) -> Option<(u32, Channels)> {
    let (mut device, mut rx, mut combined) = (None, [0, 0], [0, 0]);
    for attribute in attributes {
        let EthtoolAttr::Channel(attribute) = attribute else { continue };
        match attribute {
            EthtoolChannelAttr::Header(headers) => device = index(headers),
            EthtoolChannelAttr::RxCount(count) => rx[0] = *count,
            EthtoolChannelAttr::RxMax(most) => rx[1] = *most,
            EthtoolChannelAttr::CombinedCount(count) => combined[0] = *count,
            EthtoolChannelAttr::CombinedMax(most) => combined[1] = *most,
            _ => {}
        }
    }
    // Queues are either combined or apart; what a driver has none of is 0.
    let [now, most] = if combined[1] > 0 { combined } else { rx };
    Some((device?, Channels { now, most, combined: combined[1] > 0 }))
}

/// What these devices can do with XDP, where the kernel tells (Linux 6.3). Each
/// is asked for: answers to a question for all do not say that they are many,
/// and only the first would be heard.
async fn xdp(indices: &[u32]) -> Option<BTreeMap<u32, u64>> {
    let (connection, mut handle, _) = genetlink::new_connection().ok()?;
    let connection = tokio::spawn(connection);
    let mut found = BTreeMap::new();
    for &ifindex in indices {
        let question = Netdev { ifindex, ..Netdev::default() };
        let mut request = NetlinkMessage::from(GenlMessage::from_payload(question));
        request.header.flags = NLM_F_REQUEST;
        // An older kernel has no such family.
        let Ok(replies) = handle.request(request).await else { break };
        let mut replies = pin!(replies);
        while let Some(Ok(reply)) = replies.next().await {
            if let NetlinkPayload::InnerMessage(reply) = reply.payload {
                found.insert(reply.payload.ifindex, reply.payload.xdp_features);
            }
        }
    }
    connection.abort();
    Some(found)
}

/// A message of the kernel's family `netdev`: the part of it that counts here
/// (linux/netdev.h). As a request it asks for the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Netdev {
    ifindex: u32,
    xdp_features: u64,
}

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

impl GenlFamily for Netdev {
    fn family_name() -> &'static str {
        "netdev"
    }

    fn command(&self) -> u8 {
        NETDEV_CMD_DEV_GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Netdev {
    fn buffer_len(&self) -> usize {
        8
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..2].copy_from_slice(&8u16.to_ne_bytes());
        buffer[2..4].copy_from_slice(&NETDEV_A_DEV_IFINDEX.to_ne_bytes());
        buffer[4..8].copy_from_slice(&self.ifindex.to_ne_bytes());
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Netdev {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        for attribute in NlasIterator::new(bytes) {
            let attribute = attribute?;
            match attribute.kind() {
                NETDEV_A_DEV_IFINDEX => found.ifindex = parse_u32(attribute.value())?,
                NETDEV_A_DEV_XDP_FEATURES => found.xdp_features = parse_u64(attribute.value())?,
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use ethtool::EthtoolFeatureBit;

    use super::*;

    #[test]
    fn active_features_are_taken() {
        let bit = |name: &str, value| EthtoolFeatureBit { index: 1, name: name.to_owned(), value };
        let attributes = [
            EthtoolFeatureAttr::Header(vec![EthtoolHeader::DevIndex(7)]),
            EthtoolFeatureAttr::Wanted(vec![bit("rx-gro-hw", true)]),
            EthtoolFeatureAttr::Active(vec![bit("rx-lro", true), bit("rx-gro", false)]),
        ];
        let found = features(&attributes.map(EthtoolAttr::Feature)).unwrap();
        assert_eq!(found, (7, BTreeSet::from(["rx-lro".to_owned()])));
        assert_eq!(features(&[]), None);
    }

    #[test]
    fn queues_are_combined_or_apart() {
        use EthtoolChannelAttr::{CombinedCount, CombinedMax, Header, RxCount, RxMax};
        let of = |rest: Vec<EthtoolChannelAttr>| {
            let header = Header(vec![EthtoolHeader::DevIndex(7)]);
            let all: Vec<_> =
                std::iter::once(header).chain(rest).map(EthtoolAttr::Channel).collect();
            channels(&all).unwrap().1
        };
        let nic = of(vec![RxMax(0), CombinedMax(8), CombinedCount(4)]);
        assert_eq!(nic, Channels { now: 4, most: 8, combined: true });
        let veth = of(vec![RxMax(2), RxCount(1)]);
        assert_eq!(veth, Channels { now: 1, most: 2, combined: false });
    }

    #[test]
    fn what_a_device_can_do_is_read() {
        let mut bytes = vec![0; 8];
        Netdev { ifindex: 5, xdp_features: 0 }.emit(&mut bytes);
        bytes.extend([12, 0, 3, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let header = GenlHeader { cmd: NETDEV_CMD_DEV_GET, version: 1 };
        let parse = |bytes: &[u8]| Netdev::parse_with_param(bytes, header);
        assert_eq!(parse(&bytes).unwrap(), Netdev { ifindex: 5, xdp_features: 7 });
        assert!(parse(&bytes[..14]).is_err());
        assert!(parse(&[8, 0, 3, 0, 1, 0, 0, 0]).is_err());
    }

    #[test]
    fn fuzzed_devices() {
        let mut bytes = vec![0; 8];
        Netdev { ifindex: 5, xdp_features: 0 }.emit(&mut bytes);
        bytes.extend([12, 0, 3, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let header = GenlHeader { cmd: NETDEV_CMD_DEV_GET, version: 1 };
        crate::testing::Fuzz::new("netdev").with(bytes).run(|bytes| {
            drop(Netdev::parse_with_param(bytes, header));
        });
    }
}
