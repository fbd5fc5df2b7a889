//! Rows of a packet table.

use std::fmt::Write as _;

use lb_common::abi::Reason;

use super::{Action, Exit, Packet, Program, World};

/// One frame in, and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    name: String,
    world: World,
    frame: Vec<u8>,
    headroom: bool,
    exit: Option<Exit>,
}

/// Begins a row; one of the methods below completes it.
pub fn case(name: impl Into<String>, world: &World, packet: &Packet) -> Case {
    let (name, world, frame) = (name.into(), world.clone(), packet.bytes());
    Case { name, world, frame, headroom: true, exit: None }
}

impl Case {
    /// Changes bytes of the frame on its way in, lengths and checksums included.
    pub fn mangled(mut self, mangle: impl FnOnce(&mut Vec<u8>)) -> Self {
        mangle(&mut self.frame);
        self
    }

    /// By a driver that leaves no room to put anything before the frame.
    pub fn without_headroom(mut self) -> Self {
        self.headroom = false;
        self
    }

    /// Out by the interface it came in.
    pub fn transmits(self, reason: Reason, out: &Packet) -> Self {
        self.leaves(Action::Transmit, reason, out.bytes())
    }

    /// Out by another interface.
    pub fn redirects(self, reason: Reason, out: &Packet) -> Self {
        self.leaves(Action::Redirect, reason, out.bytes())
    }

    /// To the kernel, untouched.
    pub fn passes(self, reason: Reason) -> Self {
        let frame = self.frame.clone();
        self.leaves(Action::Pass, reason, frame)
    }

    /// To the kernel, rewritten.
    pub fn passes_as(self, reason: Reason, out: &Packet) -> Self {
        self.leaves(Action::Pass, reason, out.bytes())
    }

    /// Nowhere.
    pub fn drops(self, reason: Reason) -> Self {
        let frame = self.frame.clone();
        self.leaves(Action::Drop, reason, frame)
    }

    fn leaves(mut self, action: Action, reason: Reason, frame: Vec<u8>) -> Self {
        self.exit = Some(Exit { action, reasons: vec![reason], frame });
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// For which the frame must leave.
    ///
    /// # Panics
    /// When the row does not say.
    pub fn reason(&self) -> Reason {
        self.expected().reasons[0]
    }

    fn expected(&self) -> &Exit {
        self.exit.as_ref().expect("the row says what comes of the frame")
    }

    /// Runs the frame through the program, in the row's own world.
    pub fn send(&self, program: &mut Program) -> Exit {
        program.commit(&self.world);
        if self.headroom {
            program.send(&self.frame)
        } else {
            program.send_without_headroom(&self.frame)
        }
    }

    /// What went otherwise than it must, for people.
    fn run(&self, program: &mut Program) -> Option<String> {
        let expected = self.expected();
        let seen = self.send(program);
        if seen == *expected {
            return None;
        }
        let mut text = format!("{}\n  in       {}\n", self.name, hex(&self.frame, None));
        for (who, exit) in [("expected", expected), ("seen    ", &seen)] {
            let reasons: Vec<_> = exit.reasons.iter().map(|reason| reason.name()).collect();
            let other = if who == "seen    " { &expected.frame } else { &seen.frame };
            let _ = writeln!(
                text,
                "  {who} {:?}, {}\n           {}",
                exit.action,
                reasons.join(" and "),
                hex(&exit.frame, Some(other))
            );
        }
        Some(text)
    }
}

/// Hex digits, with `*` before each byte that differs from `other`.
fn hex(frame: &[u8], other: Option<&[u8]>) -> String {
    frame
        .iter()
        .enumerate()
        .map(|(i, byte)| {
            let differs = other.is_some_and(|other| other.get(i) != Some(byte));
            format!("{}{byte:02x}", if differs { '*' } else { ' ' })
        })
        .collect()
}

/// Runs every row in a world of its own.
///
/// # Panics
/// With all rows that went otherwise.
#[track_caller]
pub fn check(cases: impl IntoIterator<Item = Case>) {
    let mut program = Program::load().expect("the program loads");
    let failures = cases.into_iter().filter_map(|case| {
        program.forget();
        case.run(&mut program)
    });
    report(failures.collect());
}

/// Runs rows one after another, as a story: what one leaves behind, the next
/// one finds. A row's world is committed before its frame is sent.
///
/// # Panics
/// With all rows that went otherwise.
#[track_caller]
pub fn play(program: &mut Program, cases: impl IntoIterator<Item = Case>) {
    report(cases.into_iter().filter_map(|case| case.run(program)).collect());
}

#[track_caller]
fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} rows failed:\n\n{}", failures.len(), failures.join("\n"));
}
