//! What the manager says, and whether it can be reached at all.

use std::{fs, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::time::SystemTime;
use tokio::time::timeout;

use crate::{
    config::TlsSettings,
    doctor::facts::{Backend, Certificate, Known, Manager, Served, Switch},
    model::{Name, ServiceSpec, Share},
    proto::v1::{self, ListRequest, StatusRequest, control_client::ControlClient},
    transport,
};

/// How long it has to answer.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn ask(target: &str, tls: Option<&TlsSettings>) -> Known<Manager> {
    timeout(PATIENCE, talk(target, tls))
        .await
        .unwrap_or_else(|_| Err(format!("no answer from {target} within {}s", PATIENCE.as_secs())))
}

async fn talk(target: &str, tls: Option<&TlsSettings>) -> Known<Manager> {
    let channel = transport::connect(target, tls).await.map_err(|error| format!("{error:#}"))?;
    let mut control = ControlClient::new(channel);
    let failed = |status: tonic::Status| transport::call_failure(&status);
    let status = control.status(StatusRequest {}).await.map_err(failed)?.into_inner();
    let all = ListRequest::default;
    let services = control.list_services(all()).await.map_err(failed)?.into_inner().services;
    let backends = control.list_backends(all()).await.map_err(failed)?.into_inner().backends;
    let switches = control.list_switches(all()).await.map_err(failed)?.into_inner().switches;
    Ok(Manager {
        learning: status.learning_left_nanos > 0,
        alarms: status.alarms,
        services: services.into_iter().filter_map(served).collect(),
        backends: backends.into_iter().map(Backend::from).collect(),
        switches: switches.into_iter().map(Switch::from).collect(),
    })
}

/// A newer manager may have a service that this program cannot understand.
fn served(view: v1::ServiceView) -> Option<Served> {
    let refused = view.policies.iter().filter_map(|policy| {
        let class = policy.class.parse::<Name>().ok()?;
        Some((class, Share::from_ppm(policy.refuse_ppm)?))
    });
    Some(Served { refused: refused.collect(), spec: ServiceSpec::try_from(view.service?).ok()? })
}

impl From<v1::BackendView> for Backend {
    fn from(view: v1::BackendView) -> Self {
        let v1::BackendView { service, backend, weight, state, reason, .. } = view;
        Self { service, address: backend, weight, state, reason }
    }
}

impl From<v1::SwitchView> for Switch {
    fn from(view: v1::SwitchView) -> Self {
        Self { name: view.name, connected: view.connected, error: view.last_error }
    }
}

/// When the certificates of a configuration expire.
pub(super) fn certificates(tls: &TlsSettings) -> Known<Vec<Certificate>> {
    transport::check_files(tls).map_err(|error| format!("{error:#}"))?;
    let mut found = Vec::new();
    for path in [&tls.ca, &tls.cert] {
        let broken = |what: String| format!("{}: {what}", path.display());
        let pem = fs::read(path).map_err(|error| broken(error.to_string()))?;
        for der in CertificateDer::pem_slice_iter(&pem) {
            let der = der.map_err(|error| broken(error.to_string()))?;
            let (_, certificate) = x509_parser::parse_x509_certificate(&der)
                .map_err(|error| broken(error.to_string()))?;
            let seconds = certificate.validity().not_after.timestamp();
            let expires =
                SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
            found.push(Certificate { path: path.clone(), expires });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["manager".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 5, 17);
        let certificate = params.self_signed(&key).unwrap();
        let [ca, cert, key_file] = ["ca", "cert", "key"].map(|name| dir.path().join(name));
        fs::write(&ca, certificate.pem()).unwrap();
        fs::write(&cert, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        let tls = TlsSettings { ca, cert: cert.clone(), key: key_file, server_name: None };
        let found = certificates(&tls).unwrap();
        assert_eq!(found.len(), 2);
        // date -u -d 2031-05-17 +%s
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_936_742_400);
        assert_eq!(found[1].expires, expires);
        fs::write(&cert, "nothing").unwrap();
        assert!(certificates(&tls).unwrap_err().contains("cert"), "{:?}", certificates(&tls));
    }
}
