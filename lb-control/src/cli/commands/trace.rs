//! `sluice trace`

use std::time::Duration;

use tokio::{select, signal, time};

use crate::{
    cli::{
        Failure,
        args::{Global, TraceArgs},
        daemon::edge_settings,
        output::Output,
        table::Table,
    },
    config::EdgeSettings,
    edge::trace::{self, Kind, Question, Report, Watch},
    model::{Prefix, Protocol},
};

/// How often packets are fetched while they are watched.
const FETCH: Duration = Duration::from_millis(100);

pub async fn trace(global: &Global, args: &TraceArgs, out: &mut Output) -> Result<(), Failure> {
    let (_, _, settings) = edge_settings(global, "trace")?;
    let (Some(client), Some(service)) = (args.client, args.service_address) else {
        return watch(&settings, args, out).await;
    };
    let question = Question {
        client,
        service,
        protocol: if args.protocol == "udp" { Protocol::Udp } else { Protocol::Tcp },
        kind: match (args.new, args.last) {
            (true, _) => Kind::New,
            (_, true) => Kind::Last,
            _ => Kind::Established,
        },
        dscp: args.dscp,
    };
    let report = trace::ask(&settings, &question)?;
    if out.is_json() { out.document(&report) } else { out.table(&explained(&report)) }
}

async fn watch(settings: &EdgeSettings, args: &TraceArgs, out: &mut Output) -> Result<(), Failure> {
    if !(args.sample > 0.0 && args.sample <= 100.0) {
        return Err(Failure::Usage("--sample is more than 0 and at most 100 percent".to_owned()));
    }
    let service = args.service.as_ref().map(crate::model::Name::as_str);
    let mut watch = Watch::begin(settings, service, args.sample / 100.0)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let end = time::sleep(args.for_.unwrap_or(Duration::MAX));
    tokio::pin!(end);
    while left > 0 {
        select! {
            () = time::sleep(FETCH) => {}
            () = &mut end => break,
            _ = signal::ctrl_c() => break,
        }
        for report in watch.take() {
            if left == 0 || args.source.is_some_and(|source| !holds(source, &report)) {
                continue;
            }
            left -= 1;
            if out.is_json() { out.record(&report)? } else { out.line(&line(&report))? }
        }
    }
    Ok(())
}

fn holds(source: Prefix, report: &Report) -> bool {
    let (first, last) = source.range();
    (first..=last).contains(&Prefix::from(report.client.ip()).range().0)
}

/// `198.51.100.7:40000 > 203.0.113.10:80 tcp www 10.0.0.11:80 forward_new`
fn line(report: &Report) -> String {
    let service = report.service.as_deref().unwrap_or("-");
    let backend = report.backend.map_or("-".to_owned(), |backend| backend.to_string());
    format!(
        "{} > {} {} {service} {backend} {}",
        report.client, report.address, report.protocol, report.reason
    )
}

fn state(report: &Report) -> &'static str {
    match (report.moving, report.touched) {
        (false, _) => "at rest",
        (true, false) => "moving, this slot at rest",
        (true, true) => "moving",
    }
}

fn explained(report: &Report) -> Table {
    let mut table = Table::new(&["WHAT", "IS"]);
    let mut row = |what: &str, is: Option<String>| {
        table.row([what.to_owned(), is.unwrap_or_default()]);
    };
    let text = |value: Option<std::net::SocketAddr>| value.map(|address| address.to_string());
    row("flow", Some(format!("{} > {} {}", report.client, report.address, report.protocol)));
    row("generation", Some(report.generation.to_string()));
    row("service", report.service.clone());
    row("state", report.service.as_ref().map(|_| state(report).to_owned()));
    row("class", report.class.clone());
    let refused = crate::cli::human::percent(report.refused_percent);
    row("refused", report.class.as_ref().map(|_| refused));
    row("slot", report.slot.map(|slot| slot.to_string()));
    row("current", text(report.current));
    row("settled", text(report.settled));
    row("backend", text(report.backend));
    row("chosen by", report.owner.map(str::to_owned));
    row("reason", Some(format!("{} ({})", report.reason, report.fate)));
    row("interface", report.interface.clone());
    row("next hop", report.next_hop.clone());
    table
}
