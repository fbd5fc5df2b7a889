//! `sluice get`

use std::time::Duration;

use serde::Serialize;

use super::names::Named;
use crate::{
    cli::{
        Failure,
        args::{GetArgs, Resource},
        client::{Client, Control},
        human,
        output::Output,
        table::Table,
        views::{
            BackendView, ClassView, DriftView, PolicyView, RefillView, ServiceView, SwitchView,
        },
    },
    model::Name,
    proto::v1::ListRequest,
};

pub async fn get(client: &Client, args: &GetArgs, out: &mut Output) -> Result<(), Failure> {
    match args.resource {
        Resource::Services => services(client, args.name.as_ref(), out).await,
        Resource::Backends => backends(client, args.name.as_ref(), out).await,
        Resource::Switches => switches(client, args.name.as_ref(), out).await,
        Resource::Classes => classes(client, args.name.as_ref(), out).await,
    }
}

async fn services(client: &Client, name: Option<&Name>, out: &mut Output) -> Result<(), Failure> {
    let call = async |mut control: Control| control.list_services(ListRequest::default()).await;
    let list = client.call(call).await?;
    let views = list.services.into_iter().map(ServiceView::from);
    let views = views.filter(|view| name.is_none_or(|name| name.as_str() == view.name));
    let named = Named { service: name, ..Named::default() };
    show(client, &named, views.collect(), services_table, out).await
}

async fn backends(client: &Client, name: Option<&Name>, out: &mut Output) -> Result<(), Failure> {
    let named = Named { service: name, ..Named::default() };
    let request = ListRequest { service: name.map(Name::to_string).unwrap_or_default() };
    let call = async |mut control: Control| control.list_backends(request).await;
    let list = match client.call(call).await {
        Ok(list) => list,
        Err(failed) => return Err(named.explain(client, failed).await),
    };
    let views = list.backends.into_iter().map(BackendView::from).collect();
    show(client, &named, views, backends_table, out).await
}

async fn switches(client: &Client, name: Option<&Name>, out: &mut Output) -> Result<(), Failure> {
    let call = async |mut control: Control| control.list_switches(ListRequest::default()).await;
    let list = client.call(call).await?;
    let views = list.switches.into_iter().map(SwitchView::from);
    let views = views.filter(|view| name.is_none_or(|name| name.as_str() == view.name));
    let named = Named { switch: name, ..Named::default() };
    show(client, &named, views.collect(), switches_table, out).await
}

async fn classes(client: &Client, name: Option<&Name>, out: &mut Output) -> Result<(), Failure> {
    let call = async |mut control: Control| control.list_classes(ListRequest::default()).await;
    let list = client.call(call).await?;
    let views = list.classes.into_iter().map(ClassView::from);
    let views = views.filter(|view| name.is_none_or(|name| name.as_str() == view.name));
    let named = Named { class: name, ..Named::default() };
    show(client, &named, views.collect(), classes_table, out).await
}

/// An empty list of something that was named is a failure when the name is
/// wrong, as is none at all.
async fn show<V: Serialize>(
    client: &Client,
    named: &Named<'_>,
    views: Vec<V>,
    table: fn(&[V]) -> Table,
    out: &mut Output,
) -> Result<(), Failure> {
    if views.is_empty()
        && let Some(failure) = named.look(client).await
    {
        return Err(failure);
    }
    if out.is_json() { out.document(&views) } else { out.table(&table(&views)) }
}

fn services_table(views: &[ServiceView]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "ADDRESS",
        "PROTOCOL",
        "MODE",
        "BACKENDS",
        "REFUSED",
        "STATE",
        "+RING",
        "+AFFINITY",
        "+UDP",
    ]);
    for view in views {
        let policies: Vec<String> = view.policies.iter().map(policy).collect();
        let state = if view.moving { "moving" } else { "at rest" };
        table.row([
            view.name.clone(),
            view.address.clone(),
            view.protocol.to_owned(),
            view.mode.to_owned(),
            format!("{}/{}", view.backends_active, view.backends_total),
            policies.join(", "),
            state.to_owned(),
            view.ring_size.to_string(),
            view.affinity.to_owned(),
            if view.protocol == "tcp" { String::new() } else { view.udp.to_owned() },
        ]);
    }
    table
}

/// `gold 10% reset`, with `by client` where whole clients are refused.
pub(super) fn policy(view: &PolicyView) -> String {
    let by = if view.by == "client" { " by client" } else { "" };
    let share = human::percent(view.refuse_percent);
    format!("{} {share} {}{by}", view.class, view.verdict)
}

pub(super) fn backends_table(views: &[BackendView]) -> Table {
    let mut table = Table::new(&[
        "SERVICE",
        "ADDRESS",
        "WEIGHT",
        "STATE",
        "SINCE",
        "CONNECTIONS",
        "AGENT",
        "+EFFECTIVE",
        "+LOAD",
        "+SERVER ID",
        "+REASON",
    ]);
    for view in views {
        let reasons: Vec<_> = view.unreachable.iter().chain(&view.reason).cloned().collect();
        table.row([
            view.service.clone(),
            view.address.clone(),
            view.weight.to_string(),
            backend_state(view),
            age(view.since_seconds),
            view.connections.to_string(),
            view.agent.clone().unwrap_or_default(),
            view.effective_weight.to_string(),
            view.load.map(|load| format!("{load:.2}")).unwrap_or_default(),
            view.server_id.clone().unwrap_or_default(),
            reasons.join("; "),
        ]);
    }
    table
}

/// `draining, 48s left`
pub(super) fn backend_state(view: &BackendView) -> String {
    let mut state = match view.deadline_left_seconds {
        _ if view.removable => format!("{}, removable", view.state),
        Some(left) => format!("{}, {} left", view.state, age(left)),
        None => view.state.clone(),
    };
    if view.unreachable.is_some() {
        state += ", unreachable";
    }
    if let Some(left) = view.hold_left_seconds {
        state += &format!(", held out for {}", age(left));
    }
    state
}

fn age(seconds: f64) -> String {
    human::age(Duration::from_secs_f64(seconds))
}

fn switches_table(views: &[SwitchView]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "DESCRIPTION",
        "GENERATION",
        "BEHIND",
        "+LAG",
        "LAST LIVE AFTER",
        "+TERM",
        "+SEQUENCE",
        "+LAST REFILL",
        "LAST DRIFT",
        "+DRIFTS",
        "ERROR",
    ]);
    for view in views {
        let state = if view.connected { "connected" } else { "lost" };
        let latency = |seconds| human::latency(Duration::from_secs_f64(seconds));
        table.row([
            view.name.clone(),
            state.to_owned(),
            view.description.clone(),
            view.generation.to_string(),
            view.sequence_sent.saturating_sub(view.sequence_live).to_string(),
            view.lag_seconds.map(age).unwrap_or_default(),
            view.last_live_seconds.map(latency).unwrap_or_default(),
            view.term.to_string(),
            format!("{}/{}", view.sequence_live, view.sequence_sent),
            view.last_refill.as_ref().map(refill).unwrap_or_default(),
            view.last_drift.as_ref().map(drift).unwrap_or_default(),
            view.drifts.to_string(),
            view.last_error.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// `3 changes 12s ago`
pub(super) fn refill(view: &RefillView) -> String {
    format!("{} {} ago", changes(view.changes), age(view.age_seconds))
}

fn changes(changes: u64) -> String {
    match changes {
        1 => "1 change".to_owned(),
        changes => format!("{changes} changes"),
    }
}

/// `3 changes 12s ago`, with `not mended` while it still differs.
pub(super) fn drift(view: &DriftView) -> String {
    let mended = if view.mended { "" } else { ", not mended" };
    format!("{} {} ago{mended}", changes(view.changes), age(view.age_seconds))
}

fn classes_table(views: &[ClassView]) -> Table {
    let mut table = Table::new(&["NAME", "SOURCES", "DSCP", "ADMITTED", "REFUSED"]);
    let any = |list: Vec<String>| match list.is_empty() {
        true => "any".to_owned(),
        false => list.join(","),
    };
    for view in views {
        table.row([
            view.name.clone(),
            any(view.sources.clone()),
            any(view.dscp.iter().map(u32::to_string).collect()),
            view.admitted.to_string(),
            view.refused.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests;
