//! `sluice export`, `apply` and `diff`.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    change::{not_live, sentence},
    names::Named,
};
use crate::{
    cli::{
        Failure,
        args::{ApplyArgs, DiffArgs},
        client::{Client, Control},
        output::Output,
        views::{ApplyView, ComparisonView},
    },
    model::Name,
    proto::{
        MAX_DECLARATION,
        v1::{ApplyRequest, ExportRequest, SwitchRequest},
    },
};

pub async fn export(client: &Client, out: &mut Output) -> Result<(), Failure> {
    let call = async |mut control: Control| control.export(ExportRequest {}).await;
    let text = client.call(call).await?.toml;
    if !out.is_json() {
        return out.text(&text);
    }
    let document: toml::Table = toml::from_str(&text).map_err(|error| {
        Failure::Failed(format!("what the manager exported is no TOML: {error}"))
    })?;
    out.document(&document)
}

pub async fn apply(client: &Client, args: &ApplyArgs, out: &mut Output) -> Result<(), Failure> {
    let ApplyArgs { file, dry_run, prune } = args;
    let view = declare(client, file, *dry_run, *prune).await?;
    show(&view, out)?;
    match not_live(&view.change).filter(|_| !dry_run) {
        None => Ok(()),
        Some(reason) => Err(Failure::NotLive(reason)),
    }
}

/// As diff(1) and its kin: 1 says that there are differences, 2 that there was trouble.
pub async fn diff(client: &Client, args: &DiffArgs, out: &mut Output) -> Result<(), Failure> {
    let trouble = |failure| match failure {
        Failure::Failed(message) => Failure::Usage(message),
        other => other,
    };
    let Some(file) = &args.file else {
        return beside(client, args.switch.as_ref(), out).await.map_err(trouble);
    };
    let view = declare(client, file, true, true).await.map_err(trouble)?;
    if view.alterations.is_empty() {
        return if out.is_json() { show(&view, out) } else { Ok(()) };
    }
    show(&view, out)?;
    Err(Failure::Differs)
}

/// What a switch holds beside what it should.
async fn beside(client: &Client, switch: Option<&Name>, out: &mut Output) -> Result<(), Failure> {
    let named = Named { switch, ..Named::default() };
    let request = SwitchRequest { name: switch.map(Name::to_string).unwrap_or_default() };
    let call = async |mut control: Control| control.compare_switch(request).await;
    let view = match client.call(call).await {
        Ok(comparison) => ComparisonView::from(comparison),
        Err(failed) => return Err(named.explain(client, failed).await),
    };
    if out.is_json() {
        out.document(&view)?;
    } else {
        for alteration in &view.alterations {
            out.line(&alteration.line())?;
        }
        if !view.connected {
            out.line("it is not connected: what it holds by now is not known")?;
        }
    }
    if view.alterations.is_empty() { Ok(()) } else { Err(Failure::Differs) }
}

async fn declare(
    client: &Client,
    file: &Path,
    dry_run: bool,
    prune: bool,
) -> Result<ApplyView, Failure> {
    let toml = read(file)?;
    let file = file.display().to_string();
    let request = ApplyRequest { toml, file, dry_run, prune };
    let call = async |mut control: Control| control.apply(request).await;
    Ok(client.call(call).await?.into())
}

/// A file's text, or that of standard input.
fn read(file: &Path) -> Result<String, Failure> {
    let cannot = |why: &dyn std::fmt::Display| {
        Failure::Failed(format!("cannot read {}: {why}", file.display()))
    };
    let mut text = String::new();
    let most = MAX_DECLARATION as u64 + 1;
    let outcome = if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    outcome.map_err(|error| cannot(&error))?;
    if text.len() > MAX_DECLARATION {
        return Err(cannot(&format!("it has more than {MAX_DECLARATION} bytes")));
    }
    Ok(text)
}

fn show(view: &ApplyView, out: &mut Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.document(view);
    }
    for alteration in &view.alterations {
        out.line(&alteration.line())?;
    }
    out.line(&sentence(&view.change))
}
