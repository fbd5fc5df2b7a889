//! What every switch does alike, whoever made it: one suite, and a line for each
//! adapter, against the real switch or a simulation of it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `switch` | what the suite asks of a switch on trial |
//! | `site` | a switch, its manager, servers and clients |
//! | `cases` | the suite |
//! | `simulated` | clients of a switch that no packet goes through |
//! | one file for each adapter | its switch |
//!
//! They need root and the programs that `cargo xtask test conformance` sets up; without
//! feature `lab` this target does not exist.

mod cases;
mod command;
mod dfp;
mod haproxy;
mod nftables;
mod serveriron;
mod simulated;
mod site;
mod switch;
mod xdp;

/// A module of tests for each adapter: every case, on its switch.
macro_rules! lines {
    ($($line:ident: $switch:ty,)*) => { $(mod $line {
        cases! { $switch }
    })* };
}

/// Every case there is. What an adapter cannot do, its switch declares
/// ([`switch::Can`]), and the case then asks for what is to happen instead.
macro_rules! cases {
    ($switch:ty) => {
        cases! { $switch:
            bindings: an_added_server_serves, weights_are_shares, a_graceful_remove_waits,
                a_forced_remove_breaks, what_is_not_ours_stays, an_empty_table, a_full_table;
            admission: a_share_is_refused;
            forgetting: a_reboot_is_refilled, what_nobody_vouches_for_goes_after_learning,
                changes_behind_our_back_are_mended;
            trouble: a_connection_lost_within_a_delta, a_refusal_is_an_alarm_and_tried_again,
                a_silent_switch_holds_up_nobody, hostile_replies;
        }
    };
    ($switch:ty: $($room:ident: $($case:ident),*;)*) => { $($(
        #[test]
        fn $case() -> anyhow::Result<()> {
            crate::cases::$room::$case::<$switch>()
        }
    )*)* };
}

mod lines {
    lines! {
        command: crate::command::Trial,
        dfp: crate::dfp::Trial,
        haproxy: crate::haproxy::Trial,
        serveriron_cli_ssh: crate::serveriron::Trial<crate::serveriron::Ssh>,
        serveriron_cli_telnet: crate::serveriron::Trial<crate::serveriron::Telnet>,
        serveriron_snmp: crate::serveriron::Trial<crate::serveriron::Snmp>,
        nftables: crate::nftables::Trial,
        xdp: crate::xdp::Trial,
    }
}
