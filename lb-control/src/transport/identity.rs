//! Who a certificate says that its holder is.

use std::net::SocketAddr;

use tonic::Request;
use x509_parser::{extensions::GeneralName, prelude::parse_x509_certificate};

use crate::model::{Identity, Origin};

/// Names of a certificate that are looked at.
const NAMES: usize = 16;
/// The longest name, as DNS has it (RFC 1035 section 2.3.4); SPIFFE ids of this
/// length are long enough too.
const LENGTH: usize = 255;

/// The URI names of a certificate's subject alternative name (RFC 5280 section
/// 4.2.1.6), then its DNS names. A name with a wildcard names nobody, and one
/// that is longer than 255 bytes, or more than the first 16, are left out.
pub fn identities(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(der) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let (mut uris, mut hosts) = (Vec::new(), Vec::new());
    for name in names.value.general_names.iter().take(NAMES) {
        let (list, name) = match name {
            GeneralName::URI(uri) => (&mut uris, (*uri).to_owned()),
            GeneralName::DNSName(host) => (&mut hosts, host.to_lowercase()),
            _ => continue,
        };
        let printable = name.bytes().all(|b| b.is_ascii_graphic() && !b"*`\"".contains(&b));
        if printable && (1..=LENGTH).contains(&name.len()) {
            list.push(name);
        }
    }
    uris.append(&mut hosts);
    uris
}

/// Who sends a request that came over the network. TLS has already verified
/// the certificate, where there is one.
pub fn origin<T>(request: &Request<T>) -> Origin {
    let identity = match request.peer_certs().as_deref().and_then(|chain| chain.first()) {
        Some(leaf) => Identity::Certificate(identities(leaf)),
        None => Identity::Anonymous,
    };
    let source = request.remote_addr().as_ref().map(SocketAddr::ip);
    Origin { identity, source: source.map(|ip| ip.to_canonical()) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn uris_come_before_dns_names_and_the_common_name_is_none() {
        let mut params = CertificateParams::new(["Web-1.Example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "common.example");
        let more = [
            SanType::DnsName("*.example".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::URI("spiffe://example/agent/Web-1".try_into().unwrap()),
            SanType::URI("a`quote".try_into().unwrap()),
            SanType::DnsName("x".repeat(256).try_into().unwrap()),
        ];
        params.subject_alt_names.extend(more);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let found = identities(certificate.der());
        assert_eq!(found, ["spiffe://example/agent/Web-1", "web-1.example"]);
    }

    #[test]
    fn bytes_that_are_no_certificate_name_nobody() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["web-1.example".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        for cut in 0..der.len() {
            assert!(identities(&der[..cut]).is_empty(), "cut at {cut}");
        }
        for at in 0..der.len() {
            let mut broken = der.clone();
            broken[at] ^= 0xff;
            // Whatever it says, it is read without a panic.
            drop(identities(&broken));
        }
    }

    #[test]
    fn fuzzed_certificate() {
        crate::testing::Fuzz::new("certificate").run(|bytes| {
            let names = identities(bytes);
            assert!(names.len() <= NAMES && names.iter().all(|name| name.len() <= LENGTH));
            assert!(!names.iter().any(|name| name.contains(|c: char| !c.is_ascii_graphic())));
        });
    }
}
