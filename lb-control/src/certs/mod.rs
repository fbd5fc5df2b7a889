//! A development authority: certificates for trying mutual TLS out. Where
//! there is an authority already (SPIRE, Vault, a company's own), its
//! certificates do as well, and better: it renews them.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::pem::parse_x509_pem;

use crate::{
    model::Name,
    transport::{Target, identities},
};

/// Clocks of other hosts may be late by so much.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Who a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Holder {
    /// Others connect to it: needs --host
    Manager,
    Edge,
    Agent,
    /// Looks and changes.
    Operator,
    /// Looks only.
    Viewer,
}

impl Holder {
    pub fn name(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Edge => "edge",
            Self::Agent => "agent",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// A certificate, as its file says.
#[derive(Debug)]
pub struct Shown {
    /// What `[[manager.allow]]` goes by.
    pub identities: Vec<String>,
    pub begins: SystemTime,
    pub ends: SystemTime,
    pub is_authority: bool,
}

/// Files that were made.
#[derive(Debug)]
pub struct Made {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub shown: Shown,
}

/// Makes an authority in a directory: `ca.pem` and `ca.key`. `domain` begins
/// the identities of what it will issue (a SPIFFE trust domain).
///
/// # Errors
/// One is there already, or a file cannot be written.
pub fn init(directory: &Path, domain: &str, days: u32) -> anyhow::Result<Made> {
    let host = format!("{domain}:1").parse::<Target>();
    ensure!(
        host.is_ok() && *domain == domain.to_lowercase(),
        "`{domain}` is no trust domain: write it as a host name in lower case"
    );
    fs::create_dir_all(directory)
        .with_context(|| format!("directory {} cannot be made", directory.display()))?;
    // Each by a name of its own: what another one of the same domain has signed
    // is then said to be of an unknown issuer, and not to have a bad signature.
    let number = fastrand::u32(..);
    let title = format!("{domain} development authority {number:08x}");
    let mut params = params(&title, days, None)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))?];
    let key = KeyPair::generate()?;
    let cert = params.self_signed(&key)?.pem();
    write(directory, "ca", &cert, &key.serialize_pem())
}

/// Issues a certificate by the authority in a directory, and its key: `NAME.pem`
/// and `NAME.key`. `hosts` are names and addresses that others connect to.
///
/// # Errors
/// No authority is there or it has expired, a file of this name is there
/// already, or cannot be written.
pub fn issue(
    directory: &Path,
    name: &Name,
    holder: Holder,
    hosts: &[String],
    days: u32,
) -> anyhow::Result<Made> {
    ensure!(name.as_str() != "ca", "`ca` is the authority itself: choose another name");
    ensure!(
        holder != Holder::Manager || !hosts.is_empty(),
        "a manager's certificate needs --host: the names or addresses that others connect to"
    );
    let authority = Authority::open(directory)?;
    let mut params = params(name.as_str(), days, Some(authority.ends))?;
    let identity = format!("spiffe://{}/{}/{name}", authority.domain, holder.name());
    params.subject_alt_names = vec![uri(&identity)?];
    for host in hosts {
        params.subject_alt_names.push(match host.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(
                host.as_str().try_into().with_context(|| format!("`{host}` is no host name"))?,
            ),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Only a manager's certificate can play the manager.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if holder == Holder::Manager {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &authority.issuer)?.pem();
    write(directory, name.as_str(), &cert, &key.serialize_pem())
}

/// What the first certificate of a PEM file says.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn show(path: &Path) -> anyhow::Result<Shown> {
    let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&pem).with_context(|| format!("{} holds no certificate in PEM", path.display()))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    domain: String,
    ends: SystemTime,
}

impl Authority {
    fn open(directory: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).with_context(|| {
                format!(
                    "no authority: cannot read {} (`sluice certs init {}` makes one)",
                    path.display(),
                    directory.display()
                )
            })
        };
        let (cert, key) = (file("ca.pem")?, file("ca.key")?);
        let broken = || format!("the authority in {} cannot be used", directory.display());
        let key = KeyPair::from_pem(&key).with_context(broken)?;
        let shown = read(cert.as_bytes()).with_context(broken)?;
        ensure!(
            shown.ends > SystemTime::now(),
            "the authority in {} expired on {}: make another one, in another directory",
            directory.display(),
            day(shown.ends)
        );
        let domain = shown.identities.iter().find_map(|name| name.strip_prefix("spiffe://"));
        let domain = domain
            .with_context(|| {
                format!(
                    "the authority in {} was not made by `sluice certs init`: it names no trust \
                     domain",
                    directory.display()
                )
            })?
            .to_owned();
        let (_, pem) = parse_x509_pem(cert.as_bytes()).with_context(broken)?;
        let theirs = pem.parse_x509().with_context(broken)?.public_key().raw.to_vec();
        if theirs != rcgen::PublicKeyData::subject_public_key_info(&key) {
            bail!("ca.pem and ca.key in {} do not go together", directory.display());
        }
        let issuer = Issuer::from_ca_cert_pem(&cert, key).with_context(broken)?;
        Ok(Self { issuer, domain, ends: shown.ends })
    }
}

fn params(name: &str, days: u32, latest: Option<SystemTime>) -> anyhow::Result<CertificateParams> {
    let now = SystemTime::now();
    let end = now + DAY * days.clamp(1, 36_500);
    let mut params = CertificateParams::new([])?;
    params.not_before = (now - BACKDATED).into();
    params.not_after = latest.map_or(end, |latest| end.min(latest)).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn uri(text: &str) -> anyhow::Result<SanType> {
    Ok(SanType::URI(text.try_into().with_context(|| format!("`{text}` is no URI"))?))
}

fn read(pem: &[u8]) -> anyhow::Result<Shown> {
    let (_, pem) = parse_x509_pem(pem)?;
    ensure!(pem.label == "CERTIFICATE", "it holds a {}", pem.label.to_lowercase());
    let certificate = pem.parse_x509()?;
    let moment = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
    };
    let validity = certificate.validity();
    Ok(Shown {
        identities: identities(&pem.contents),
        begins: moment(validity.not_before.timestamp()),
        ends: moment(validity.not_after.timestamp()),
        is_authority: certificate.is_ca(),
    })
}

/// The date of a moment, in UTC.
pub fn day(moment: SystemTime) -> String {
    time::OffsetDateTime::from(moment).date().to_string()
}

/// Puts a certificate and its key beside each other, both or none.
fn write(directory: &Path, name: &str, cert: &str, key: &str) -> anyhow::Result<Made> {
    let directory = std::path::absolute(directory)?;
    let path = |extension: &str| directory.join(format!("{name}.{extension}"));
    let made = Made {
        ca: directory.join("ca.pem"),
        cert: path("pem"),
        key: path("key"),
        shown: read(cert.as_bytes())?,
    };
    put(&made.key, key, 0o600)?;
    if let Err(error) = put(&made.cert, cert, 0o644) {
        // It is ours, and good for nothing without its certificate.
        drop(fs::remove_file(&made.key));
        return Err(error);
    }
    Ok(made)
}

/// Writes a file that was not there, whole or not at all.
fn put(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let directory = path.parent().context("a file has a directory")?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(())
    };
    match write() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "{} is there already, and is never overwritten: choose another name or directory, or \
             remove it",
            path.display()
        ),
        outcome => outcome.with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests;
