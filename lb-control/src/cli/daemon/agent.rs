//! `sluice agent`

use std::time::Duration;

use super::{Failure, go_on, signals};
use crate::{
    agent,
    cli::{
        args::{AgentArgs, Bind, Global},
        client,
    },
    config::{self, AgentBind, AgentCheck, AgentSettings, Settings},
    privilege,
};

pub fn agent(global: &Global, args: &AgentArgs) -> Result<(), Failure> {
    let (agent, tls) = settings(global, args)?;
    privilege::keep_only(match agent.decap {
        Some(_) => privilege::AGENT_WITH_DECAP,
        None => privilege::AGENT,
    });
    go_on(async {
        let shutdown = signals::shutdown()?;
        Ok(agent::run(&agent, tls.as_ref(), shutdown).await?)
    })
}

/// From the file, or from flags where there is a `--bind`; `--manager` and
/// TLS flags come before what the file says.
pub fn settings(
    global: &Global,
    args: &AgentArgs,
) -> Result<(AgentSettings, Option<config::TlsSettings>), Failure> {
    let file = match &global.config {
        Some(path) => config::load(path)?,
        None => Settings::default(),
    };
    let manager =
        global.manager.clone().or_else(|| file.agent.as_ref().map(|agent| agent.manager.clone()));
    let agent = if args.bind.is_empty() {
        file.agent.ok_or_else(|| {
            Failure::Usage(
                "`sluice agent` needs something to bind: --bind SERVICE=ADDRESS, or --config FILE \
                 with an [agent] table"
                    .to_owned(),
            )
        })?
    } else {
        AgentSettings {
            name: args.name.clone(),
            manager: String::new(),
            interval: args.interval.unwrap_or(Duration::from_millis(250)),
            close: true,
            decap: None,
            notify: None,
            leave_deadline: args.leave_deadline.unwrap_or(Duration::from_secs(60)),
            binds: args
                .bind
                .iter()
                .map(|bind| agent_bind(bind, args.check_http.as_deref()))
                .collect(),
        }
    };
    let manager = manager.ok_or_else(|| {
        Failure::Usage("`sluice agent` needs a manager: --manager HOST:PORT".to_owned())
    })?;
    let checked = Settings {
        agent: Some(AgentSettings { manager, ..agent }),
        tls: client::tls(global)?.or(file.tls),
        ..Settings::default()
    };
    config::validate(&checked).map_err(Failure::Usage)?;
    let Settings { agent, tls, .. } = checked;
    Ok((agent.expect("set above"), tls))
}

fn agent_bind(bind: &Bind, check_http: Option<&str>) -> AgentBind {
    AgentBind {
        service: bind.service.clone(),
        address: bind.address,
        weight: bind.weight.unwrap_or(100),
        server_id: bind.server_id,
        check: AgentCheck { http: check_http.map(str::to_owned), ..AgentCheck::default() },
        agent_check: None,
    }
}

#[cfg(test)]
mod tests;
