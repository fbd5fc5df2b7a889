//! Prompts: `NAME>`, `NAME#`, `NAME(config)#`, `NAME(config-rs-REAL)#` and
//! `NAME(config-vs-VIRTUAL)#`, where over telnet and SSH `NAME` may be `telnet@NAME` and
//! `SSH@NAME`.

/// Where commands are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Before `enable`.
    User,
    Enabled,
    Config,
    Real(String),
    Virtual(String),
}

/// The name of a box, as its prompts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host(String);

/// Longest name of a box that is believed.
const LONGEST: usize = 80;

impl Host {
    /// Out of the first prompt, which is that of [`Mode::User`] or [`Mode::Enabled`].
    pub fn of_prompt(line: &str) -> Option<(Self, Mode)> {
        let line = line.trim();
        let (name, mode) = match (line.strip_suffix('>'), line.strip_suffix('#')) {
            (Some(name), _) => (name, Mode::User),
            (None, Some(name)) => (name, Mode::Enabled),
            (None, None) => return None,
        };
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        let good = (1..=LONGEST).contains(&name.len()) && name.chars().all(fit);
        good.then(|| (Self(name.to_owned()), mode))
    }

    /// Whether a line is the prompt of a mode. A long name may be cut in it.
    pub fn prompts(&self, line: &str, mode: &Mode) -> bool {
        let line = line.trim();
        let bare = self.0.rsplit('@').next().unwrap_or(&self.0);
        let rest = line.strip_prefix(self.0.as_str()).or_else(|| line.strip_prefix(bare));
        let Some(rest) = rest else { return false };
        let within = |kind: &str, name: &str| {
            let named = rest.strip_prefix(kind).and_then(|rest| rest.strip_suffix(")#"));
            named.is_some_and(|shown| !shown.is_empty() && name.starts_with(shown))
        };
        match mode {
            Mode::User => rest == ">",
            Mode::Enabled => rest == "#",
            Mode::Config => rest == "(config)#",
            Mode::Real(name) => within("(config-rs-", name),
            Mode::Virtual(name) => within("(config-vs-", name),
        }
    }

    /// Without what says how one came in.
    pub fn name(&self) -> &str {
        self.0.rsplit('@').next().unwrap_or(&self.0)
    }
}
