//! `sluice add`, `remove`, `weight`, `drop` and `thaw`.

use std::{
    convert::Infallible,
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use tokio::{select, time::sleep};
use tonic::{Response, Status};

use super::names::Named;
use crate::{
    cli::{
        Failure,
        args::{AddArgs, DropArgs, RemoveArgs, ThawArgs, WeightArgs},
        client::{CallFailure, Client, Control},
        human,
        output::Output,
        views::{BackendView, ChangeView, OutcomeView},
    },
    model::{Name, Scope, Verdict},
    proto::v1::{
        self, AddRequest, ChangeReply, DropRequest, ListRequest, RemoveRequest, ThawRequest,
        WeightRequest,
    },
};

pub async fn add(client: &Client, args: &AddArgs, out: &mut Output) -> Result<(), Failure> {
    let request = AddRequest {
        service: args.service.to_string(),
        backend: args.address.to_string(),
        weight: args.weight.into(),
        server_id: args.server_id.map(String::from).unwrap_or_default(),
    };
    let named = Named { service: Some(&args.service), ..Named::default() };
    let call = async |mut control: Control| control.add(request).await;
    change(client, &named, call, out).await
}

pub async fn remove(client: &Client, args: &RemoveArgs, out: &mut Output) -> Result<(), Failure> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let request = RemoveRequest {
        service: args.service.to_string(),
        backend: args.address.to_string(),
        force: args.force,
        deadline_nanos: args.deadline.map(nanos).unwrap_or_default(),
        has_deadline: args.deadline.is_some(),
        wait: args.wait,
    };
    let named =
        Named { service: Some(&args.service), backend: Some(args.address), ..Named::default() };
    let call = async |mut control: Control| control.remove(request).await;
    if !args.wait {
        return change(client, &named, call, out).await;
    }
    // The manager decides how long that can take, and answers when the server can go.
    let reply = select! {
        reply = client.call_within(None, call) => reply,
        never = progress(client, args) => match never {},
    };
    clear_progress();
    finish(client, &named, reply, out).await
}

pub async fn weight(client: &Client, args: &WeightArgs, out: &mut Output) -> Result<(), Failure> {
    let request = WeightRequest {
        service: args.service.to_string(),
        backend: args.address.to_string(),
        weight: args.weight.into(),
    };
    let named =
        Named { service: Some(&args.service), backend: Some(args.address), ..Named::default() };
    let call = async |mut control: Control| control.set_weight(request).await;
    change(client, &named, call, out).await
}

pub async fn drop(client: &Client, args: &DropArgs, out: &mut Output) -> Result<(), Failure> {
    let verdict = match args.verdict.into() {
        Verdict::Reset => v1::Verdict::Reset,
        Verdict::Silent => v1::Verdict::Silent,
    };
    let scope = match args.by.into() {
        Scope::Flow => v1::Scope::Flow,
        Scope::Client => v1::Scope::Client,
    };
    let request = DropRequest {
        service: args.service.to_string(),
        class: args.class.as_ref().map(Name::to_string).unwrap_or_default(),
        refuse_ppm: args.refuse.ppm(),
        verdict: verdict.into(),
        scope: scope.into(),
    };
    let named =
        Named { service: Some(&args.service), class: args.class.as_ref(), ..Named::default() };
    let call = async |mut control: Control| control.drop(request).await;
    change(client, &named, call, out).await
}

pub async fn thaw(client: &Client, args: &ThawArgs, out: &mut Output) -> Result<(), Failure> {
    let request = ThawRequest { service: args.service.to_string() };
    let named = Named { service: Some(&args.service), ..Named::default() };
    let call = async |mut control: Control| control.thaw(request).await;
    change(client, &named, call, out).await
}

async fn change(
    client: &Client,
    named: &Named<'_>,
    call: impl AsyncFnOnce(Control) -> Result<Response<ChangeReply>, Status>,
    out: &mut Output,
) -> Result<(), Failure> {
    let reply = client.call(call).await;
    finish(client, named, reply, out).await
}

/// Prints what became of a command.
async fn finish(
    client: &Client,
    named: &Named<'_>,
    reply: Result<ChangeReply, CallFailure>,
    out: &mut Output,
) -> Result<(), Failure> {
    let view = match reply {
        Ok(reply) => ChangeView::from(reply),
        Err(failed) => return Err(named.explain(client, failed).await),
    };
    if out.is_json() {
        out.document(&view)?;
    } else {
        out.line(&sentence(&view))?;
    }
    match not_live(&view) {
        None => Ok(()),
        Some(reason) => Err(Failure::NotLive(reason)),
    }
}

/// `www: ... (live on edge1 after 180 µs)`
pub(super) fn sentence(view: &ChangeView) -> String {
    let live = view.switches.iter().filter(|switch| switch.live);
    let live: Vec<String> = live.map(latency).collect();
    if live.is_empty() {
        view.message.clone()
    } else {
        format!("{} (live on {})", view.message, live.join(", "))
    }
}

fn latency(outcome: &OutcomeView) -> String {
    let after = outcome.live_after_seconds.unwrap_or_default();
    let after = human::latency(Duration::from_secs_f64(after));
    format!("{} after {after}", outcome.name)
}

/// Where it is not live, and why.
pub(super) fn not_live(view: &ChangeView) -> Option<String> {
    if view.live {
        return None;
    }
    if view.switches.is_empty() {
        return Some("accepted, but live nowhere: no switch has connected yet".to_owned());
    }
    let missing = view.switches.iter().filter(|switch| !switch.live);
    let missing: Vec<String> = missing
        .map(|switch| {
            let error = switch.error.as_deref().unwrap_or("not acknowledged yet");
            format!("{}: {error}", switch.name)
        })
        .collect();
    Some(format!("accepted, but not live on {}", missing.join("; ")))
}

/// Shows on a terminal how a drain goes, for as long as it is polled.
async fn progress(client: &Client, args: &RemoveArgs) -> Infallible {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    loop {
        sleep(Duration::from_millis(500)).await;
        let request = ListRequest { service: args.service.to_string() };
        let call = async |mut control: Control| control.list_backends(request).await;
        let views = client.call(call).await.map(|list| list.backends);
        let backend = args.address.to_string();
        let mut views = views.unwrap_or_default().into_iter();
        let view = views.find(|view| view.backend == backend);
        if let Some(view) = view.map(BackendView::from) {
            eprint!("\r\x1b[K{}", progress_line(&view));
            // Only how it looks would suffer.
            let _ = std::io::stderr().flush();
        }
    }
}

fn progress_line(view: &BackendView) -> String {
    let left = view.deadline_left_seconds.map(|seconds| {
        let left = human::age(Duration::from_secs_f64(seconds));
        format!(", at the most {left} more")
    });
    format!(
        "{}/{} {}: {}{}",
        view.service,
        view.address,
        view.state,
        human::count(view.connections, "connection"),
        left.unwrap_or_default()
    )
}

fn clear_progress() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

#[cfg(test)]
mod tests;
