use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::super::{
    telnet::{Filter, Telnet},
    wire::Wire as _,
};
use crate::testing::Fuzz;

/// What comes through of bytes, and what is answered, in pieces of every length.
fn filtered(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut outcomes = Vec::new();
    for size in 1..=bytes.len().max(1) {
        let (mut filter, mut text, mut answers) = (Filter::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            filter.pass(piece, &mut text, &mut answers).expect("it is no flood");
        }
        outcomes.push((text, answers));
    }
    outcomes.dedup();
    assert_eq!(outcomes.len(), 1, "pieces make a difference: {outcomes:?}");
    outcomes.remove(0)
}

#[test]
fn commands_are_taken_out_and_requests_answered() {
    let table: [(&[u8], &[u8], &[u8]); 7] = [
        (b"plain", b"plain", b""),
        // WILL ECHO, WILL SUPPRESS-GO-AHEAD: agreed, once.
        (b"\xff\xfb\x01a\xff\xfb\x03b\xff\xfb\x01", b"ab", b"\xff\xfd\x01\xff\xfd\x03"),
        // WILL STATUS: no.
        (b"\xff\xfb\x05", b"", b"\xff\xfe\x05"),
        // DO TERMINAL-TYPE, DO NAWS: no.
        (b"\xff\xfd\x18\xff\xfd\x1fx", b"x", b"\xff\xfc\x18\xff\xfc\x1f"),
        // An escaped 255, a GA, a subnegotiation with an escaped 255 in it.
        (b"a\xff\xffb\xff\xf9c\xff\xfa\x18\x01\xff\xff\xf0\xff\xf0d", b"a\xffbcd", b""),
        // WONT ECHO of what was never done: no answer.
        (b"\xff\xfc\x01", b"", b""),
        // It stops echoing: agreed.
        (b"\xff\xfb\x01\xff\xfc\x01", b"", b"\xff\xfd\x01\xff\xfe\x01"),
    ];
    for (bytes, text, answers) in table {
        assert_eq!(filtered(bytes), (text.to_vec(), answers.to_vec()), "{bytes:?}");
    }
}

#[test]
fn negotiation_without_end_is_an_error() {
    let (mut filter, mut text, mut answers) = (Filter::default(), Vec::new(), Vec::new());
    let flood = b"\xff\xfd\x18".repeat(1000);
    let error = filter.pass(&flood, &mut text, &mut answers).expect_err("a flood");
    assert!(error.to_string().contains("without end"), "{error}");
    assert!(answers.len() < 1000, "{}", answers.len());
    let (mut filter, mut answers) = (Filter::default(), Vec::new());
    let skipped = [b"\xff\xfa\x18".as_slice(), &[7; 10_000]].concat();
    let error = filter.pass(&skipped, &mut text, &mut answers).expect_err("no end");
    assert!(error.to_string().contains("subnegotiation"), "{error}");
}

#[tokio::test]
async fn answers_are_sent_and_what_is_written_is_escaped() {
    let (ours, mut theirs) = duplex(1024);
    let mut telnet = Telnet::new(ours);
    theirs.write_all(b"\xff\xfb\x01hello").await.expect("sent");
    let mut text = Vec::new();
    telnet.read(&mut text).await.expect("read");
    assert_eq!(text, b"hello");
    telnet.write(b"a\xffb\r").await.expect("written");
    let mut got = [0; 8];
    theirs.read_exact(&mut got).await.expect("read");
    assert_eq!(&got, b"\xff\xfd\x01a\xff\xffb\r");
}

/// Any bytes at all: it neither panics nor keeps more than it was given.
#[test]
fn fuzzed_telnet() {
    Fuzz::new("telnet")
        .with(b"\xff\xfb\x01login: \xff\xff".as_slice())
        .with(b"\xff\xfa\x18\x00\xff\xf0".as_slice())
        .with(b"\xff\xfd\x1f\xff\xf4".as_slice())
        .run(|bytes| {
            let (mut filter, mut text, mut answers) = (Filter::default(), Vec::new(), Vec::new());
            // What is refused is as good as what is taken.
            drop(filter.pass(bytes, &mut text, &mut answers));
            assert!(text.len() <= bytes.len() && answers.len() <= bytes.len());
        });
}
