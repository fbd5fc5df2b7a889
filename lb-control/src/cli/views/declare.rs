//! `sluice apply` and `diff`.

use serde::Serialize;

use super::{ChangeView, optional};
use crate::proto::v1;

/// What an applied file changed, or would change.
#[derive(Debug, Serialize)]
pub struct ApplyView {
    pub alterations: Vec<AlterationView>,
    #[serde(flatten)]
    pub change: ChangeView,
}

/// What a switch holds beside what it should.
#[derive(Debug, Serialize)]
pub struct ComparisonView {
    /// From what it holds to what it should.
    pub alterations: Vec<AlterationView>,
    /// Without a session there is no telling what it holds by now.
    pub connected: bool,
}

impl From<v1::SwitchComparison> for ComparisonView {
    fn from(comparison: v1::SwitchComparison) -> Self {
        Self {
            alterations: comparison.alterations.into_iter().map(Into::into).collect(),
            connected: comparison.connected,
        }
    }
}

/// One difference between a file and the intent.
#[derive(Debug, Serialize)]
pub struct AlterationView {
    /// `add`, `change` or `remove`.
    pub action: String,
    /// `service`, `setting`, `backend`, `weight`, `removal` or `policy`.
    pub what: String,
    pub service: String,
    /// An address, a class, a setting; none for the service itself.
    pub name: Option<String>,
    /// For people.
    pub before: Option<String>,
    /// For people.
    pub after: Option<String>,
}

impl From<v1::ApplyReply> for ApplyView {
    fn from(reply: v1::ApplyReply) -> Self {
        Self {
            alterations: reply.alterations.into_iter().map(Into::into).collect(),
            change: reply.change.unwrap_or_default().into(),
        }
    }
}

impl From<v1::Alteration> for AlterationView {
    fn from(alteration: v1::Alteration) -> Self {
        Self {
            action: alteration.action,
            what: alteration.what,
            service: alteration.service,
            name: optional(alteration.name),
            before: optional(alteration.before),
            after: optional(alteration.after),
        }
    }
}

impl AlterationView {
    /// `~ www backend 10.0.0.11:80: weight 100 -> weight 50`
    pub fn line(&self) -> String {
        let sign = match self.action.as_str() {
            "add" => '+',
            "remove" => '-',
            _ => '~',
        };
        let name = self.name.as_ref().map_or(String::new(), |name| format!(" {name}"));
        let what = match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!(": {before} -> {after}"),
            (Some(only), None) | (None, Some(only)) => format!(": {only}"),
            (None, None) => String::new(),
        };
        format!("{sign} {} {}{name}{what}", self.service, self.what)
    }
}
