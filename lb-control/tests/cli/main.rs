//! The binary as a script sees it: exit status, stdout, stderr.

mod manager;

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use lb_control::proto::v1::control_server::ControlServer;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use self::manager::{INTENT, Manager};

/// The manager's socket, for as long as it lives.
struct Site {
    _directory: tempfile::TempDir,
    socket: PathBuf,
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("sluice.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(
            Server::builder()
                .add_service(ControlServer::new(Manager))
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        Self { _directory: directory, socket }
    }

    async fn run(&self, words: &str) -> (i32, String, String) {
        sluice(&format!("--manager unix:{} {words}", self.socket.display())).await
    }
}

/// Exit status, stdout and stderr.
async fn sluice(words: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(words.split(' ')).env_remove("SLUICE_MANAGER").env_remove("SLUICE_LOG");
    let output: Output =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_and_messages() {
    let site = Site::new().await;
    let cases = [
        ("drop www 50", 0, ""),
        ("add www 10.0.0.11:80", 1, "sluice: it is there already\n"),
        (
            "add wwv 10.0.0.11:80",
            1,
            "sluice: there is no service `wwv`: did you mean `www`? There are: www\n",
        ),
        (
            "drop www 50 --class defalt",
            1,
            "sluice: there is no class `defalt`: did you mean `default`? There are: default\n",
        ),
        ("get backends shop", 1, "sluice: there is no service `shop`; there are: www\n"),
        (
            "get switches edge2",
            1,
            "sluice: there is no switch `edge2`: did you mean `edge1`? There are: edge1\n",
        ),
        (
            "describe switch edge2",
            1,
            "sluice: there is no switch `edge2`: did you mean `edge1`? There are: edge1\n",
        ),
        (
            "describe service wwv",
            1,
            "sluice: there is no service `wwv`: did you mean `www`? There are: www\n",
        ),
        (
            "describe backend wwv 10.0.0.11:80",
            1,
            "sluice: there is no service `wwv`: did you mean `www`? There are: www\n",
        ),
        (
            "weight www 10.0.0.11:80 7",
            4,
            "sluice: accepted, but not live on edge1: not acknowledged yet\n",
        ),
    ];
    for (words, status, message) in cases {
        let (seen, _, stderr) = site.run(words).await;
        assert_eq!((seen, stderr.as_str()), (status, message), "sluice {words}");
    }
    let (status, _, stderr) = site.run("counters --timeout 100ms").await;
    assert_eq!(status, 4, "{stderr}");
    assert!(stderr.contains("no answer from unix:") && stderr.contains("within 100ms"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_stdout() {
    let site = Site::new().await;
    let (_, stdout, _) = site.run("drop www 50").await;
    assert_eq!(stdout, "done (live on edge1 after 180 µs)\n");

    let (_, stdout, _) = site.run("status -o json").await;
    let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["term"], 5);

    // What is not live everywhere is still told in full.
    let (_, stdout, _) = site.run("weight www 10.0.0.11:80 7 -o json").await;
    let change: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(change["live"], false);
    assert_eq!(change["switches"][0]["error"], "not acknowledged yet");

    let (_, stdout, _) = site.run("describe backend www 10.0.0.11:80 -o json --events 1").await;
    let page: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&page["state"], &page["events"][0]["sequence"]), (&"down".into(), &2.into()));
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));

    let (_, stdout, _) = site.run("events -o json").await;
    let events: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(events[1]["sequence"], 2);
    let (status, stdout, _) = site.run("events --follow -o json").await;
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The stream is not meant to end.
    assert_eq!((lines.len(), status), (2, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_intent() {
    let site = Site::new().await;
    let (status, stdout, _) = site.run("export").await;
    assert_eq!((status, stdout.as_str()), (0, INTENT));
    let (_, stdout, _) = site.run("export -o json").await;
    let exported: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(exported["service"][0]["backend"][0]["weight"], 100);

    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, weight: u32| {
        let path = directory.path().join(name);
        std::fs::write(&path, INTENT.replace("100", &weight.to_string())).unwrap();
        path.display().to_string()
    };
    let (same, other, bad) = (file("same", 100), file("other", 5), file("bad", 7));
    let line = "~ www backend 10.0.0.11:80: weight 100 -> weight 5\n";
    let wrong = format!("sluice: {bad}:5:10: no\n");
    let table = [
        (format!("diff {same}"), 0, String::new(), String::new()),
        (format!("diff {other}"), 1, format!("{line}1 change to make\n"), String::new()),
        (format!("diff {bad}"), 2, String::new(), wrong.clone()),
        (format!("apply {bad}"), 1, String::new(), wrong),
        (format!("apply {other} --dry-run"), 0, format!("{line}1 change to make\n"), String::new()),
        (
            format!("apply {other} --prune"),
            0,
            format!("{line}1 change made (live on edge1 after 180 µs)\n"),
            String::new(),
        ),
        (
            format!("apply {same}"),
            0,
            "nothing to change (live on edge1 after 180 µs)\n".to_owned(),
            String::new(),
        ),
    ];
    for (words, status, stdout, stderr) in table {
        assert_eq!(site.run(&words).await, (status, stdout, stderr), "sluice {words}");
    }
    let (status, stdout, _) = site.run(&format!("diff {other} -o json")).await;
    let seen: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &seen["alterations"][0]["after"]), (1, &"weight 5".into()));
    let (status, stdout, _) = site.run("diff --switch edge1").await;
    assert_eq!(status, 1);
    assert!(
        stdout.starts_with("+ www backend 10.0.0.11:80: serve, weight 100\nit is not connected"),
        "{stdout}"
    );
    let (status, _, stderr) = site.run("diff --switch edge2").await;
    assert_eq!(status, 2);
    assert!(stderr.contains("did you mean") && stderr.contains("edge1"), "{stderr}");
    let (status, _, stderr) = site.run("diff /nonexistent").await;
    assert_eq!(status, 2);
    assert!(stderr.starts_with("sluice: cannot read /nonexistent: No such file"), "{stderr}");
    let (status, _, _) = sluice("diff x --manager unix:/nonexistent/sluice.sock").await;
    assert_eq!(status, 3);
}

#[tokio::test]
async fn usage() {
    for words in ["frobnicate", "drop www 101", "add www", "run", "status --manager nowhere"] {
        let (status, _, stderr) = sluice(words).await;
        assert_eq!(status, 2, "sluice {words}: {stderr}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let (status, _, stderr) = sluice("status --manager unix:/nonexistent/sluice.sock").await;
    assert_eq!(status, 3);
    assert_eq!(
        stderr,
        "sluice: cannot connect to unix:/nonexistent/sluice.sock: No such file or directory \
         (os error 2); start a manager by `sluice run --config FILE`, or point to one by --manager \
         or --config\n"
    );
}

#[tokio::test]
async fn a_file_is_checked() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/sluice.toml");
    let (status, stdout, _) = sluice(&format!("check {example}")).await;
    assert_eq!(status, 0);
    assert!(stdout.ends_with(
        "2 services, 2 static backends, 2 classes, 1 policy, edge `edge` on eth0: ok\n"
    ));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.toml");
    std::fs::write(&path, "[edge]\ninterface = [\"eth0\"]\n").unwrap();
    let (status, stdout, stderr) = sluice(&format!("check {}", path.display())).await;
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with(&format!("{}:2:1: unknown field `interface`", path.display())),
        "{stderr}"
    );
    let (status, stdout, _) = sluice(&format!("check -o json {}", path.display())).await;
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &answer["errors"][0]["line"]), (1, &2.into()));
}

#[tokio::test]
async fn certificates_are_made_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join("certs");
    let certs = certs.display();
    let (status, stdout, _) = sluice(&format!("certs init {certs}")).await;
    assert_eq!(status, 0);
    assert!(stdout.contains("for development only"), "{stdout}");
    let issue = format!("certs issue web-1 --role agent --dir {certs}");
    let (status, stdout, _) = sluice(&issue).await;
    assert_eq!(status, 0);
    let (_, rule) = stdout.split_once("# In the manager's:\n").unwrap();
    assert_eq!(
        rule,
        "[[manager.allow]]\nidentity = \"spiffe://sluice.internal/agent/web-1\"\n\
         role = \"agent\"\nnames = [\"web-1\"]\n"
    );
    // What is printed is what a file takes.
    let path = directory.path().join("sluice.toml");
    std::fs::write(&path, &stdout[stdout.find("[tls]").unwrap()..]).unwrap();
    let (status, stdout, stderr) = sluice(&format!("check {}", path.display())).await;
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("TLS, 1 rule"), "{stdout}");

    let (status, _, stderr) = sluice(&issue).await;
    assert_eq!(status, 1);
    assert!(stderr.contains("web-1.key is there already"), "{stderr}");
    let (_, stdout, _) = sluice(&format!("certs show {certs}/web-1.pem -o json")).await;
    let shown: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["identities"], serde_json::json!(["spiffe://sluice.internal/agent/web-1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away() {
    let site = Site::new().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["get", "backends", "--manager", &format!("unix:{}", site.socket.display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output =
        tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
