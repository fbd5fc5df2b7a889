//! Lost connections, refusals, full tables, others who write too, and hostile answers.

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::serveriron::{Binding, Faults, Hostile, Limits, Lost, Options};
use lb_control::switch::Failure;
use serde_json::json;

use super::languages::*;

/// Whatever of a delta was lost, the next read and apply make it whole.
#[test]
fn a_connection_lost_at_any_step_leaves_nothing_undone() -> Result<()> {
    let before = www(&[(1, serve(1)), (2, serve(1))]);
    let after = www(&[(2, serve(4)), (3, serve(1)), (4, serve(2))]);
    for language in Language::ALL {
        for lost in [Lost::Command, Lost::Answer] {
            for commands in (0..40).step_by(if language.is_cli() { 1 } else { 3 }) {
                // What is lost on its way is waited for, over and over.
                let mut bench = Bench::hasty(language, options())?;
                bench.start(&before)?;
                bench
                    .iron
                    .set_faults(Faults { lose_after: Some((commands, lost)), ..Faults::default() });
                let applied = bench.apply(&after);
                let done = bench.iron.faults().lose_after.is_some();
                bench.iron.set_faults(Faults::default());
                match applied {
                    // An answer that is lost may be asked for again.
                    Ok(()) => {}
                    Err(Failure::Lost(_)) => {
                        bench.read()?;
                        bench.apply(&after)?;
                    }
                    Err(other) => anyhow::bail!("{language:?}, {lost:?} {commands}: {other:?}"),
                }
                let held = bench.read()?;
                ensure!(held == after, "{language:?}, {lost:?} {commands}: {held:?}");
                bench.no_violation()?;
                if done {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_refusal_is_told_in_the_boxs_words_and_holds_up_nothing_else() -> Result<()> {
    let plan = www(&[(1, serve(1)), (2, serve(2)), (3, serve(1))]);
    for language in Language::CLI {
        let mut bench = Bench::new(language, options())?;
        bench.read()?;
        let words = "Error - no more of those".to_owned();
        bench.iron.set_faults(Faults {
            refuse: vec![("server real sluice-10.0.0.2".into(), words.clone())],
            ..Faults::default()
        });
        let told = refused(bench.apply(&plan))?;
        ensure!(told.contains(&words), "{language:?}: {told}");
        ensure!(bench.read()? == www(&[(1, serve(1)), (3, serve(1))]), "{language:?}");
        bench.iron.set_faults(Faults::default());
        bench.apply(&plan)?;
        ensure!(bench.read()? == plan);
    }
    for language in Language::SNMP {
        let mut bench = Bench::new(language, options())?;
        bench.read()?;
        // wrongValue, RFC 3416 section 3.
        bench.iron.set_faults(Faults { refuse_sets: Some(10), ..Faults::default() });
        let told = refused(bench.apply(&plan))?;
        ensure!(told.contains("wrongValue"), "{language:?}: {told}");
        bench.iron.set_faults(Faults::default());
        bench.apply(&plan)?;
        ensure!(bench.read()? == plan);
    }
    Ok(())
}

#[test]
fn a_full_table_takes_what_it_has_room_for() -> Result<()> {
    for language in Language::ALL {
        let limits = Limits { binds: 2, ..Limits::default() };
        let mut bench = Bench::new(language, Options { limits, ..options() })?;
        bench.read()?;
        let three = www(&[(1, serve(1)), (2, serve(1)), (3, serve(1))]);
        refused(bench.apply(&three))?;
        ensure!(bench.iron.state().running.binds.len() == 2, "{language:?}");
        // Where one leaves, there is room.
        bench.apply(&www(&[(1, serve(1)), (3, serve(1))]))?;
        ensure!(bench.read()? == www(&[(1, serve(1)), (3, serve(1))]), "{language:?}");
    }
    Ok(())
}

#[test]
fn what_another_hand_changes_is_read_and_mended() -> Result<()> {
    let plan = www(&[(1, serve(1)), (2, serve(2))]);
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        bench.start(&plan)?;
        bench.iron.change(|state| {
            state.unbind(&Binding::new("www", 80, &real(1), 8080))?;
            state.set_weight(&real(2), 9)?;
            state.define_real(&real(7), [10, 0, 0, 7].into())?;
            state.set_real_port(&real(7), 8080, true)?;
            state.bind(Binding::new("www", 80, &real(7), 8080))
        })?;
        ensure!(bench.read()? == www(&[(2, serve(9)), (7, serve(1))]), "{language:?}");
        bench.apply(&plan)?;
        ensure!(bench.read()? == plan, "{language:?}");
        bench.no_violation()?;
    }
    Ok(())
}

#[test]
fn answers_that_nobody_should_send_end_the_session_and_soon() -> Result<()> {
    let prompts = b"\r\niron#\r\niron#\r\ntelnet@iron#\r\ntelnet@iron#".repeat(100);
    let hostile = [
        Hostile::Huge(32 << 20),
        Hostile::Endless,
        Hostile::Binary,
        Hostile::Bytes(prompts),
        Hostile::Bytes(b"\xff\xfd\x18".repeat(5000)),
    ];
    let plan = www(&[(1, serve(1))]);
    for language in Language::ALL {
        for hostile in &hostile {
            let mut bench = Bench::hasty(language, options())?;
            bench.start(&plan)?;
            bench.iron.set_faults(Faults { hostile: Some(hostile.clone()), ..Faults::default() });
            // It takes a moment to read more rows than any table has, and longer where the
            // machine is busy; without that limit a table has a minute.
            let read = bench.read_within(10 * HASTE);
            ensure!(matches!(read, Some(Err(_))), "{language:?}, {hostile:?}: {read:?}");
            bench.iron.set_faults(Faults::default());
            bench.iron.hang_up();
            ensure!(bench.read()? == plan, "{language:?}, after {hostile:?}");
        }
    }
    Ok(())
}

#[test]
fn silence_is_a_lost_connection() -> Result<()> {
    for language in Language::ALL {
        let mut bench = Bench::hasty(language, options())?;
        bench.start(&www(&[(1, serve(1))]))?;
        bench.iron.set_faults(Faults { hang: true, ..Faults::default() });
        let begun = Instant::now();
        let failure = bench.poll().expect_err("nobody answers");
        ensure!(matches!(failure, Failure::Lost(_)), "{language:?}: {failure:?}");
        ensure!(begun.elapsed() < 2 * HASTE, "{:?}", begun.elapsed());
    }
    Ok(())
}

/// Two who write to the table of bindings at the same time.
#[test]
fn two_managers_find_rows_of_their_own() -> Result<()> {
    for language in Language::SNMP {
        let limits = Limits { binds: 2048, ..Limits::default() };
        let mut bench = Bench::new(language, Options { limits, ..options() })?;
        let mut other = bench.another()?;
        let one = www(&(1..=20).map(|n| (n, serve(1))).collect::<Vec<_>>());
        let servers = (101..=120).map(|n| (server(n), serve(1))).collect();
        let two = service("shop", 443, servers);
        bench.iron.change(|state| {
            state.define_virtual("www", VIP)?;
            state.set_virtual_port("www", 80, true)?;
            state.set_virtual_port("www", 443, true)
        })?;
        bench.together(other.as_mut(), (&one, &two))?;
        ensure!(bench.iron.state().running.binds.len() == 40, "{language:?}");
    }
    Ok(())
}

/// The site's own have the table's other rows.
#[test]
fn as_many_bindings_as_rows_are_free_are_made_in_one_go() -> Result<()> {
    const FREE: u16 = 16;
    for language in Language::SNMP {
        let mut bench = Bench::new(language, options())?;
        bench.iron.change(|state| {
            state.define_virtual("site", [203, 0, 113, 60].into())?;
            state.set_virtual_port("site", 80, true)?;
            state.define_real("site-1", [10, 0, 9, 1].into())?;
            for port in FREE + 1..=2048 {
                state.set_real_port("site-1", port, true)?;
                state.bind(Binding::new("site", 80, "site-1", port))?;
            }
            anyhow::Ok(())
        })?;
        let plan = www(&(1..=16).map(|n| (n, serve(1))).collect::<Vec<_>>());
        bench.read()?;
        bench.apply(&plan)?;
        ensure!(bench.read()? == plan, "{language:?}");
        let more = www(&(1..=17).map(|n| (n, serve(1))).collect::<Vec<_>>());
        let told = refused(bench.apply(&more))?;
        ensure!(told.contains("table of bindings is full"), "{language:?}: {told}");
        ensure!(bench.read()? == plan, "{language:?}");
    }
    Ok(())
}

#[test]
fn somebody_else_who_answers_is_not_believed() -> Result<()> {
    let stranger = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let more = json!({ "known_hosts": null, "host_key": stranger });
    let mut bench = Bench::with(Language::Ssh, options(), more)?;
    let failure = bench.read().expect_err("a stranger");
    ensure!(failure.to_string().contains(stranger), "{failure}");
    ensure!(bench.iron.logins() == 0);
    let nobody = json!({ "known_hosts": "/nowhere/known_hosts" });
    let mut bench = Bench::with(Language::Ssh, options(), nobody)?;
    let failure = bench.read().expect_err("unknown");
    ensure!(failure.to_string().contains("has no key"), "{failure}");
    let any = json!({ "known_hosts": null, "insecure": true });
    Bench::with(Language::Ssh, options(), any)?.read()?;
    Ok(())
}
