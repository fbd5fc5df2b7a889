//! `sluice check`

use std::path::Path;

use serde::Serialize;

use crate::{
    cli::{Failure, human, output::Output},
    config::{self, ConfigError, Settings},
};

/// What `-o json` prints.
#[derive(Debug, Serialize)]
struct CheckView<'a> {
    ok: bool,
    summary: Option<String>,
    errors: Vec<ErrorView<'a>>,
}

#[derive(Debug, Serialize)]
struct ErrorView<'a> {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    message: &'a str,
    help: Option<&'a str>,
}

pub fn check(path: &Path, out: &mut Output) -> Result<(), Failure> {
    match config::load(path) {
        Ok(settings) => {
            let summary = summary(&settings);
            if out.is_json() {
                out.document(&CheckView { ok: true, summary: Some(summary), errors: Vec::new() })
            } else {
                out.line(&format!("{}: {summary}: ok", path.display()))
            }
        }
        Err(ConfigError::Invalid(problems)) if out.is_json() => {
            let errors = problems.iter().map(|problem| ErrorView {
                line: problem.line,
                column: problem.column,
                message: &problem.message,
                help: problem.help.as_deref(),
            });
            out.document(&CheckView { ok: false, summary: None, errors: errors.collect() })?;
            let number = count(problems.len(), "error");
            Err(Failure::Failed(format!("{}: {number}", path.display())))
        }
        Err(error) => Err(error.into()),
    }
}

fn count(number: usize, what: &str) -> String {
    human::count(number as u64, what)
}

/// What is in the file.
fn summary(settings: &Settings) -> String {
    let backends: usize = settings.services.iter().map(|s| s.backends.len()).sum();
    let policies: usize = settings.services.iter().map(|s| s.policies.len()).sum();
    let mut parts = vec![
        count(settings.services.len(), "service"),
        count(backends, "static backend"),
        count(settings.classes.len(), "class"),
        count(policies, "policy"),
    ];
    if let Some(edge) = &settings.edge {
        parts.push(format!("edge `{}` on {}", edge.name, edge.interfaces.join(", ")));
    }
    if let Some(agent) = &settings.agent {
        parts.push(format!("agent with {}", count(agent.binds.len(), "bind")));
    }
    if settings.tls.is_some() {
        parts.push("TLS".to_owned());
    }
    if !settings.manager.allow.is_empty() {
        parts.push(count(settings.manager.allow.len(), "rule"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let text = "\
            [edge]\ninterfaces = [\"eth0\", \"eth1\"]\n\
            [[service]]\nname = \"www\"\naddress = \"203.0.113.10:80\"\nmode = \"l2\"\n\
            policy = [{ class = \"default\", refuse_percent = 1 }]\n\
            backend = [{ address = \"10.0.0.1:80\" }, { address = \"10.0.0.2:80\" }]\n";
        let settings = config::parse(text, Path::new("x")).unwrap();
        assert_eq!(
            summary(&settings),
            "1 service, 2 static backends, 0 classes, 1 policy, edge `edge` on eth0, eth1"
        );
    }
}
