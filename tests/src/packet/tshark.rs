//! A second opinion on checksums: tshark's, which shares no line with ours.

use std::{fs, iter};

use anyhow::{Context as _, Result, ensure};

/// Judged, and found to be right.
const GOOD: &str = "1";
/// UDP that has none (RFC 768; over IPv6, RFC 6935).
const ABSENT: &str = "3";

/// What tshark is asked of each frame. It has no checksum of IPv6's header to
/// judge, and sees a `tcp` or `udp` also where it is only quoted.
const FIELDS: [&str; 7] = [
    "frame.protocols",
    "ip.hdr_len",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];

/// For each frame, what is wrong with its checksums: those of every header,
/// tunnels' included, and of quoted IPv4 headers. What else an ICMP error
/// quotes may be cut short, and is left out.
///
/// # Errors
/// When tshark cannot be run.
pub fn wrong_checksums(frames: &[Vec<u8>]) -> Result<Vec<Option<String>>> {
    let directory = tempfile::tempdir()?;
    let capture = directory.path().join("frames.pcap");
    fs::write(&capture, pcap(frames))?;
    let mut arguments = vec!["-r", capture.to_str().context("a path in UTF-8")?];
    for option in [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "udp.ignore_ipv6_zero_checksum:TRUE",
    ] {
        arguments.extend(["-o", option]);
    }
    // GUE of variant 1: IP of either version.
    arguments.extend(["-d", "udp.port==6080,ip", "-T", "fields", "-E", "separator=|"]);
    arguments.extend(FIELDS.iter().flat_map(|field| ["-e", field]));
    let told = crate::command::run("tshark", &arguments)?.stdout()?;
    let lines: Vec<_> = told.lines().map(judge).collect();
    ensure!(lines.len() == frames.len(), "tshark told of {} frames", lines.len());
    Ok(lines)
}

/// Of one line of [`FIELDS`]: what is wrong.
fn judge(line: &str) -> Option<String> {
    let fields: Vec<Vec<&str>> = line.split('|').map(|field| field.split(',').collect()).collect();
    let [protocols, headers, ip, tcp, udp, icmp, icmpv6] = &fields[..] else {
        return Some(format!("tshark says `{line}`"));
    };
    let layers: Vec<&str> = protocols[0].split(':').collect();
    let (outside, quoted) = match layers.iter().position(|layer| layer.starts_with("icmp")) {
        Some(message) => layers.split_at(message),
        None => (&layers[..], &[][..]),
    };
    let count = |of: &[&str], name| of.iter().filter(|layer| **layer == name).count();
    let wrong = |statuses: &[&str], count: usize, absent: bool| {
        let right = |status: &&str| *status == GOOD || absent && *status == ABSENT;
        statuses.iter().take(count).filter(|status| right(status)).count() != count
    };
    let headers = headers.iter().filter(|length| !length.is_empty()).count();
    let all = [
        ("IPv4", wrong(ip, headers, false)),
        ("TCP", wrong(tcp, count(outside, "tcp"), false)),
        ("UDP", wrong(udp, count(outside, "udp"), true)),
        ("ICMP", wrong(icmp, count(quoted, "icmp"), false)),
        ("ICMPv6", wrong(icmpv6, count(quoted, "icmpv6"), false)),
    ];
    let names: Vec<_> = all.iter().filter(|(_, wrong)| *wrong).map(|(name, _)| *name).collect();
    let known = headers + count(&layers, "ipv6") != 0;
    (!names.is_empty() || !known).then(|| format!("{}: tshark says `{line}`", names.join(", ")))
}

/// A capture file (draft-ietf-opsawg-pcap-06): a header of the file, then a
/// header and the bytes of each frame.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const VERSION_2_4: u32 = 2 | 4 << 16;
    const ETHERNET: u32 = 1;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let file: Vec<u8> = words(&[MAGIC, VERSION_2_4, 0, 0, u16::MAX.into(), ETHERNET]);
    let frame = |frame: &Vec<u8>| {
        let length = frame.len() as u32;
        let mut record: Vec<u8> = words(&[0, 0, length, length]);
        record.extend(frame);
        record
    };
    iter::once(file).chain(frames.iter().map(frame)).flatten().collect()
}
