//! Bindings, written as rows of a table whose indexes mean nothing.

use std::collections::BTreeMap;

use super::{
    super::{
        config::{Bind, Config, real_name},
        driver::Outcome,
        steps::Step,
    },
    Session,
    read::{self, Rows},
    tables,
    write::{Window, set, subject},
};
use crate::switch::Failure;

/// Rows that are tried for a binding, where others take them first.
const TRIES: usize = 3;

/// Makes rows, and looks then whose they are: another manager may take the same index at
/// the same time. Who has lost its row tries another one.
pub(super) async fn make(
    session: &Session,
    binds: Vec<Bind>,
    config: &mut Config,
    rows: &mut Rows,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut making = Making::new(binds, config, rows, outcome);
    loop {
        let attempts = making.attempts();
        if attempts.is_empty() {
            return Ok(());
        }
        let indexes: Vec<_> = attempts.iter().map(|attempt| attempt.index).collect();
        let mut sets = Window::default();
        for attempt in attempts {
            let client = session.writes.clone();
            let pdu = tables::bind(attempt.bind, &attempt.owner.0, attempt.index);
            sets.add(async move { Ok((attempt, set(&client, &pdu).await?)) });
        }
        let done = sets.finish().await?;
        let owners = owners(session, &indexes).await?;
        for (attempt, set) in done {
            let owner = owners.get(&attempt.index).and_then(Option::as_ref);
            making.judge(attempt, set, owner);
        }
    }
}

/// Bindings on their way into rows.
pub(super) struct Making<'a> {
    /// Those that have none yet, and why they lost the one before.
    waiting: BTreeMap<Bind, String>,
    tries: usize,
    config: &'a mut Config,
    rows: &'a mut Rows,
    outcome: &'a mut Outcome,
}

/// A binding, and the row that it is written to.
pub(super) struct Attempt {
    pub(super) index: u32,
    pub(super) bind: Bind,
    /// Names of its virtual and its real server: whose the row is, if it is ours.
    pub(super) owner: (String, String),
}

impl<'a> Making<'a> {
    pub(super) fn new(
        binds: Vec<Bind>,
        config: &'a mut Config,
        rows: &'a mut Rows,
        outcome: &'a mut Outcome,
    ) -> Self {
        let waiting = binds.into_iter().map(|bind| (bind, String::new())).collect();
        Self { waiting, tries: TRIES, config, rows, outcome }
    }

    /// What is to be written now; none: all have their rows, or were refused.
    pub(super) fn attempts(&mut self) -> Vec<Attempt> {
        let waiting = std::mem::take(&mut self.waiting);
        if self.tries == 0 {
            waiting.iter().for_each(|(bind, why)| self.refuse(*bind, why));
            return Vec::new();
        }
        self.tries -= 1;
        let mut free = free(self.rows).into_iter();
        let mut attempts = Vec::new();
        for (bind, why) in waiting {
            let Some(name) = self.config.virtual_name(*bind.service.ip()) else {
                self.refuse(bind, "its virtual server is not there");
                continue;
            };
            let owner = (name.to_owned(), real_name(*bind.server.ip()));
            let Some(index) = free.next() else {
                let full = "its table of bindings is full";
                self.refuse(bind, if why.is_empty() { full } else { &why });
                continue;
            };
            // Also of a row that is another's in the end.
            self.rows.insert(index, None);
            attempts.push(Attempt { index, bind, owner });
        }
        attempts
    }

    /// What became of one: what the box said to it, and who has the row now.
    pub(super) fn judge(
        &mut self,
        Attempt { index, bind, owner: ours }: Attempt,
        set: Result<(), String>,
        owner: Option<&(String, String)>,
    ) {
        match (set, owner) {
            (Ok(()), Some(owner)) if *owner == ours => {
                self.rows.insert(index, Some(bind));
                let step = Step::Bind(vec![bind]);
                self.config.take(&step);
                self.outcome.taken.push(step);
            }
            (Ok(()), _) => {
                self.waiting.insert(bind, format!("row {index} is another's now"));
            }
            // Nobody has it: it is not the index that is refused.
            (Err(words), None) => {
                self.rows.remove(&index);
                self.refuse(bind, &words);
            }
            (Err(words), Some(_)) => {
                self.waiting.insert(bind, words);
            }
        }
    }

    fn refuse(&mut self, bind: Bind, why: &str) {
        let subject = subject(&Step::Bind(vec![bind]));
        self.outcome.refusals.push(format!("{subject}: {why}"));
    }
}

/// Free indexes, at random: another manager that looks for some finds others.
fn free(rows: &Rows) -> Vec<u32> {
    let mut free: Vec<_> = (1..=tables::BINDS).filter(|index| !rows.contains_key(index)).collect();
    fastrand::shuffle(&mut free);
    free
}

/// Who has each row, as many of them in one request as it takes.
async fn owners(session: &Session, indexes: &[u32]) -> Result<BTreeMap<u32, read::Owner>, Failure> {
    let mut reads = Window::default();
    for indexes in indexes.chunks(read::OWNERS) {
        let (client, indexes) = (session.reads.clone(), indexes.to_vec());
        reads.add(async move {
            let owners = read::owners(&client, &indexes).await?;
            Ok(indexes.into_iter().zip(owners).collect::<Vec<_>>())
        });
    }
    Ok(reads.finish().await?.into_iter().flatten().collect())
}
