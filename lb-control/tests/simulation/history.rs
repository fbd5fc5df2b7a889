//! What happened, in words: what somebody reads who looks for a bug.

use lb_control::{
    core::{Command, Input, Output},
    model::{Binding, BindingKey, Change, Delta, FromAgent, FromSwitch, ToAgent, ToSwitch},
};

/// What the core is handed; None where it is time alone.
pub fn input(input: &Input) -> Option<String> {
    Some(match input {
        Input::Tick => return None,
        Input::Agent { session, message } => format!("stream {}: {}", session.0, agent(message)),
        Input::Switch { session, message } => format!("stream {}: {}", session.0, switch(message)),
        Input::Closed { session } => format!("stream {}: is over", session.0),
        Input::Probed { outcome: Ok(()), .. } => return None,
        // Who may do what is not simulated.
        Input::Opened { .. } | Input::Stranger { .. } | Input::Excess { .. } => return None,
        Input::Probed { probe, outcome: Err(error) } => format!("probe {}: {error}", probe.0),
        Input::Saved { number, outcome } => format!("save {number}: {outcome:?}"),
        Input::Unreachable { switch, why } => format!("{switch} is out of reach: {why}"),
        Input::Operator { request, command, .. } => {
            format!("request {}: {}", request.0, operator(command))
        }
    })
}

/// What the core asks for.
pub fn output(output: &Output) -> String {
    match output {
        Output::ToAgent { session, message } => {
            format!("to stream {}: {}", session.0, to_agent(message))
        }
        Output::ToSwitch { session, message: ToSwitch::Apply(sent) } => {
            format!("to stream {}: {}", session.0, delta(sent))
        }
        Output::Close { session, reason } => format!("ends stream {}: {reason}", session.0),
        Output::StartProbe { probe, backend, .. } => format!("probe {} of {backend}", probe.0),
        Output::StopProbe { probe } => format!("no more probe {}", probe.0),
        Output::Reply { request, reply: Ok(done) } => {
            let live =
                done.switches.iter().map(|switch| format!(" {}: {:?}", switch.name, switch.live));
            format!("answers request {}: {};{}", request.0, done.message, live.collect::<String>())
        }
        Output::Reply { request, reply: Err(refusal) } => {
            format!("refuses request {}: {refusal}", request.0)
        }
        Output::Publish(event) => {
            let service = event.service.as_ref().map(ToString::to_string).unwrap_or_default();
            let backend = event.backend.map(|backend| backend.to_string()).unwrap_or_default();
            format!("{} {service} {backend} {}", event.kind, event.message)
        }
        Output::Save { number, intent } => format!("save {number}: {intent:?}"),
    }
}

/// A delta and its changes.
pub fn delta(delta: &Delta) -> String {
    let changes: Vec<_> = delta.changes.iter().map(change).collect();
    format!("delta {}.{}: {}", delta.stamp.term, delta.stamp.sequence, changes.join(", "))
}

/// What an edge holds of bindings.
pub fn bindings<'a>(held: impl IntoIterator<Item = (&'a BindingKey, &'a Binding)>) -> String {
    let one =
        |(key, held): (&BindingKey, &Binding)| format!("{key} {} {}", held.phase, held.weight);
    held.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

fn agent(message: &FromAgent) -> String {
    match message {
        FromAgent::Hello(hello) => format!("hello from agent {}, boot {}", hello.name, hello.boot),
        FromAgent::Heartbeat(heartbeat) => {
            let bad = heartbeat.reports.iter().filter(|report| report.health.is_err());
            let bad: String = bad.map(|report| format!(", {} is bad", report.key)).collect();
            format!("heartbeat {}{bad}", heartbeat.sequence)
        }
        FromAgent::Leave { .. } => "leave".to_owned(),
        FromAgent::Closed { key, connections, heartbeat } => {
            format!("closed {connections} of {key} as of heartbeat {heartbeat}")
        }
    }
}

/// What an edge says.
pub fn switch(message: &FromSwitch) -> String {
    match message {
        FromSwitch::Hello(hello) => format!(
            "hello from edge {} with {}.{}: {}",
            hello.name,
            hello.stamp.term,
            hello.stamp.sequence,
            bindings(&hello.state.bindings)
        ),
        FromSwitch::Applied { stamp, .. } => format!("{}.{} is live", stamp.term, stamp.sequence),
        FromSwitch::Refused { stamp, reason } => {
            format!("{}.{} is refused: {reason}", stamp.term, stamp.sequence)
        }
        FromSwitch::Counters(_) => "counters".to_owned(),
        FromSwitch::Lacks(lacks) => format!("lacks: {}", lacks.join("; ")),
        FromSwitch::Drifted(drift) => format!("drifted: {}", drift.what),
    }
}

fn to_agent(message: &ToAgent) -> String {
    match message {
        ToAgent::Welcome { .. } => "welcome".to_owned(),
        ToAgent::Refused { key, reason } => format!("{key} is refused: {reason}"),
        ToAgent::Notice { key, state, reason, .. } => format!("{key} is {state}: {reason}"),
        ToAgent::Close { key, heartbeat, .. } => format!("close {key} as of heartbeat {heartbeat}"),
    }
}

fn operator(command: &Command) -> String {
    match command {
        Command::Add { key, weight, .. } => format!("add {key} --weight {weight}"),
        Command::Remove { key, force, deadline, wait } => format!(
            "remove {key}{}{}{}",
            if *force { " --force" } else { "" },
            deadline.map(|deadline| format!(" --deadline {deadline:?}")).unwrap_or_default(),
            if *wait { " --wait" } else { "" }
        ),
        Command::SetWeight { key, weight } => format!("weight {key} {weight}"),
        Command::Drop { service, class, policy } => {
            format!("drop {service} {} of {class:?}", policy.refuse.percent())
        }
        Command::Thaw { service } => format!("thaw {service}"),
        Command::Look => "look".to_owned(),
        Command::Apply { .. } => "apply".to_owned(),
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::PutBinding(key, binding) => bindings([(key, binding)]),
        Change::DeleteBinding(key) => format!("{key} gone"),
        Change::PutService(spec) => format!("service {}", spec.name),
        Change::DeleteService(name) => format!("service {name} gone"),
        Change::PutPolicy { service, class, policy } => {
            format!("{service} refuses {} of {class}", policy.refuse.percent())
        }
        Change::PutClasses(classes) => format!("{} class(es)", classes.len()),
    }
}
