//! Why nothing arrives: looks at an edge or a server and says what is wrong
//! with it, each thing with its remedy.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`subject`] | what the host is meant to be |
//! | `gather` | looks at it, and changes nothing |
//! | `facts` | what was found: plain data |
//! | `judge` | from facts to findings: pure functions |
//! | [`finding`] | what there is to say |

mod facts;
pub mod finding;
mod gather;
mod judge;
pub mod subject;

use self::{facts::Facts, finding::Finding, subject::Subject};
use crate::{config::ServiceSettings, model::ServiceSpec};

/// Looks at this host, for a second or two. The worst findings come first.
pub async fn examine(subject: &Subject) -> Vec<Finding> {
    let facts = gather::gather(subject).await;
    judge::judge(subject, &facts)
}

/// The services that count here: what packets see, else what the manager has,
/// else what the file says.
fn services(subject: &Subject, facts: &Facts) -> Vec<ServiceSpec> {
    let live = facts.services();
    if live.is_empty() {
        subject.services.iter().map(ServiceSettings::spec).collect()
    } else {
        live
    }
}
