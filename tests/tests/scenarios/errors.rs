//! What cannot work is refused with a message that says what to do.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, l2};

/// Runs `sluice run` with this configuration, which must fail, and checks that
/// its message names each of `words`.
fn run_fails(lab: &Lab, config: &str, before: &[&str], words: &[&str]) -> Result<()> {
    let sluice = lab.readable_binary()?;
    let path = lab.directory().join("wrong.toml");
    fs::write(&path, config)?;
    let (sluice, path) = (sluice.to_string_lossy(), path.to_string_lossy());
    let mut line = before.to_vec();
    line.extend([&*sluice, "run", "--config", &path]);
    let process = lab.edge().spawn("wrong", line[0], &line[1..])?;
    let outcome = process.wait(Duration::from_secs(60)).context("it should have failed")?;
    ensure!(!outcome.success(), "it succeeded:\n{}", outcome.stdout);
    says(&outcome.stdout, words)
}

fn says(message: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(message.contains(word), "no word of `{word}` in:\n{message}");
    }
    ensure!(!message.contains("panicked"), "{message}");
    Ok(())
}

fn config(lab: &Lab, interface: &str, tables: &str) -> String {
    let directory = lab.directory().display();
    format!(
        "[manager]\nsocket = \"{directory}/wrong.sock\"\nintent = \"{directory}/wrong.json\"\n\
         [edge]\ninterfaces = [\"{interface}\"]\npin = \"{}/wrong\"\nflow_key = \"{directory}/wrong.key\"\n\
         {tables}\n",
        lab.bpffs().display()
    )
}

/// The lab's own configuration, changed.
fn own_config(lab: &Lab, from: &str, to: &str) -> Result<String> {
    let config = fs::read_to_string(lab.directory().join("sluice.toml"))?;
    ensure!(config.contains(from), "no `{from}` in:\n{config}");
    Ok(config.replace(from, to))
}

const WWW: &str = "[[service]]\nname = \"www\"\naddress = \"198.18.0.10:80\"\nmode = \"l2\"\n";

#[test]
fn a_wrong_interface_is_named_with_those_there_are() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    run_fails(&lab, &config(&lab, "eth9", WWW), &[], &["eth9", "eth0"])
}

#[test]
fn missing_privilege_is_named() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    run_fails(&lab, &config(&lab, "eth0", WWW), &nobody, &["root"])
}

#[test]
fn a_vip_given_twice_is_refused() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    let twice = format!("{WWW}{}", WWW.replace("www", "web"));
    run_fails(&lab, &config(&lab, "eth0", &twice), &[], &["198.18.0.10:80", "www", "web"])
}

#[test]
fn a_backend_of_the_wrong_family_is_refused() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    let wrong = format!("{WWW}[[service.backend]]\naddress = \"[fd00:18:2::11]:80\"\n");
    run_fails(&lab, &config(&lab, "eth0", &wrong), &[], &["www", "[fd00:18:2::11]:80", "IPv4"])
}

#[test]
fn another_program_on_the_interface_is_named() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    let steering = lab.steering()?;
    let id = format!("id {}", steering.program);
    let words = ["eth0 already carries another XDP program", &id, "sluice detach", "ip link set"];
    run_fails(&lab, &config(&lab, "eth0", WWW), &[], &words)?;
    ensure!(lab.steering()? == steering);
    lab.get_many("www", 50)?.all_answered()
}

#[test]
fn pinned_maps_of_another_shape_are_named_with_the_setting() -> Result<()> {
    let mut lab = Lab::build()
        .servers(1)
        .service(l2("www"))
        .edge("flows = 1000\nring_pool = 400000")
        .start()?;
    lab.kill_sluice()?;
    let steering = lab.steering()?;
    let larger = own_config(&lab, "flows = 1000", "flows = 2000")?;
    run_fails(&lab, &larger, &[], &["FLOWS", "1000 entries", "`flows = 1000`", "sluice detach"])?;
    let larger = own_config(&lab, "400000", "500000")?;
    run_fails(&lab, &larger, &[], &["RINGS", "`ring_pool = 400000`", "sluice detach"])?;

    let other = lab.pins().join("v2/REASONS");
    fs::remove_file(&other)?;
    let path = other.to_string_lossy();
    let args = ["map", "create", &path, "type", "hash", "key", "4", "value", "8", "entries", "8"];
    lab.edge().run("bpftool", &[&args[..], &["name", "REASONS"]].concat())?.stdout()?;
    let own = own_config(&lab, "", "")?;
    run_fails(&lab, &own, &[], &["REASONS is a Hash", "sluice detach"])?;
    // Nothing of all this was noticed by packets.
    ensure!(lab.steering()? == steering);
    lab.get_many("www", 50)?.all_answered()
}

#[test]
fn a_newer_version_is_not_replaced() -> Result<()> {
    let mut lab = Lab::build().servers(1).service(l2("www")).start()?;
    lab.kill_sluice()?;
    let steering = lab.steering()?;
    fs::rename(lab.pins().join("v2"), lab.pins().join("v99"))?;
    let own = own_config(&lab, "", "")?;
    run_fails(&lab, &own, &[], &["v99", "newer version", "ABI 99", "sluice detach"])?;
    ensure!(lab.steering()? == steering);
    lab.get_many("www", 50)?.all_answered()?;
    // The way out.
    let path = lab.directory().join("sluice.toml");
    lab.sluice(&["detach", "--config", &path.to_string_lossy()])?.stdout()?;
    ensure!(lab.attached()?.is_none() && lab.pinned_files()? == 0);
    lab.start_sluice(&[])
}

#[test]
fn an_unknown_field_is_named_with_its_line_and_the_nearest_name() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    let wrong = config(&lab, "eth0", WWW).replace("interfaces", "interface");
    run_fails(&lab, &wrong, &[], &["wrong.toml", "interface", "interfaces"])
}

/// Exit statuses that scripts rely on.
const FAILED: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const UNREACHABLE: Option<i32> = Some(3);

#[test]
fn commands_say_what_is_wrong() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).start()?;
    let cases: &[(&[&str], Option<i32>, &[&str])] = &[
        (&["add", "wwww", "198.18.2.12:80"], FAILED, &["wwww", "www"]),
        (&["add", "www", "[fd00:18:2::12]:80"], FAILED, &["IPv4"]),
        (&["add", "www", "198.18.2.12"], USAGE, &["198.18.2.12"]),
        (&["remove", "www", "198.18.2.99:80"], FAILED, &["198.18.2.99:80", "198.18.2.11:80"]),
        (&["weight", "www", "198.18.2.99:80", "5"], FAILED, &["198.18.2.99:80"]),
        (&["weight", "www", "198.18.2.11:80", "70000"], USAGE, &["65535"]),
        (&["drop", "www", "101"], USAGE, &["100"]),
        (&["drop", "www", "10", "--class", "nobody"], FAILED, &["nobody", "default"]),
        (&["get", "backers"], USAGE, &["backends"]),
    ];
    for (args, status, words) in cases {
        let outcome = lab.sluice(args)?;
        ensure!(outcome.status == *status, "sluice {args:?}: {outcome:?}");
        says(&outcome.stderr, words).with_context(|| format!("sluice {args:?}"))?;
    }
    lab.get_many("www", 20)?.all_answered()
}

#[test]
fn no_manager_is_said() -> Result<()> {
    let lab = Lab::build().servers(0).prepare()?;
    let outcome = lab.sluice(&["status"])?;
    ensure!(outcome.status == UNREACHABLE, "{outcome:?}");
    says(&outcome.stderr, &["sluice.sock", "sluice run"])
}
