//! What an operator and clients see.

use anyhow::{Result, ensure};
use lab::serveriron::{Binding, Login, Predictor};
use lb_control::switch::Failure;
use serde_json::json;

use super::languages::*;

#[test]
fn servers_come_change_and_go_and_no_connection_breaks() -> Result<()> {
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        bench.start(&www(&[(1, serve(3)), (2, serve(1))]))?;
        let state = bench.iron.state();
        ensure!(state.running.reals[&real(1)].weight == 3, "{language:?}");
        ensure!(state.running.virtuals["www"].predictor == Some(Predictor::Weighted));
        ensure!(bench.read()? == www(&[(1, serve(3)), (2, serve(1))]), "{language:?}");

        let clients = bench.iron.change(|state| state.open("www", 80, 40));
        bench.apply(&www(&[(1, serve(1)), (2, serve(5)), (3, serve(2))]))?;
        bench.apply(&www(&[(1, DRAIN), (2, serve(5)), (3, serve(2))]))?;
        ensure!(bench.read()? == www(&[(1, DRAIN), (2, serve(5)), (3, serve(2))]));
        let held = bench.iron.state().connections_of_real(&real(1));
        let later = bench.iron.change(|state| state.open("www", 80, 40));
        ensure!(held > 0 && bench.iron.state().connections_of_real(&real(1)) == held);

        // It is gone for the plan, and from the box when its connections have ended.
        bench.apply(&www(&[(2, serve(5)), (3, serve(2))]))?;
        ensure!(bench.read()? == www(&[(2, serve(5)), (3, serve(2))]), "{language:?}");
        bench.poll()?;
        let state = bench.iron.state();
        ensure!(state.running.reals.contains_key(&real(1)), "{language:?}: not before");
        ensure!(state.broken(&clients) == 0 && state.broken(&later) == 0, "{language:?}");
        bench.iron.change(|state| state.close(&clients));
        bench.poll()?;
        ensure!(!bench.iron.state().running.reals.contains_key(&real(1)), "{language:?}");

        let counts = bench.poll()?;
        let connections: u64 = counts.iter().map(|count| count.connections).sum();
        ensure!(connections == 40, "{language:?}: {counts:?}");
        bench.no_violation()?;
    }
    Ok(())
}

#[test]
fn who_comes_back_during_a_graceful_shutdown_waits_for_its_end() -> Result<()> {
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        let serving = www(&[(1, serve(1)), (2, serve(1))]);
        bench.start(&serving)?;
        let clients = bench.iron.change(|state| state.open("www", 80, 10));
        for gone in [www(&[(1, DRAIN), (2, serve(1))]), www(&[(2, serve(1))])] {
            bench.apply(&gone)?;
            let words = refused(bench.apply(&serving))?;
            ensure!(words.contains("still shutting down"), "{language:?}: {words}");
            bench.poll()?;
            bench.no_violation()?;
        }
        bench.iron.change(|state| state.close(&clients));
        bench.poll()?;
        ensure!(bench.read()? == serving, "{language:?}");
        bench.apply(&serving)?;
        bench.no_violation()?;
    }
    Ok(())
}

#[test]
fn connections_are_broken_of_the_server_that_is_named_and_of_no_other() -> Result<()> {
    for language in Language::CLI {
        let mut bench = Bench::new(language, options())?;
        bench.start(&www(&[(1, serve(1)), (2, serve(1))]))?;
        let on = |number| Binding::new("www", 80, &real(number), 8080);
        let one = bench.iron.change(|state| state.open_on(&on(1), 5));
        let two = bench.iron.change(|state| state.open_on(&on(2), 5));
        bench.apply(&www(&[(1, BREAK), (2, serve(1))]))?;
        let state = bench.iron.state();
        ensure!(state.broken(&one) == 5 && state.broken(&two) == 0, "{language:?}");
        ensure!(bench.read()? == www(&[(1, BREAK), (2, serve(1))]));
        bench.apply(&www(&[(2, serve(1))]))?;
        ensure!(!bench.iron.state().running.reals.contains_key(&real(1)));
        bench.no_violation()?;
    }
    Ok(())
}

/// SNMP has no object for it: what has connections keeps them, and takes no new ones.
#[test]
fn what_cannot_be_broken_drains() -> Result<()> {
    for language in Language::SNMP {
        let mut bench = Bench::new(language, options())?;
        ensure!(!bench.device.capabilities().breaks);
        bench.start(&www(&[(1, serve(1)), (2, serve(1))]))?;
        let clients = bench.iron.change(|state| state.open("www", 80, 10));
        bench.apply(&www(&[(1, BREAK), (2, serve(1))]))?;
        bench.iron.change(|state| state.open("www", 80, 10));
        let state = bench.iron.state();
        ensure!(state.broken(&clients) == 0 && state.connections_of_real(&real(1)) == 5);
    }
    Ok(())
}

#[test]
fn both_ways_to_log_in_are_known() -> Result<()> {
    for language in Language::CLI {
        let login = Login::Name { name: "sluice".into(), password: TELNET_PASSWORD.into() };
        let options = lab::serveriron::Options { login, ..options() };
        let mut bench = Bench::new(language, options)?;
        bench.start(&www(&[(1, serve(1))]))?;
        ensure!(bench.read()? == www(&[(1, serve(1))]));
    }
    Ok(())
}

#[test]
fn v3_signs_by_sha_256_too() -> Result<()> {
    let more = json!({ "user": "sluice-256", "auth": "sha256" });
    let mut bench = Bench::with(Language::V3, options(), more)?;
    bench.start(&www(&[(1, serve(1))]))?;
    ensure!(bench.read()? == www(&[(1, serve(1))]));
    Ok(())
}

#[test]
fn what_is_forgotten_at_a_reboot_is_filled_in_again() -> Result<()> {
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        let plan = www(&[(1, serve(3)), (2, serve(1))]);
        bench.start(&plan)?;
        bench.iron.reboot(std::time::Duration::from_millis(50));
        let failure = bench.poll().expect_err("it has begun anew");
        ensure!(!matches!(failure, Failure::Refused(_)), "{language:?}: {failure:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
        ensure!(bench.read()?.services.is_empty(), "{language:?}");
        bench.apply(&plan)?;
        ensure!(bench.read()? == plan, "{language:?}");
    }
    Ok(())
}

#[test]
fn what_is_written_to_flash_outlives_a_reboot() -> Result<()> {
    let more = json!({ "write_memory": "after_change" });
    let mut bench = Bench::with(Language::Telnet, options(), more)?;
    let plan = www(&[(1, serve(3)), (2, serve(1))]);
    bench.start(&plan)?;
    bench.iron.reboot(std::time::Duration::from_millis(50));
    bench.poll().expect_err("its connection is gone");
    std::thread::sleep(std::time::Duration::from_millis(100));
    ensure!(bench.read()? == plan);
    Ok(())
}

/// Its servers are as they were, but not its connections, nor what the file is younger than.
#[test]
fn a_reboot_is_noticed_by_snmp_where_the_box_has_kept_all() -> Result<()> {
    for language in Language::SNMP {
        let mut bench = Bench::new(language, options())?;
        let plan = www(&[(1, serve(3)), (2, serve(1))]);
        bench.start(&plan)?;
        bench.iron.change(lab::serveriron::State::save);
        // Its age is told in hundredths of a second.
        std::thread::sleep(std::time::Duration::from_millis(300));
        bench.poll()?;
        bench.iron.reboot(std::time::Duration::ZERO);
        let failure = bench.poll().expect_err("it has begun anew");
        ensure!(matches!(failure, Failure::Rebooted(_)), "{language:?}: {failure:?}");
        ensure!(bench.read()? == plan, "{language:?}");
    }
    Ok(())
}

#[test]
fn what_the_site_defines_is_left_alone() -> Result<()> {
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        let site = Binding::new("their-vip", 80, "web9", 80);
        bench.iron.change(|state| {
            state.define_real("web9", [10, 0, 0, 9].into())?;
            state.set_real_port("web9", 80, true)?;
            state.define_virtual("their-vip", VIP)?;
            state.set_virtual_port("their-vip", 80, true)?;
            state.bind(site.clone())
        })?;
        let before = bench.iron.state().running;
        // Real server 9 is theirs; 1 joins their virtual server.
        bench.read()?;
        let words = refused(bench.apply(&www(&[(1, serve(1)), (9, serve(1))])))?;
        ensure!(words.contains("`web9`"), "{language:?}: {words}");
        ensure!(bench.iron.state().running.binds.len() == 2, "{language:?}");
        bench.apply(&www(&[]))?;
        ensure!(bench.iron.state().running == before, "{language:?}");
    }
    Ok(())
}

/// The box tells of its own accord that servers are gone, wherever it likes.
#[test]
fn notices_anywhere_disturb_nothing() -> Result<()> {
    for language in Language::CLI {
        for seed in 0..6 {
            let options = lab::serveriron::Options { seed, ..options() };
            let mut bench = Bench::new(language, options)?;
            bench.start(&www(&[(1, serve(1)), (2, serve(1)), (3, serve(2))]))?;
            for round in 0..5 {
                let plan = www(&[(1, serve(1)), (4 + round, serve(2)), (20 + round, serve(1))]);
                bench.apply(&plan)?;
                ensure!(bench.read()? == plan, "{language:?}, seed {seed}, round {round}");
            }
            bench.apply(&www(&[]))?;
            ensure!(bench.iron.state().running.reals.is_empty());
            bench.no_violation()?;
        }
    }
    Ok(())
}
