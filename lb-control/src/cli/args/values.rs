//! How single values are written on the command line.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use crate::model::{Name, ServerId, Share, Weight};

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("write a time such as 250ms, 10s or 5m: {error}"))
}

pub(super) fn name(text: &str) -> Result<Name, String> {
    text.parse::<Name>().map_err(|error| error.to_string())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write address and port, such as 10.0.0.11:80 or [2001:db8::11]:80".to_owned())
}

/// A percentage, with or without its sign.
pub(super) fn share(text: &str) -> Result<Share, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    number
        .parse()
        .ok()
        .and_then(Share::from_percent)
        .ok_or_else(|| "write a percentage from 0 to 100, such as 12.5".to_owned())
}

/// `SERVICE=ADDRESS[,weight=N][,server-id=HEX]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub service: Name,
    pub address: SocketAddr,
    pub weight: Option<Weight>,
    pub server_id: Option<ServerId>,
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            "write SERVICE=ADDRESS[,weight=N][,server-id=HEX], such as www=10.0.0.11:80".to_owned()
        };
        let (service, rest) = text.split_once('=').ok_or_else(form)?;
        let mut parts = rest.split(',');
        let server = address(parts.next().unwrap_or_default())?;
        let mut bind =
            Self { service: name(service)?, address: server, weight: None, server_id: None };
        for option in parts {
            match option.split_once('=').ok_or_else(form)? {
                ("weight", weight) => {
                    let number = weight.parse();
                    bind.weight =
                        Some(number.map_err(|_| {
                            format!("`{weight}` is not a weight: write 0 to 65535")
                        })?);
                }
                ("server-id", id) => {
                    bind.server_id = Some(id.parse().map_err(|error| format!("{error}"))?);
                }
                _ => return Err(form()),
            }
        }
        Ok(bind)
    }
}
