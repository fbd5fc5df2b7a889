//! `sluice doctor`

use std::path::Path;

use crate::{
    cli::{
        Failure,
        args::{DoctorArgs, Global},
        client, daemon, human,
        output::Output,
        table::Table,
        views::DoctorView,
    },
    config::{self, EdgeSettings, Settings},
    doctor::{
        self,
        subject::{EdgeRole, ManagerRole, ServerRole, Subject},
    },
    edge::survey::Survey,
};

pub async fn doctor(global: &Global, args: &DoctorArgs, out: &mut Output) -> Result<(), Failure> {
    let subject = subject(global, args)?;
    let findings = doctor::examine(&subject).await;
    let looked = findings.len();
    let view = DoctorView::new(subject.describe(), findings, args.all);
    if out.is_json() {
        out.document(&view)?;
    } else {
        if !view.findings.is_empty() {
            out.table(&table(&view))?;
        }
        out.line(&summary(&view, looked))?;
    }
    if view.problems > 0 { Err(Failure::Sick) } else { Ok(()) }
}

fn table(view: &DoctorView) -> Table {
    let mut table = Table::new(&["SEVERITY", "+CHECK", "WHERE", "WHAT", "REMEDY"]);
    for finding in &view.findings {
        table.row([
            finding.severity.to_owned(),
            finding.check.to_owned(),
            finding.place.clone(),
            finding.what.clone(),
            finding.remedy.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// `edge \`edge\` on eth0: 2 problems, 1 warning, 31 things looked at`
fn summary(view: &DoctorView, looked: usize) -> String {
    format!(
        "{}: {}, {}, {} looked at",
        view.looked_at,
        human::count(view.problems as u64, "problem"),
        human::count(view.warnings as u64, "warning"),
        human::count(looked as u64, "thing"),
    )
}

/// What this host is: as the file says, as the agent's flags say, or as what
/// is pinned in the kernel says.
fn subject(global: &Global, args: &DoctorArgs) -> Result<Subject, Failure> {
    let file = match &global.config {
        Some(path) => config::load(path)?,
        None => Settings::default(),
    };
    let tls = client::tls(global)?.or(file.tls.clone());
    let mut subject = Subject {
        config: global.config.clone(),
        again: again(std::env::args()),
        services: file.services.clone(),
        tls,
        ..Subject::default()
    };
    let start = |role: &str| match &global.config {
        Some(path) => format!("sluice {role} --config {}", path.display()),
        None => format!("sluice {role} --config FILE"),
    };
    let start_edge =
        |edge: &EdgeSettings| start(if edge.manager.is_some() { "edge" } else { "run" });
    if let Some(settings) = &file.edge {
        let start = start_edge(settings);
        subject.edge = Some(EdgeRole { settings: settings.clone(), from_file: true, start });
    }
    if file.agent.is_some() || !args.agent.bind.is_empty() {
        let (settings, _) = daemon::agent_settings(global, &args.agent)?;
        let start = match &global.config {
            Some(_) => start("agent"),
            None => as_agent(&subject.again),
        };
        subject.server = Some(ServerRole { settings, start });
    }
    if global.config.is_none() && subject.server.is_none() {
        subject.edge = pinned_edge().map(|settings| {
            let start = start_edge(&settings);
            EdgeRole { settings, from_file: false, start }
        });
        if subject.edge.is_none() {
            return Err(nothing_to_go_by());
        }
    }
    subject.manager = Some(manager(global, &file, &subject, start));
    Ok(subject)
}

fn nothing_to_go_by() -> Failure {
    Failure::Usage(
        "nothing says what this host is: give --config FILE, or on a server the agent's flags, \
         such as --manager HOST:PORT --bind SERVICE=ADDRESS; as root, an edge with its default \
         `pin` is found without"
            .to_owned(),
    )
}

/// The edge that has its pins where they are by default.
fn pinned_edge() -> Option<EdgeSettings> {
    let default = "[edge]\ninterfaces = [\"lo\"]\n";
    let mut settings = config::parse(default, Path::new("default")).ok()?.edge?;
    // What cannot be read is told of by doctor itself.
    let survey = Survey::read(&settings).unwrap_or_default()?;
    let name =
        |&(index, _): &(u32, u32)| nix::net::if_::if_indextoname(index).ok()?.into_string().ok();
    settings.interfaces = survey.links.iter().filter_map(name).collect();
    Some(settings)
}

/// Where the manager is: as the command line says, as the roles do, or here.
fn manager(
    global: &Global,
    file: &Settings,
    subject: &Subject,
    start: impl Fn(&str) -> String,
) -> ManagerRole {
    let edge = subject.edge.as_ref();
    let elsewhere = match (edge, &subject.server) {
        (Some(edge), _) => edge.settings.manager.clone(),
        (None, Some(server)) => Some(server.settings.manager.clone()),
        (None, None) => None,
    };
    match global.manager.clone().or(elsewhere) {
        Some(target) => {
            let here = target.starts_with("unix:");
            let start = here.then(|| start(if edge.is_some() { "run" } else { "manager" }));
            ManagerRole { target, start }
        }
        None => ManagerRole {
            target: format!("unix:{}", file.manager.socket.display()),
            start: Some(start(if edge.is_some() { "run" } else { "manager" })),
        },
    }
}

/// This very command, with more privilege.
fn again(words: impl Iterator<Item = String>) -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    format!("sudo {}", words.map(quoted).collect::<Vec<_>>().join(" "))
}

/// The same command line for the agent.
fn as_agent(again: &str) -> String {
    let words = again.split(' ').skip(1).filter(|word| !["-v", "--all"].contains(word));
    let words = words.map(|word| if word == "doctor" { "agent" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::{Finding, Severity};

    #[test]
    fn commands_can_be_pasted() {
        let words = |line: &str| again(line.split('|').map(str::to_owned));
        assert_eq!(
            words("sluice|doctor|--all|--bind|www=10.0.0.1:80,weight=5"),
            "sudo sluice doctor --all --bind www=10.0.0.1:80,weight=5"
        );
        assert_eq!(words("sluice|--config|it's here"), r"sudo sluice --config 'it'\''s here'");
        assert_eq!(
            as_agent("sudo sluice doctor --all --bind www=10.0.0.1:80"),
            "sluice agent --bind www=10.0.0.1:80"
        );
    }

    #[test]
    fn what_is_found_stands_in_a_table() {
        let finding = |severity, remedy: Option<&str>| Finding {
            severity,
            check: "interface",
            place: "interface eth0".to_owned(),
            what: "is down".to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let findings = vec![
            finding(Severity::Problem, Some("ip link set dev eth0 up")),
            finding(Severity::Note, None),
            finding(Severity::Ok, None),
        ];
        let view = DoctorView::new("edge `edge` on eth0".to_owned(), findings, false);
        assert_eq!(
            table(&view).render(false),
            "SEVERITY  WHERE           WHAT     REMEDY\n\
             problem   interface eth0  is down  ip link set dev eth0 up\n\
             note      interface eth0  is down  -\n"
        );
        assert_eq!(
            summary(&view, 12),
            "edge `edge` on eth0: 1 problem, 0 warnings, 12 things looked at"
        );
    }
}
