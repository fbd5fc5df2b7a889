//! No secret reaches a log, whatever is logged.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};
use serde_json::json;
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt as _};

use super::languages::*;

/// All that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().map_err(|_| io::ErrorKind::Other)?.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn no_secret_reaches_a_log() -> Result<()> {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // Of this thread, on which the device's runtime is.
    let _guard = subscriber.set_default();
    let wrong = tempfile::NamedTempFile::new()?;
    std::fs::write(wrong.path(), "a-wrong-secret\n")?;
    for language in Language::ALL {
        let mut bench = Bench::new(language, options())?;
        bench.start(&www(&[(1, serve(1))]))?;
        bench.poll()?;
        // And where the login fails.
        let option = match language {
            Language::Telnet | Language::Ssh => "password_file",
            Language::V2c => "community_file",
            Language::V3 => "auth_password_file",
        };
        let mut bench = Bench::with(language, options(), json!({ option: wrong.path() }))?;
        let failure = bench.read().expect_err("a wrong secret");
        ensure!(!failure.to_string().contains("a-wrong-secret"), "{failure}");
    }
    let bytes = log.0.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.clone();
    let text = String::from_utf8_lossy(&bytes);
    // The libraries do log: what they do not say is worth something.
    for target in ["russh", "async_snmp"] {
        ensure!(text.contains(target), "{target} logs nothing");
    }
    let secrets = [
        TELNET_PASSWORD,
        ENABLE_PASSWORD,
        COMMUNITY,
        AUTH_PASSWORD,
        PRIV_PASSWORD,
        "a-wrong-secret",
    ];
    for secret in secrets {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{:?}", secret.as_bytes());
        for shown in [secret, &hex, list.trim_matches(['[', ']'])] {
            let line = text.lines().find(|line| line.contains(shown));
            ensure!(line.is_none(), "`{secret}` is in the log: {line:?}");
        }
    }
    Ok(())
}
