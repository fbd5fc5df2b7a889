use std::time::Instant;

use super::{super::prompt::Mode, *};
use crate::switch::Failure;

fn lost(failure: &Failure) -> &str {
    match failure {
        Failure::Lost(why) => why,
        other => panic!("{other:?} is not a lost connection"),
    }
}

/// A command's output, wherever what comes is cut in two.
#[tokio::test]
async fn a_prompt_is_known_however_it_is_split() {
    let said = "end\r\ntelnet@iron#";
    for at in 0..said.len() {
        let pieces = [&said[..at], &said[at..]];
        let (mut screen, peer) = play(&[("end", &pieces)]);
        let (mode, lines) =
            screen.command(&host(), "end", &[&Mode::Config, &Mode::Enabled]).await.expect("ends");
        assert_eq!((mode, lines.as_slice()), (1, [].as_slice()), "cut at {at}");
        peer.await.expect("the script is played");
    }
}

/// The box says that a server is gone at every place of the answer, with and without a
/// line break after it.
#[tokio::test]
async fn a_notice_at_any_place_disturbs_nothing() {
    let said = "port http\r\ntelnet@iron(config-rs-sluice-10.0.0.1)#";
    let mode = Mode::Real("sluice-10.0.0.1".into());
    for notice in ["Server web9 successfully deleted.\r\n", "Server web9 successfully deleted."] {
        for at in 0..=said.len() {
            let pieces = [&said[..at], notice, &said[at..]];
            let (mut screen, peer) = play(&[("port http", &pieces)]);
            let (at_mode, lines) =
                screen.command(&host(), "port http", &[&mode]).await.expect("succeeds");
            assert_eq!((at_mode, lines.as_slice()), (0, [].as_slice()), "at {at}");
            // One that comes right after the prompt is read with the next answer.
            if at < said.len() {
                assert_eq!(screen.deleted, ["web9"], "at {at}");
            }
            peer.await.expect("the script is played");
        }
    }
}

#[tokio::test]
async fn a_prompt_that_a_notice_swallowed_is_asked_for() {
    let (mut screen, _peer) = play(&[
        ("end", &["end\r\nServer web9 successfully deleted."]),
        ("CR", &["\r\ntelnet@iron#"]),
        ("never", &[]),
    ]);
    let (_, lines) = screen.command(&host(), "end", &[&Mode::Enabled]).await.expect("ends");
    assert!(lines.is_empty(), "{lines:?}");
}

/// A notice in the midst of a listing may have its own line break or that of the line.
#[tokio::test]
async fn a_listing_that_a_notice_tore_is_asked_for_again() {
    let (mut screen, peer) = play(&[
        (
            "show x",
            &[
                "show x\r\n port http",
                "Server a successfully deleted.\r\n bind\r\n",
                "telnet@iron#",
            ],
        ),
        ("CR", &["\r\ntelnet@iron#"]),
        ("show x", &["show x\r\n port http\r\n bind\r\ntelnet@iron#"]),
        ("CR", &["\r\ntelnet@iron#"]),
    ]);
    let lines = screen.show(&host(), "show x", &Mode::Enabled).await.expect("whole");
    assert_eq!(lines, [" port http", " bind"]);
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn a_prompt_too_many_is_no_answer_to_the_next_command() {
    let (mut screen, peer) = play(&[
        ("weight 3", &["weight 3\r\ntelnet@iron(config)#"]),
        (
            "weight 4",
            &[
                "\r\ntelnet@iron(config)#",
                "weight 4\r\nInvalid input -> 4\r\nType ? for \
                        a list\r\ntelnet@iron(config)#",
            ],
        ),
    ]);
    let modes = [&Mode::Config];
    screen.command(&host(), "weight 3", &modes).await.expect("the first");
    let (_, lines) = screen.command(&host(), "weight 4", &modes).await.expect("the second");
    assert_eq!(lines, ["Invalid input -> 4", "Type ? for a list"]);
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn pages_are_turned_and_leave_no_trace() {
    let (mut screen, peer) = play(&[
        ("show x", &["show x\r\none\r\n--Mo", "re--, next page: Space, quit: Control-c"]),
        (" ", &["\r                                   \rtwo\r\n--More--"]),
        (" ", &["\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}        \rthree\r\ntelnet@iron#"]),
        ("CR", &["\r\ntelnet@iron#"]),
    ]);
    let lines = screen.show(&host(), "show x", &Mode::Enabled).await.expect("all pages");
    assert_eq!(lines, ["one", "two", "three"]);
    peer.await.expect("the script is played");
}

/// Names and notes that look like prompts, with the connection pausing right after them.
#[tokio::test]
async fn a_prompt_inside_of_what_is_shown_does_not_end_it() {
    let (mut screen, peer) = play(&[
        (
            "show x",
            &["show x\r\nserver virtual telnet@iron# 1.2.3.4\r\n", "banner motd\r\ntelnet@iron#"],
        ),
        ("CR", &["\r\nserver real a 1.2.3.5\r\n", "end\r\ntelnet@iron#\r\ntelnet@iron#"]),
    ]);
    let lines = screen.show(&host(), "show x", &Mode::Enabled).await.expect("all of it");
    assert_eq!(lines.last().map(String::as_str), Some("end"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "server real a 1.2.3.5"), "{lines:?}");
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn long_lines_are_echoed_in_several() {
    let command = "bind http sluice-10.0.0.1 http sluice-10.0.0.2 http";
    let (mut screen, peer) = play(&[(
        command,
        &["bind http sluice-10.0.0.1 http slui\r\nce-10.0.0.2 http\r\ntelnet@iron#"],
    )]);
    let (_, lines) = screen.command(&host(), command, &[&Mode::Enabled]).await.expect("bound");
    assert!(lines.is_empty(), "{lines:?}");
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn silence_a_hang_up_and_a_flood_end_the_connection() {
    let (mut screen, _peer) = play(&[("end", &["end\r\ntelnet@iro"]), ("never", &[])]);
    let failure = screen.command(&host(), "end", &[&Mode::Enabled]).await.expect_err("silent");
    assert!(lost(&failure).contains("no answer within"), "{failure}");

    let (mut screen, _peer) = play(&[("end", &["end\r\nSystem is going down\r\n"])]);
    let failure = screen.command(&host(), "end", &[&Mode::Enabled]).await.expect_err("it went");
    assert!(lost(&failure).contains("hung up, after `System is going down`"), "{failure}");

    let line = "x".repeat(20 << 10);
    let (mut screen, _peer) = play(&[("end", &[&line]), ("never", &[])]);
    let failure = screen.command(&host(), "end", &[&Mode::Enabled]).await.expect_err("a line");
    assert!(lost(&failure).contains("a line of more than"), "{failure}");
}

/// A peer that never stops, in lines, pages or prompts.
#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    for endless in ["telnet@iron\r\n", "x\r\n--More--", "\u{ff}\u{0}\u{7}\r\n"] {
        let (ours, mut theirs) = duplex(1 << 16);
        let flood = endless.repeat(1000);
        let peer =
            tokio::spawn(async move { while theirs.write_all(flood.as_bytes()).await.is_ok() {} });
        let mut screen = Screen::new(Box::new(Plain(ours)), PATIENCE);
        let failure =
            screen.show(&host(), "show x", &Mode::Enabled).await.expect_err("it has no end");
        let why = lost(&failure);
        let known = ["printed more than", "no answer within", "a line of more than"];
        assert!(known.iter().any(|words| why.contains(words)), "{failure}");
        drop(screen);
        peer.await.expect("it ends when nobody listens");
    }
}

/// Says the same over and over, faster than it is read, for longer than anybody listens.
struct Flood(&'static [u8], Instant);

#[async_trait]
impl Wire for Flood {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        if self.1.elapsed() < 3 * PATIENCE {
            into.extend_from_slice(self.0);
        }
        Ok(())
    }

    async fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn who_is_never_silent_is_late_all_the_same() {
    for said in [&b"port http\r\n"[..], b"\r\n--More--"] {
        let mut screen = Screen::new(Box::new(Flood(said, Instant::now())), PATIENCE / 5);
        let failure = screen.show(&host(), "show x", &Mode::Enabled).await.expect_err("endless");
        assert!(failure.to_string().contains("no answer within"), "{failure}");
    }
}
