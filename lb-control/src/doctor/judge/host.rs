//! Privileges, the kernel, and where pins go.

use std::{path::Path, time::Duration};

use super::{
    super::{
        facts::{Facts, Known, set_sysctl},
        finding::Finding,
        subject::Subject,
    },
    unknown,
};
use crate::xdp::{host::OLDEST_KERNEL, pin::mount_bpffs};

const HOST: &str = "host";
/// A certificate that ends before this has passed should be renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) fn judge(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let decap = subject.server.as_ref().and_then(|server| server.settings.decap.as_ref());
    if subject.edge.is_some() || decap.is_some() {
        findings.push(privileges(subject, facts));
        findings.extend(kernel(subject, facts));
    }
    if let (Some(role), Some(edge)) = (&subject.edge, &facts.edge) {
        findings.push(bpffs(&role.settings.pin, &edge.bpffs));
    }
    if let (Some(decap), Some(server)) = (decap, &facts.server) {
        findings.push(bpffs(&decap.pin, &server.bpffs));
    }
    findings.extend(certificates(subject, facts));
    findings
}

fn privileges(subject: &Subject, facts: &Facts) -> Finding {
    let missing = &facts.host.missing_capabilities;
    if missing.is_empty() {
        return Finding::ok("privileges", HOST, "all that XDP programs need");
    }
    let what = format!(
        "this process lacks {}: with these privileges no XDP program can be attached, and not \
         everything be looked at",
        missing.join(" and ")
    );
    Finding::problem("privileges", HOST, what).remedy(subject.again.clone())
}

fn kernel(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let host = &facts.host;
    let mut findings = Vec::new();
    findings.push(match &host.new_enough {
        Ok(true) => Finding::ok("kernel", HOST, format!("Linux {}", host.release)),
        Ok(false) => {
            let what =
                format!("Linux {} is too old: {OLDEST_KERNEL} or newer is needed", host.release);
            Finding::problem("kernel", HOST, what).remedy("boot a newer kernel")
        }
        Err(why) => unknown(subject, facts, "kernel", HOST, why),
    });
    match &host.lacks {
        Ok(lacks) if lacks.is_empty() => {}
        Ok(lacks) => {
            let what = format!("this kernel was built without {}", lacks.join(", "));
            let remedy = "boot a kernel with CONFIG_BPF_SYSCALL";
            findings.push(Finding::problem("kernel", HOST, what).remedy(remedy));
        }
        Err(why) => findings.push(unknown(subject, facts, "kernel", HOST, why)),
    }
    if !host.btf {
        let what = "the kernel tells no types (BTF): bpftool and traces show less";
        findings.push(Finding::note("kernel", HOST, what));
    }
    if host.jit == Some(0) {
        let what = "BPF programs are interpreted: each packet costs many times as much";
        let remedy = set_sysctl("core/bpf_jit_enable", 1);
        findings.push(Finding::warning("jit", HOST, what).remedy(remedy));
    }
    if !host.has_programs {
        let what = "this `sluice` was built without the XDP programs";
        findings.push(Finding::problem("build", HOST, what).remedy("cargo xtask build --release"));
    }
    findings
}

fn bpffs(pin: &Path, is_bpffs: &Known<bool>) -> Finding {
    match is_bpffs {
        Ok(true) => Finding::ok("bpffs", HOST, format!("{} is in a bpffs", pin.display())),
        Ok(false) => {
            let what = format!("{} is not in a BPF file system", pin.display());
            Finding::problem("bpffs", HOST, what).remedy(mount_bpffs(pin))
        }
        Err(why) => Finding::unknown("bpffs", HOST, why),
    }
}

fn certificates(subject: &Subject, facts: &Facts) -> Vec<Finding> {
    let certificates = match &facts.certificates {
        None => return Vec::new(),
        Some(Err(why)) if why.contains("Permission denied") => {
            return vec![unknown(subject, facts, "tls", HOST, why)];
        }
        Some(Err(why)) => return vec![Finding::problem("tls", HOST, why.clone())],
        Some(Ok(certificates)) => certificates,
    };
    let judge = |certificate: &super::super::facts::Certificate| {
        let path = certificate.path.display();
        let show = format!("openssl x509 -noout -subject -enddate -in {path}");
        match certificate.expires.duration_since(facts.now) {
            Err(_) => Finding::problem("tls", HOST, format!("certificate {path} has expired"))
                .remedy(show),
            Ok(left) if left < SOON => {
                let days = left.as_secs() / (24 * 3600);
                let what = format!("certificate {path} expires in {days} days");
                Finding::warning("tls", HOST, what).remedy(show)
            }
            Ok(_) => Finding::ok("tls", HOST, format!("certificate {path} is valid")),
        }
    };
    certificates.iter().map(judge).collect()
}
