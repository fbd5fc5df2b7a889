//! `sluice certs`

use std::{path::PathBuf, time::SystemTime};

use serde::Serialize;

use crate::{
    certs::{self, Holder, Made, Shown},
    cli::{Failure, args::CertsCommand, output::Output},
    model::Name,
};

/// What `-o json` prints of files that were made.
#[derive(Debug, Serialize)]
struct MadeView<'a> {
    ca: &'a PathBuf,
    cert: &'a PathBuf,
    key: &'a PathBuf,
    #[serde(flatten)]
    certificate: CertificateView<'a>,
}

/// What `-o json` prints of a certificate.
#[derive(Debug, Serialize)]
struct CertificateView<'a> {
    /// What `[[manager.allow]]` goes by; the first is shown in events.
    identities: &'a [String],
    /// RFC 3339.
    begins: String,
    ends: String,
    authority: bool,
}

impl<'a> From<&'a Shown> for CertificateView<'a> {
    fn from(shown: &'a Shown) -> Self {
        let moment = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
        Self {
            identities: &shown.identities,
            begins: moment(shown.begins),
            ends: moment(shown.ends),
            authority: shown.is_authority,
        }
    }
}

pub fn certs(command: &CertsCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        CertsCommand::Init { directory, domain, days } => {
            let made = certs::init(directory, domain, *days)?;
            let next = format!(
                "\nNext: sluice certs issue NAME --role ROLE --dir {}",
                directory.display()
            );
            report(out, &made, &next)
        }
        CertsCommand::Issue { name, role, host, directory, days } => {
            let made = certs::issue(directory, name, *role, host, *days)?;
            report(out, &made, &advice(name, *role, &made))
        }
        CertsCommand::Show { file } => {
            let shown = certs::show(file)?;
            if out.is_json() {
                return out.document(&CertificateView::from(&shown));
            }
            let what = if shown.is_authority { "authority" } else { "certificate" };
            let (begins, ends) = (certs::day(shown.begins), certs::day(shown.ends));
            out.line(&format!("{what}, good from {begins} to {ends}"))?;
            if shown.identities.is_empty() {
                out.line("no identity: it has neither a URI nor a DNS name")?;
            }
            shown.identities.iter().try_for_each(|name| out.line(&format!("identity {name}")))
        }
    }
}

fn report(out: &mut Output, made: &Made, advice: &str) -> Result<(), Failure> {
    if out.is_json() {
        let certificate = CertificateView::from(&made.shown);
        let Made { ca, cert, key, .. } = made;
        return out.document(&MadeView { ca, cert, key, certificate });
    }
    out.line(&format!(
        "made {} and {}, good until {}, for development only",
        made.cert.display(),
        made.key.display(),
        certs::day(made.shown.ends)
    ))?;
    out.line(advice)
}

/// What to put into which file.
fn advice(name: &Name, role: Holder, made: &Made) -> String {
    let tls = format!(
        "\n# In the file of its holder:\n[tls]\nca = {:?}\ncert = {:?}\nkey = {:?}",
        made.ca, made.cert, made.key
    );
    let identity = made.shown.identities.first().map_or("", String::as_str);
    let names = match role {
        Holder::Manager => return tls,
        Holder::Agent | Holder::Edge => format!("\nnames = [\"{name}\"]"),
        Holder::Operator | Holder::Viewer => String::new(),
    };
    let role = role.name();
    format!(
        "{tls}\n\n# In the manager's:\n[[manager.allow]]\nidentity = \"{identity}\"\nrole = \
         \"{role}\"{names}"
    )
}
