//! `sluice counters`

use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};

use super::names::Named;
use crate::{
    cli::{
        Failure,
        args::CountersArgs,
        client::{Client, Control},
        human,
        output::Output,
        table::Table,
        views::{CountersView, WatchView},
    },
    model::Name,
    proto::v1::CountersRequest,
};

pub async fn counters(
    client: &Client,
    args: &CountersArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    if args.watch {
        return watch(client, args, out).await;
    }
    let view = fetch(client, args).await?;
    if out.is_json() { out.document(&view) } else { out.text(&render(&view, None, out.is_wide())) }
}

async fn fetch(client: &Client, args: &CountersArgs) -> Result<CountersView, Failure> {
    let request = CountersRequest {
        switch_name: args.switch.as_ref().map(Name::to_string).unwrap_or_default(),
    };
    let named = Named { switch: args.switch.as_ref(), ..Named::default() };
    let call = async |mut control: Control| control.get_counters(request).await;
    match client.call(call).await {
        Ok(counters) => Ok(counters.into()),
        Err(failed) => Err(named.explain(client, failed).await),
    }
}

async fn watch(client: &Client, args: &CountersArgs, out: &mut Output) -> Result<(), Failure> {
    if args.interval.is_zero() {
        return Err(Failure::Usage("--interval must be longer than nothing".to_owned()));
    }
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut before, mut at) = (fetch(client, args).await?, Instant::now());
    loop {
        ticks.tick().await;
        let (now, seconds) = (fetch(client, args).await?, at.elapsed().as_secs_f64());
        at = Instant::now();
        let added = now.clone().since(&before);
        before = now;
        if out.is_json() {
            out.record(&WatchView { seconds, added })?;
            continue;
        }
        let text = render(&added, Some(seconds), out.is_wide());
        let every = humantime::format_duration(args.interval);
        if out.is_terminal() {
            // Home, and clear what is below: the screen is redrawn in place.
            out.text(&format!("\x1b[H\x1b[JPer second, every {every}; Ctrl-C ends.\n\n{text}"))?;
        } else {
            out.text(&format!("{text}\n"))?;
        }
    }
}

/// Totals, or rates where `seconds` says what they were counted in.
fn render(view: &CountersView, seconds: Option<f64>, wide: bool) -> String {
    let count = |count: u64| match seconds {
        None => count.to_string(),
        Some(seconds) => human::rate(count as f64 / seconds),
    };
    let bytes = |bytes: u64| match seconds {
        None => human::bytes(bytes as f64),
        Some(seconds) => human::bytes(bytes as f64 / seconds) + "/s",
    };
    let tables = [
        services(view, count),
        backends(view, count, bytes),
        classes(view, count),
        reasons(view, count, wide),
    ];
    let sections: Vec<String> =
        tables.iter().filter(|table| !table.is_empty()).map(|table| table.render(wide)).collect();
    if sections.is_empty() {
        return "No switch has reported counters yet.\n".to_owned();
    }
    let remembered = format!(
        "Generation {}; {} of {} flows remembered.\n",
        view.generation, view.remembered_flows, view.remembered_capacity
    );
    sections.join("\n") + "\n" + &remembered
}

pub(super) fn services(view: &CountersView, count: impl Fn(u64) -> String) -> Table {
    let mut table = Table::numeric(&[
        "SERVICE",
        "NEW",
        "RESET",
        "SILENT",
        "NO BACKEND",
        "BROKEN",
        "+REMEMBERED",
        "+NOT REMEMBERED",
    ]);
    for service in &view.services {
        table.row([
            service.service.clone(),
            count(service.new_connections),
            count(service.refused_reset),
            count(service.refused_silent),
            count(service.no_backend),
            count(service.broken),
            count(service.remembered),
            count(service.not_remembered),
        ]);
    }
    table
}

pub(super) fn backends(
    view: &CountersView,
    count: impl Fn(u64) -> String,
    bytes: impl Fn(u64) -> String,
) -> Table {
    let mut table = Table::numeric(&[
        "BACKEND",
        "NEW",
        "SHARE",
        "PACKETS",
        "BYTES",
        "+REPLIES",
        "+REPLY BYTES",
        "+REMEMBERED",
        "+REACHABLE",
    ]);
    for backend in &view.backends {
        let of_service = view.backends.iter().filter(|b| b.service == backend.service);
        let all: u64 = of_service.map(|b| b.new_connections).sum();
        let share = match all {
            0 => String::new(),
            all => format!("{:.1}%", 100.0 * backend.new_connections as f64 / all as f64),
        };
        table.row([
            format!("{}/{}", backend.service, backend.backend),
            count(backend.new_connections),
            share,
            count(backend.packets),
            bytes(backend.bytes),
            count(backend.reply_packets),
            bytes(backend.reply_bytes),
            backend.remembered_flows.to_string(),
            if backend.reachable { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn classes(view: &CountersView, count: impl Fn(u64) -> String) -> Table {
    let mut table = Table::numeric(&["CLASS", "ADMITTED", "REFUSED"]);
    for class in &view.classes {
        table.row([class.class.clone(), count(class.admitted), count(class.refused)]);
    }
    table
}

pub(super) fn reasons(view: &CountersView, count: impl Fn(u64) -> String, zeros: bool) -> Table {
    let mut table = Table::numeric(&["PACKETS", "FATE", "COUNT"]);
    for reason in view.reasons.iter().filter(|r| zeros || r.packets > 0) {
        table.row([reason.reason.clone(), reason.fate.clone(), count(reason.packets)]);
    }
    table
}

#[cfg(test)]
mod tests;
