use std::{fs, time::Instant};

use super::*;
use crate::{
    model::Phase,
    switch::{PlannedServer, PlannedService},
};

fn settings(options: &str) -> SwitchSettings {
    toml::from_str(&format!("name = 'lb1'\nkind = 'command'\ntimeout = '5s'\n{options}")).unwrap()
}

/// A switch by a shell script that has the question in its file `$q`.
fn script(script: &str) -> Program {
    let script = format!("q=$(mktemp); trap 'rm -f $q' EXIT; cat >$q; {script}");
    let command = toml::Value::from(vec!["/bin/sh".to_owned(), "-c".to_owned(), script]);
    Program::new(&settings(&format!("[options]\ncommand = {command}"))).unwrap()
}

fn plan() -> Plan {
    let server = |weight, phase| PlannedServer { weight, phase };
    let servers = [
        ("10.0.0.11:80", server(100, Phase::Serve)),
        ("10.0.0.12:80", server(0, Phase::Drain)),
        ("10.0.0.13:80", server(0, Phase::Break)),
    ];
    let servers = servers.map(|(address, server)| (address.parse().unwrap(), server)).into();
    let service = PlannedService {
        address: "203.0.113.10".parse().unwrap(),
        port: 80,
        protocol: crate::model::Protocol::Tcp,
        servers,
        refuse: crate::model::Share::NONE,
        verdict: crate::model::Verdict::Reset,
    };
    Plan { services: [("www".parse().unwrap(), service)].into() }
}

fn example(name: &str) -> String {
    format!("{}/../examples/switch/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_readme_has_what_is_asked_and_what_is_understood() {
    let readme = fs::read_to_string(example("README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```").filter_map(|b| b.strip_prefix("json\n")).collect();
    let [question, answer] = blocks[..] else { panic!("two blocks of JSON: {blocks:?}") };
    let switch = "lb1".parse().unwrap();
    let asked = Question { version: VERSION, switch: &switch, ask: "apply", plan: Some(&plan()) };
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(question).unwrap(),
        serde_json::to_value(&asked).unwrap()
    );
    let answer: Answer = serde_json::from_str(answer).unwrap();
    assert_eq!(answer.counts[0].connections, 12);
    assert!(answer.refused.is_some() && answer.plan.is_some() && answer.start.is_some());
    let options = readme.split("```").find_map(|block| block.strip_prefix("toml\n")).unwrap();
    let settings: crate::config::Settings = toml::from_str(options).unwrap();
    assert!(Program::new(&settings.switches[0]).is_ok());
}

#[tokio::test]
async fn the_example_holds_what_it_is_told_until_it_is_rebooted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lb1.json");
    let options = format!(
        "[options]\ncommand = ['{}', '{}']\nweights = 256\ndrain = true",
        example("switch.py"),
        file.display()
    );
    let mut program = Program::new(&settings(&options)).unwrap();
    assert_eq!(program.read().await, Ok(Plan::default()));
    program.apply(&plan()).await.unwrap();
    assert_eq!(program.poll().await, Ok(Vec::new()));
    assert_eq!(program.read().await, Ok(plan()));
    assert!(program.description().contains("lb1.json"), "{}", program.description());
    fs::remove_file(&file).unwrap();
    assert!(matches!(program.poll().await, Err(Failure::Rebooted(_))));
    assert_eq!(program.read().await, Ok(Plan::default()));
}

/// Besides the room, the question is whether it does the rest, and says what it has not done.
#[tokio::test]
async fn the_example_does_all_that_it_can_and_lists_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let command = [example("switch.py"), dir.path().join("lb1.json").display().to_string()];
    let command = format!("['{}', '{}', '4']", command[0], command[1]);
    let options = format!("[options]\ncommand = {command}\nweights = 256\ndrain = true");
    let mut program = Program::new(&settings(&options)).unwrap();
    let at = |number: u8| SocketAddr::from(([10, 0, 0, number], 80));
    let server = |weight| PlannedServer { weight, phase: Phase::Serve };
    program.apply(&plan()).await.unwrap();
    let mut many = plan();
    let www = many.services.values_mut().next().unwrap();
    www.servers.insert(at(11), server(7));
    // In a plan they come before those that are there.
    let servers = [1, 2, 3].map(|number| (at(number), server(1))).into();
    let api = PlannedService { port: 81, servers, ..www.clone() };
    many.services.insert("api".parse().unwrap(), api.clone());
    let refused = program.apply(&many).await;
    let words = "no room for 2 servers: 10.0.0.2:80 of api, 10.0.0.3:80 of api";
    assert_eq!(refused, Err(Failure::Refused(words.to_owned())));
    let mut done = many.clone();
    let servers = [(at(1), server(1))].into();
    done.services.insert("api".parse().unwrap(), PlannedService { servers, ..api });
    assert_eq!(program.read().await, Ok(done));
    // Where some leave, there is room.
    many.services.retain(|name, _| name.as_str() == "api");
    assert_eq!(program.apply(&many).await, Ok(()));
    assert_eq!(program.read().await, Ok(many));
}

#[tokio::test]
async fn what_is_no_answer_is_a_lost_switch_and_says_why() {
    let table = [
        ("echo no", "what is no answer: expected ident"),
        ("printf '\\377\\000'", "what is no answer"),
        ("echo '{\"plan\": {\"services\": {\"a b\": {}}}}'", "is not a name"),
        ("echo '{\"plan\": {\"services\": {}, \"other\": 1}}'", "unknown field `other`"),
        ("echo '{}'", "has no `plan`"),
        ("echo '{\"refused\": \"no such box\"}'", "no such box"),
        ("echo one >&2; echo the box is off >&2; exit 4", "the box is off (/bin/sh exited with 4)"),
        ("kill -9 $$", "signal 9"),
        ("head -c 9000000 /dev/zero", "more than 8388608 bytes"),
        ("yes", "more than 8388608 bytes"),
    ];
    for (answers, why) in table {
        match script(answers).read().await {
            Err(Failure::Lost(said)) => assert!(said.contains(why), "{answers}: {said}"),
            other => panic!("{answers}: {other:?}"),
        }
    }
    let missing = settings("[options]\ncommand = ['/nowhere/switch']");
    let Err(Failure::Lost(why)) = Program::new(&missing).unwrap().read().await else {
        panic!("it is not there")
    };
    assert!(why.contains("/nowhere/switch") && why.contains("No such file"), "{why}");
}

#[tokio::test]
async fn a_program_that_hangs_is_given_up() {
    let mut program = script("sleep 60");
    program.patience = Duration::from_millis(300);
    let begun = Instant::now();
    let Err(Failure::Lost(why)) = program.read().await else { panic!("it hangs") };
    assert!(why.contains("has not answered `read` within 300ms"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn options_that_make_no_sense_are_named() {
    let table = [
        ("", "missing field `command`"),
        ("command = ['switch']", "absolute path"),
        ("command = []", "absolute path"),
        ("command = ['/bin/switch']\nweights = 0", "leave it out"),
        ("command = ['/bin/switch']\nweight = 1", "unknown field `weight`"),
    ];
    for (options, why) in table {
        let error = Program::new(&settings(&format!("[options]\n{options}"))).unwrap_err();
        assert!(error.contains(why), "{options}: {error}");
    }
}
