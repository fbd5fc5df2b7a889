//! The operator's whole intent as a file.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, l2};
use serde_json::Value;

/// Exit statuses of `sluice diff`.
const SAME: Option<i32> = Some(0);
const DIFFERENT: Option<i32> = Some(1);
const TROUBLE: Option<i32> = Some(2);

/// A lab whose first two servers have agents, and whose third the operator adds.
fn lab() -> Result<Lab> {
    let mut lab = Lab::build().clients(2).servers(3).service(l2("www")).prepare()?;
    lab.start_sluice(&[])?;
    for server in 0..2 {
        lab.start_agent(server)?;
        lab.wait_state("www", server, Some("active"))?;
    }
    let added = lab.backend("www", 2).to_string();
    lab.sluice(&["add", "www", &added, "--weight", "50"])?.stdout()?;
    lab.wait_state("www", 2, Some("active"))?;
    Ok(lab)
}

/// The intent in a file of this name, after an edit.
fn exported(lab: &Lab, name: &str, edit: impl FnOnce(String) -> String) -> Result<String> {
    let text = lab.sluice(&["export"])?.stdout()?;
    let path = lab.directory().join(name);
    fs::write(&path, edit(text))?;
    Ok(path.to_string_lossy().into_owned())
}

/// `sluice get backends -o json`, without what time alone changes.
fn backends(lab: &Lab) -> Result<Value> {
    let mut backends = lab.sluice_json(&["get", "backends"])?;
    for backend in backends.as_array_mut().context("no backends")? {
        let backend = backend.as_object_mut().context("no backend")?;
        for passing in ["since_seconds", "connections", "load", "reason"] {
            backend.remove(passing).with_context(|| format!("no {passing} in {backend:?}"))?;
        }
    }
    Ok(backends)
}

/// What `www` refuses.
fn policies(lab: &Lab) -> Result<Value> {
    Ok(lab.sluice_json(&["get", "services", "www"])?[0]["policies"].clone())
}

#[test]
fn what_was_exported_brings_back_what_was_wiped() -> Result<()> {
    let mut lab = lab()?;
    let first = lab.backend("www", 0).to_string();
    lab.sluice(&["weight", "www", &first, "30"])?.stdout()?;
    lab.sluice(&["drop", "www", "20"])?.stdout()?;
    let second = lab.backend("www", 1).to_string();
    lab.sluice(&["remove", "www", &second, "--wait"])?.stdout()?;
    lab.wait_state("www", 1, None)?;
    let file = exported(&lab, "intent.toml", |text| text)?;
    let (before, refused) = (backends(&lab)?, policies(&lab)?);

    lab.stop_sluice()?;
    let kept = lab.intent();
    fs::remove_file(&kept).with_context(|| kept.display().to_string())?;
    lab.start_sluice(&[])?;
    lab.wait_state("www", 0, Some("active"))?;
    let diff = lab.sluice(&["diff", &file])?;
    ensure!(diff.status == DIFFERENT, "{diff:?}");
    for line in [
        "+ www policy default: refuse 20 %, reset, by flow",
        &format!("+ www weight {first}: 30"),
        &format!("+ www removal {second}: within 60s"),
        &format!("+ www backend {}: weight 50", lab.backend("www", 2)),
    ] {
        ensure!(diff.stdout.contains(line), "no `{line}` in {diff:?}");
    }
    let applied = lab.sluice(&["apply", &file])?.stdout()?;
    ensure!(applied.contains("4 changes made (live on edge after"), "{applied}");
    lab.wait_state("www", 1, None)?;
    lab.wait_state("www", 2, Some("active"))?;
    ensure!(backends(&lab)? == before, "{:#}, and was\n{before:#}", backends(&lab)?);
    ensure!(policies(&lab)? == refused, "{:#}, and was\n{refused:#}", policies(&lab)?);
    let diff = lab.sluice(&["diff", &file])?;
    ensure!(diff.status == SAME && diff.stdout.is_empty(), "{diff:?}");
    let again = lab.sluice(&["apply", &file])?.stdout()?;
    ensure!(again.starts_with("nothing to change"), "{again}");
    Ok(())
}

#[test]
fn applying_under_load_breaks_nothing_and_a_fault_changes_nothing() -> Result<()> {
    let lab = lab()?;
    let added = lab.backend("www", 2).to_string();
    let lean = exported(&lab, "lean.toml", |text| text.replace("weight = 50", "weight = 5"))?;
    let without = exported(&lab, "without.toml", |text| {
        let (head, _) = text.split_once("[[service.backend]]").expect("a backend");
        head.to_owned()
    })?;
    let full = exported(&lab, "full.toml", |text| text)?;
    let wrong = exported(&lab, "wrong.toml", |text| {
        text.replace("weight = 50", "weight = 7").replace("ring_size = ", "ring_size = 1")
    })?;
    let mut crowds = vec![lab.crowd("www", 60)?.keep_asking()];
    for _ in 0..3 {
        for file in [&lean, &without, &full] {
            lab.sluice(&["apply", file])?.stdout()?;
            crowds.push(lab.crowd("www", 20)?.keep_asking());
            let before = backends(&lab)?;
            let refused = lab.sluice(&["apply", &wrong])?;
            ensure!(refused.status == Some(1), "{refused:?}");
            ensure!(refused.stderr.contains("ring_size"), "{refused:?}");
            let weights = |all: &Value| -> Vec<Value> {
                let each = all.as_array().into_iter().flatten();
                each.map(|backend| backend["weight"].clone()).collect()
            };
            ensure!(weights(&backends(&lab)?) == weights(&before));
        }
        lab.wait_state("www", 2, Some("active"))?;
    }
    for crowd in crowds {
        let (_, report) = crowd.stop();
        report.untouched()?;
    }
    lab.get_many("www", 100)?.all_answered()?;
    let trouble = lab.sluice(&["diff", "/nonexistent"])?;
    ensure!(trouble.status == TROUBLE, "{trouble:?}");
    let look = lab.sluice_json(&["apply", &without, "--dry-run"])?;
    ensure!(look["alterations"][0]["name"] == added.as_str(), "{look:#}");
    Ok(())
}

#[test]
fn a_service_is_declared_without_a_restart() -> Result<()> {
    let lab = lab()?;
    let server = lab.backend("www", 2);
    let vip = format!("{}:8080", lab.vip("www").ip());
    let file = exported(&lab, "intent.toml", |text| {
        format!(
            "{text}\n[[service]]\nname = \"more\"\naddress = \"{vip}\"\nmode = \"l2\"\n\
             health = {{ port = {} }}\n\
             backend = [{{ address = \"{}:8080\" }}]\n",
            server.port(),
            server.ip()
        )
    })?;
    lab.sluice(&["apply", &file])?.stdout()?;
    let more = lab.sluice_json(&["get", "services", "more"])?;
    ensure!(more[0]["address"] == vip.as_str(), "{more:#}");
    let state = || -> Result<Value> {
        Ok(lab.sluice_json(&["get", "backends", "more"])?[0]["state"].clone())
    };
    lab::eventually(std::time::Duration::from_secs(10), "its backend", || {
        Ok((state()? == "active").then_some(()))
    })?;
    // The other service never noticed; and without --prune none goes.
    lab.get_many("www", 50)?.all_answered()?;
    let old = exported(&lab, "old.toml", |text| {
        let tables = text.split("[[service]]").filter(|table| !table.contains("\"more\""));
        tables.collect::<Vec<_>>().join("[[service]]")
    })?;
    let refused = lab.sluice(&["apply", &old])?;
    ensure!(refused.stderr.contains("--prune to remove more"), "{refused:?}");
    let pruned = lab.sluice(&["apply", &old, "--prune"])?.stdout()?;
    ensure!(pruned.starts_with(&format!("- more service: {vip} tcp l2")), "{pruned}");
    ensure!(lab.sluice(&["get", "services", "more"])?.status == Some(1));
    lab.get_many("www", 50)?.all_answered()
}
