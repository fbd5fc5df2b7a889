//! Secrets that options name, and do not hold.

use std::{env, fmt, fs, path::PathBuf};

/// The longest secret that is taken.
const MOST: usize = 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretSource {
    /// Its first line.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// A secret. It has no way into a log.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl SecretSource {
    /// Out of the options `NAME_file` and `NAME_env`, of which there may be one.
    ///
    /// # Errors
    /// Where there are both.
    pub fn of(
        name: &str,
        file: Option<PathBuf>,
        variable: Option<String>,
    ) -> Result<Option<Self>, String> {
        match (file, variable) {
            (Some(_), Some(_)) => {
                Err(format!("`{name}_file` and `{name}_env` are both there: leave one out"))
            }
            (Some(file), None) => Ok(Some(Self::File(file))),
            (None, Some(variable)) => Ok(Some(Self::Env(variable))),
            (None, None) => Ok(None),
        }
    }

    /// Reads it. Each login does, so that a changed secret is known without a restart.
    ///
    /// # Errors
    /// Says what cannot be read, and why; never what was read.
    pub fn read(&self) -> Result<Secret, String> {
        let (place, text) = match self {
            Self::File(path) => {
                let text = fs::read_to_string(path);
                (path.display().to_string(), text.map_err(|error| error.to_string()))
            }
            Self::Env(name) => {
                let text = env::var(name).map_err(|error| match error {
                    env::VarError::NotPresent => "there is no such variable".to_owned(),
                    env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
                });
                (format!("environment variable {name}"), text)
            }
        };
        let text = text.map_err(|why| format!("a secret cannot be read from {place}: {why}"))?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() || line.len() > MOST || line.chars().any(char::is_control) {
            return Err(format!(
                "{place} holds no secret: its first line should be one, of 1 to {MOST} bytes"
            ));
        }
        Ok(Secret(line.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file_and_does_not_show() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("password");
        fs::write(&path, "hunter2\nnot this\n").expect("write");
        let secret = SecretSource::File(path.clone()).read().expect("a secret");
        assert_eq!(secret.reveal(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        fs::write(&path, "\n").expect("write");
        let error = SecretSource::File(path).read().expect_err("empty");
        assert!(error.contains("holds no secret"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let file = SecretSource::File("/nowhere/password".into()).read().expect_err("no file");
        assert!(file.contains("/nowhere/password"), "{file}");
        let env = SecretSource::Env("SLUICE_TEST_NO_SUCH".into()).read().expect_err("none");
        assert!(env.contains("SLUICE_TEST_NO_SUCH"), "{env}");
        let both = SecretSource::of("password", Some("/a".into()), Some("B".into()));
        assert!(both.expect_err("both").contains("password_env"));
    }
}
