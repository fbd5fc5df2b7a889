//! From a connection to commands: logging in, `enable`, and no pages.

use super::{
    options::Access,
    prompt::{Host, Mode},
    screen::{Screen, Seen, cut},
};
use crate::switch::Failure;

/// Questions that are answered before it is given up.
const QUESTIONS: usize = 8;

/// What the box asks, or says, while one logs in.
enum Asked {
    User,
    Password,
    Refused(String),
    Prompt(Host, Mode),
}

/// Logs in and makes all commands understood. The screen has just been connected.
///
/// # Errors
/// [`Failure::Lost`] with what it asks or says, never with what it was told.
pub(super) async fn login(screen: &mut Screen, access: &Access) -> Result<Host, Failure> {
    // Of a password before `enable` and one after it.
    let mut enabling = false;
    for _ in 0..QUESTIONS {
        match screen.until(asked).await? {
            Asked::User => {
                let user = access
                    .user
                    .as_deref()
                    .ok_or_else(|| Failure::Lost("it asks for a login name: set user".into()))?;
                screen.type_line(user).await?;
            }
            Asked::Password => {
                let secret = if enabling {
                    Access::secret(access.enable.as_ref(), "enable_password")
                } else {
                    Access::secret(access.password.as_ref(), "password")
                };
                let secret = secret.map_err(Failure::Lost)?;
                screen.type_line(secret.reveal()).await?;
            }
            Asked::Refused(words) => {
                let what = if enabling { "enable" } else { "the login" };
                return Err(Failure::Lost(format!("it refuses {what}: {}", cut(&words))));
            }
            Asked::Prompt(_, Mode::User) if enabling => {
                return Err(Failure::Lost("it refuses enable".into()));
            }
            Asked::Prompt(_, Mode::User) => {
                enabling = true;
                screen.type_line("enable").await?;
            }
            Asked::Prompt(host, _) => {
                screen.command(&host, "skip-page-display", &[&Mode::Enabled]).await?;
                return Ok(host);
            }
        }
    }
    Err(Failure::Lost(format!("it is not content with {QUESTIONS} answers at the login")))
}

fn asked(seen: &Seen<'_>) -> Option<Asked> {
    // A refusal may have the next question right after it.
    let refusal = seen.tail.lines().map(str::trim).find(|line| line.starts_with("Error - "));
    if let Some(refusal) = refusal.filter(|line| line.ends_with('.')) {
        return Some(Asked::Refused(refusal.to_owned()));
    }
    seen.last(|line| {
        let line = line.trim();
        if line.ends_with("Login Name:") || line.ends_with("User Name:") {
            return Some(Asked::User);
        }
        if line.ends_with("Password:") {
            return Some(Asked::Password);
        }
        let (host, mode) = Host::of_prompt(line)?;
        Some(Asked::Prompt(host, mode))
    })
}
