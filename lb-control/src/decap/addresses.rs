//! Which addresses of this host are VIPs.

use std::{collections::BTreeSet, net::IpAddr, pin::pin};

use anyhow::Context as _;
use netlink_packet_route::address::AddressAttribute;
use tokio_stream::StreamExt as _;

/// The loopback interface's index, in every network namespace.
const LOOPBACK: u32 = 1;

/// Addresses of the loopback interface that are not loopback addresses: in
/// modes with direct server return that is where a server has its VIPs.
///
/// # Errors
/// Of netlink.
pub(super) async fn vips() -> anyhow::Result<BTreeSet<IpAddr>> {
    let (connection, handle, _) =
        rtnetlink::new_connection().context("no netlink connection, so VIPs cannot be read")?;
    let connection = tokio::spawn(connection);
    let mut found = BTreeSet::new();
    {
        let mut addresses = pin!(handle.address().get().execute());
        while let Some(message) = addresses.next().await {
            let message = message.context("reading the addresses of interface lo")?;
            if message.header.index != LOOPBACK {
                continue;
            }
            found.extend(message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(ip) => Some(*ip),
                _ => None,
            }));
            // IPv6 has no local address apart from the interface's.
            found.extend(message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(ip @ IpAddr::V6(_)) => Some(*ip),
                _ => None,
            }));
        }
    }
    connection.abort();
    found.retain(|ip| !ip.is_loopback());
    Ok(found)
}
