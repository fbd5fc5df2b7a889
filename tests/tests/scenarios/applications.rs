//! What applications say of themselves, and what comes of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, Outcome, eventually, l2};
use serde_json::Value;

/// Server 0's line of `sluice get backends`.
fn row(lab: &Lab) -> Result<Value> {
    let rows = lab.sluice_json(&["get", "backends", "www"])?;
    let address = lab.backend("www", 0).to_string();
    let rows = rows.as_array().context("not a list")?;
    let row = rows.iter().find(|row| row["address"] == address.as_str());
    row.cloned().with_context(|| format!("{address} is not in {rows:?}"))
}

fn wait_row(lab: &Lab, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(Duration::from_secs(20), what, || {
        let row = row(lab)?;
        ensure!(wanted(&row), "{row:#}");
        Ok(Some(()))
    })
    .with_context(|| lab.last_words())
}

/// New connections go to the other server only.
fn spared(lab: &Lab) -> Result<()> {
    let answers = lab.get_many("www", 100)?;
    answers.all_answered()?;
    answers.spread.follows(&[("server-2", 1)])
}

#[test]
fn an_application_that_has_failed_is_out_at_once_and_verified_anew() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let mut crowd = lab.crowd("www", 40)?;
    let said = lab.notify(0, &["failed", "the", "disk", "is", "full"])?.stdout()?;
    ensure!(said == "failed the disk is full: 1 binding\n", "{said}");
    let begun = Instant::now();
    lab.wait_state("www", 0, Some("down"))?;
    ensure!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    spared(&lab)?;
    // Its connections have the grace time, as after a failed check.
    crowd.ask().untouched()?;
    let why = row(&lab)?["reason"].clone();
    ensure!(why == "its application has failed: the disk is full", "{why}");
    // Its port answers all the time: nothing but its own word brings it back.
    thread::sleep(Duration::from_secs(3));
    ensure!(lab.state("www", 0)?.as_deref() == Some("down"));
    lab.notify(0, &["ready"])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))?;
    lab.get_many("www", 200)?.spread.follows(&[("server-1", 1), ("server-2", 1)])?;
    crowd.ask().untouched()?;
    let events = lab.sluice(&["events", "--service", "www"])?.stdout()?;
    for kind in ["application.failed", "application.ready"] {
        ensure!(events.contains(kind), "no {kind}:\n{events}");
    }
    Ok(())
}

#[test]
fn an_application_drains_weighs_and_leaves() -> Result<()> {
    let lab = Lab::build().service(l2("www")).manager("drain_deadline = \"5s\"").start()?;
    let crowd = lab.crowd("www", 40)?.keep_asking();
    lab.notify(0, &["drain", "--service", "www"])?.stdout()?;
    lab.wait_state("www", 0, Some("draining"))?;
    spared(&lab)?;
    // Longer than any removal: a drain that an application asks for has no end.
    thread::sleep(Duration::from_secs(7));
    ensure!(lab.state("www", 0)?.as_deref() == Some("draining"));
    lab.notify(0, &["ready"])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))?;
    let (_, report) = crowd.stop();
    report.untouched()?;

    lab.notify(0, &["weight", "300"])?.stdout()?;
    lab.notify(0, &["load", "0.25"])?.stdout()?;
    wait_row(&lab, "its weight", |row| row["effective_weight"] == 300 && row["load"] == 0.25)?;
    lab.wait_switch_in_step()?;
    lab.get_many("www", 400)?.spread.follows(&[("server-1", 3), ("server-2", 1)])?;
    lab.notify(0, &["weight", "0%"])?.stdout()?;
    wait_row(&lab, "no share", |row| row["effective_weight"] == 0 && row["weight"] == 300)?;
    lab.wait_switch_in_step()?;
    spared(&lab)?;

    lab.notify(0, &["leave", "an", "upgrade"])?.stdout()?;
    lab.wait_state("www", 0, None)?;
    lab.notify(0, &["ready"])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn notify_says_what_is_wrong() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let backend = lab.backend("www", 0);
    let nowhere = lab.directory().join("nowhere.sock").display().to_string();
    let table: [(&[&str], i32, &str); 6] = [
        (&["ready", "--service", "wwww"], 1, "nothing bound here is @wwww; this agent binds: www/"),
        (
            &["ready", "--service", "www", "--backend", "192.0.2.1:80"],
            1,
            "nothing bound here is @www/",
        ),
        (&["failed"], 2, "say why, such as: failed the disk is full"),
        (&["weight", "70000"], 2, "a weight is 0 to 65535"),
        (&["stop"], 2, "invalid value 'stop'"),
        (&["ready", "--backend", "192.0.2.1:80"], 2, "--service"),
    ];
    for (words, status, part) in table {
        let outcome = lab.notify(0, words)?;
        ensure!(outcome.status == Some(status), "{words:?}: {outcome:?}");
        ensure!(outcome.stderr.contains(part), "{words:?}: {outcome:?}");
    }
    let words = ["notify", "ready", "--socket", &nowhere];
    let outcome = lab.servers()[0].run(lab::binary()?, &words)?;
    ensure!(
        outcome.status == Some(3) && outcome.stderr.contains("is `sluice agent` running"),
        "{outcome:?}"
    );
    ensure!(lab.state("www", 0)?.as_deref() == Some("active"), "nothing was taken");
    let backend = backend.to_string();
    let words = ["load", "1.5", "--service", "www", "--backend", &backend, "-o", "json"];
    let said: Value = serde_json::from_str(&lab.notify(0, &words)?.stdout()?)?;
    ensure!(
        said["event"] == format!("load @www/{backend} 1.5") && said["message"] == "1 binding",
        "{said}"
    );
    Ok(())
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/notify").join(name)
}

/// The documented programs, as an application would run them.
#[test]
fn the_examples_in_shell_and_python_speak_to_the_agent() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let socket = format!("SLUICE_NOTIFY_SOCKET={}", lab.notify_socket(0).display());
    for (program, file) in [("sh", "notify.sh"), ("python3", "notify.py")] {
        let file = example(file).display().to_string();
        let say = |words: &[&str]| -> Result<Outcome> {
            let args = [&[socket.as_str(), program, &file], words].concat();
            lab.servers()[0].run("env", &args)
        };
        ensure!(say(&["failed", "@www", "the disk is full"])?.stdout()?.trim() == "ok 1 binding");
        lab.wait_state("www", 0, Some("down"))?;
        ensure!(row(&lab)?["reason"] == "its application has failed: the disk is full");
        say(&["ready"])?.stdout()?;
        lab.wait_state("www", 0, Some("active"))?;
        say(&["weight", "50%"])?.stdout()?;
        wait_row(&lab, "half the weight", |row| row["effective_weight"] == 50)?;
        say(&["weight", "100%"])?.stdout()?;
        wait_row(&lab, "all the weight", |row| row["effective_weight"] == 100)?;
        let wrong = say(&["stop"])?;
        let words = format!("{}{}", wrong.stdout, wrong.stderr);
        ensure!(
            wrong.status == Some(1) && words.contains("error there is no event `stop`"),
            "{wrong:?}"
        );
    }
    Ok(())
}

#[test]
fn a_program_that_speaks_sd_notify_is_understood() -> Result<()> {
    let lab = Lab::build().service(l2("www")).start()?;
    let socket = lab.systemd_socket(0).display().to_string();
    let send = |message: &str| {
        let script = format!("printf '{message}' | socat - UNIX-SENDTO:{socket}");
        lab.servers()[0].run("sh", &["-c", &script])?.stdout()
    };
    send("READY=1\\nWATCHDOG_USEC=1000000\\nSTATUS=up")?;
    // It hangs.
    lab.wait_state("www", 0, Some("down"))?;
    let why = row(&lab)?["reason"].clone();
    ensure!(why == "its application has failed: no WATCHDOG=1 within 1s", "{why}");
    send("WATCHDOG=1\\nWATCHDOG_USEC=0")?;
    lab.wait_state("www", 0, Some("active"))?;
    send("STOPPING=1\\nSTATUS=an upgrade")?;
    lab.wait_state("www", 0, None)?;
    send("READY=1")?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn bindings_wait_for_the_first_ready_where_that_is_set() -> Result<()> {
    let mut lab = Lab::build().service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    lab.start_agent(1)?;
    lab.wait_state("www", 1, Some("active"))?;
    // The same configuration, and one more line of [agent.notify], its last table.
    lab.start_agent(0)?;
    lab.wait_state("www", 0, Some("active"))?;
    let config = lab.directory().join("server-1.toml");
    lab.kill_agent(0)?;
    let text = fs::read_to_string(&config)?
        .replace("[agent.notify]", "[agent.notify]\nawait_ready = true");
    let awaiting = lab.directory().join("awaiting.toml");
    fs::write(&awaiting, text)?;
    let args = ["agent".as_ref(), "--config".as_ref(), awaiting.as_os_str()];
    let _agent = lab.servers()[0].spawn("awaiting", lab::binary()?, &args)?;
    wait_row(&lab, "it to be known", |row| {
        row["reason"].as_str().is_some_and(|why| why.contains("not said yet that it is ready"))
    })?;
    thread::sleep(Duration::from_secs(2));
    ensure!(lab.state("www", 0)?.as_deref() == Some("draining"), "{:#}", row(&lab)?);
    lab.notify(0, &["ready"])?.stdout()?;
    lab.wait_state("www", 0, Some("active"))
}

#[test]
fn a_command_checks_health() -> Result<()> {
    let scripts = tempfile::tempdir()?;
    let script = scripts.path().join("check");
    let mood = scripts.path().join("mood");
    let pid = scripts.path().join("pid");
    // Server 2's is always well.
    let text = format!(
        "#!/bin/sh\ncase $SLUICE_HOST in *.12) exit 0 ;; esac\n\
         case $(cat {mood}) in\n\
         bad) echo checking; echo \"$SLUICE_SERVICE is sick\"; exit 7 ;;\n\
         slow) echo $$ >{pid}; sleep 60 ;;\n\
         esac\n",
        mood = mood.display(),
        pid = pid.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    fs::write(&mood, "good")?;
    let command = format!("command = [\"{}\"]", script.display());
    let lab = Lab::build().service(l2("www")).check(&command).start()?;
    fs::write(&mood, "bad")?;
    lab.wait_state("www", 0, Some("down"))?;
    let why = row(&lab)?["reason"].clone();
    let expected = format!("www is sick ({} exited with 7)", script.display());
    ensure!(why == expected.as_str(), "{why}");
    spared(&lab)?;
    fs::write(&mood, "slow")?;
    let late = format!("{} did not end within 1s", script.display());
    wait_row(&lab, "it to be late", |row| row["reason"] == late.as_str())?;
    let old = fs::read_to_string(&pid)?;
    fs::write(&mood, "good")?;
    lab.wait_state("www", 0, Some("active"))?;
    let gone = !Path::new("/proc").join(old.trim()).exists();
    ensure!(gone, "process {old} lives on");
    Ok(())
}

/// Answers as HAProxy's agent-check wants it, what is in a file.
const RESPONDER: &str = r#"
import socketserver, sys
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(open(sys.argv[1], "rb").read())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("0.0.0.0", 9777), Answer).serve_forever()
"#;

#[test]
fn an_agent_check_speaks_for_the_application() -> Result<()> {
    let answers = tempfile::tempdir()?;
    let answer = answers.path().join("answer");
    let say = |line: &str| {
        // Whole or not at all.
        let new = answers.path().join("new");
        fs::write(&new, line)?;
        fs::rename(&new, &answer).context("the answer")
    };
    say("up ready 100%\n")?;
    let lab = Lab::build()
        .service(l2("www"))
        .bind("agent_check = { port = 9777, interval = \"100ms\" }")
        .start()?;
    let args = ["-c", RESPONDER, &answer.display().to_string()];
    let responder = lab.servers()[0].spawn("responder", "python3", &args)?;
    say("25%\n")?;
    wait_row(&lab, "a quarter", |row| row["effective_weight"] == 25 && row["weight"] == 100)?;
    lab.wait_switch_in_step()?;
    lab.get_many("www", 400)?.spread.follows(&[("server-1", 1), ("server-2", 4)])?;
    say("drain,100% # a backup runs\n")?;
    lab.wait_state("www", 0, Some("draining"))?;
    let why = row(&lab)?["reason"].clone();
    ensure!(why == "its application drains: agent check: drain: a backup runs", "{why}");
    spared(&lab)?;
    say("down # the disk is full\r\n")?;
    lab.wait_state("www", 0, Some("down"))?;
    let why = row(&lab)?["reason"].clone();
    ensure!(why == "its application has failed: agent check: down: the disk is full", "{why}");
    say("\u{7f}gibberish 1000000000000% \u{0}\n")?;
    thread::sleep(Duration::from_millis(500));
    ensure!(lab.state("www", 0)?.as_deref() == Some("down"));
    say("ready up\n")?;
    lab.wait_state("www", 0, Some("active"))?;
    // Nobody answers any more: its last word stands.
    responder.kill()?;
    thread::sleep(Duration::from_secs(1));
    ensure!(lab.state("www", 0)?.as_deref() == Some("active"));
    Ok(())
}
