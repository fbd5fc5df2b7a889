//! The secret of the flow hash: the same on all edges of a site, unknown to
//! clients.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use tracing::{info, warn};

/// Reads the secret from `path`. When there is no such file it is made, with
/// `live`, the secret that packets are hashed with already, or a random one.
///
/// # Errors
/// When the file holds something else than 32 hex digits, or another secret
/// than `live`.
pub(super) fn load(path: &Path, live: Option<[u64; 2]>) -> anyhow::Result<[u64; 2]> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return make(path, live),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("flow key file {} cannot be read", path.display()));
        }
    };
    let key = parse(text.trim()).with_context(|| {
        format!("flow key file {} does not hold 32 hex digits, not all 0", path.display())
    })?;
    if live.is_some_and(|live| live != key) {
        bail!(
            "flow key file {} holds another secret than the pinned data path uses, and the flow \
             hash would send connections elsewhere: put the old file back (removing it makes it \
             anew with the secret in use), or run `sluice detach` and start again",
            path.display()
        );
    }
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        warn!(
            "flow key file {path} can be read by others (mode {mode:03o}), who can then aim \
             connections at one backend: chmod 600 {path}",
            path = path.display(),
            mode = mode & 0o777
        );
    }
    Ok(key)
}

fn parse(text: &str) -> Option<[u64; 2]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let half = |range| u64::from_str_radix(&text[range], 16).ok();
    let key = [half(0..16)?, half(16..32)?];
    (key != [0, 0]).then_some(key)
}

fn make(path: &Path, live: Option<[u64; 2]>) -> anyhow::Result<[u64; 2]> {
    let key = match live {
        Some(key) => key,
        None => random()?,
    };
    let failed = || format!("flow key file {} cannot be made", path.display());
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(failed)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(failed)?;
    writeln!(file, "{:016x}{:016x}", key[0], key[1]).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    info!("made flow key file {}; copy it to the other edges of this site", path.display());
    Ok(key)
}

fn random() -> anyhow::Result<[u64; 2]> {
    let mut bytes = [[0; 8]; 2];
    let mut source = File::open("/dev/urandom").context("/dev/urandom cannot be opened")?;
    for half in &mut bytes {
        source.read_exact(half).context("/dev/urandom cannot be read")?;
    }
    Ok(bytes.map(u64::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_made_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/flow.key");
        let key = load(&path, None).unwrap();
        assert_ne!(key, [0, 0]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path, None).unwrap(), key);
        assert_eq!(load(&path, Some(key)).unwrap(), key);
    }

    #[test]
    fn a_live_secret_is_written_down_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flow.key");
        assert_eq!(load(&path, Some([1, 2])).unwrap(), [1, 2]);
        let error = load(&path, Some([3, 4])).unwrap_err().to_string();
        assert!(error.contains("sluice detach"), "{error}");
    }

    #[test]
    fn only_32_hex_digits_are_a_secret() {
        assert_eq!(
            parse("0123456789abcdef0123456789ABCDEF"),
            Some([0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef])
        );
        for bad in [
            "",
            "0",
            &"0".repeat(32),
            &"g".repeat(32),
            &"1".repeat(33),
            "+123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn fuzzed_flow_key() {
        crate::testing::Fuzz::new("flow-key").run(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            let Some(key) = parse(text.trim()) else { return };
            assert_eq!(parse(&format!("{:016x}{:016x}", key[0], key[1])), Some(key));
        });
    }
}
