//! A real web server that answers its own name.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{Client, Host, Process, eventually};

/// Bytes of the file that downloads fetch.
pub(crate) const DOWNLOAD_BYTES: usize = 3 << 20;
/// Pace of a slow download, bytes a second.
const SLOW_RATE: &str = "512k";

const START: Duration = Duration::from_secs(10);

/// Starts nginx on `host`, and waits until it is listening on every one of `ports` in both families.
///
/// | path | answer |
/// | --- | --- |
/// | `/` and any other | the host's name and a line feed |
/// | `/file` | the lab's file, named in header `X-Server` |
/// | `/slow` | the same, 512 KiB a second |
pub(crate) fn start(host: &Host, ports: &[u16], file: &Path) -> Result<Process> {
    let config = write_config(host, ports, file)?;
    let mut nginx = host.spawn("nginx", "nginx", &["-c".as_ref(), config.as_os_str()])?;
    for &port in ports {
        let address = (host.address(false), port).into();
        eventually(START, "nginx to listen", || {
            nginx.check_alive()?;
            Ok(Client::of(host).connect(address)?.stream.ok())
        })?;
    }
    Ok(nginx)
}

fn write_config(host: &Host, ports: &[u16], file: &Path) -> Result<PathBuf> {
    let name = host.name();
    let dir = host.dir.display();
    let file = file.display();
    let listen: String = ports
        .iter()
        .map(|port| format!("listen *:{port} backlog=4096; listen [::]:{port} backlog=4096;\n"))
        .collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let config = format!(
        r#"
daemon off;
# One process: killing it kills the server.
master_process off;
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    {temporary}
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    add_header X-Server {name};
    server {{
        {listen}
        location / {{ return 200 "{name}\n"; }}
        location = /file {{ alias {file}; }}
        location = /slow {{ alias {file}; limit_rate {SLOW_RATE}; }}
    }}
}}
"#
    );
    let path = host.dir.join("nginx.conf");
    fs::write(&path, config).with_context(|| path.display().to_string())?;
    Ok(path)
}
