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
    let mut lost: BTreeMap<Bind, String> =
        binds.into_iter().map(|bind| (bind, String::new())).collect();
    for _ in 0..TRIES {
        if lost.is_empty() {
            break;
        }
        let mut free = free(rows).into_iter();
        let mut sets = Window::default();
        for (bind, why) in std::mem::take(&mut lost) {
            let Some(name) = config.virtual_name(*bind.service.ip()) else {
                refuse(bind, "its virtual server is not there", outcome);
                continue;
            };
            let Some(index) = free.next() else {
                let full = "its table of bindings is full";
                refuse(bind, if why.is_empty() { full } else { &why }, outcome);
                continue;
            };
            // Also of a row that is another's in the end.
            rows.insert(index, None);
            let (client, pdu) = (session.writes.clone(), tables::bind(bind, name, index));
            let ours = (name.to_owned(), real_name(*bind.server.ip()));
            sets.add(async move { Ok((index, (bind, ours, set(&client, &pdu).await?))) });
        }
        let done: BTreeMap<_, _> = sets.finish().await?.into_iter().collect();
        let indexes: Vec<_> = done.keys().copied().collect();
        let owners = owners(session, &indexes).await?;
        for (index, (bind, ours, set)) in done {
            match (set, owners.get(&index).and_then(Option::as_ref)) {
                (Ok(()), Some(owner)) if *owner == ours => {
                    rows.insert(index, Some(bind));
                    let step = Step::Bind(vec![bind]);
                    config.take(&step);
                    outcome.taken.push(step);
                }
                (Ok(()), _) => {
                    lost.insert(bind, format!("row {index} is another's now"));
                }
                // Nobody has it: it is not the index that is refused.
                (Err(words), None) => {
                    rows.remove(&index);
                    refuse(bind, &words, outcome);
                }
                (Err(words), Some(_)) => {
                    lost.insert(bind, words);
                }
            }
        }
    }
    for (bind, why) in lost {
        refuse(bind, &why, outcome);
    }
    Ok(())
}

/// Free indexes, at random: another manager that looks for some finds others.
fn free(rows: &Rows) -> Vec<u32> {
    let mut free: Vec<_> = (1..=tables::BINDS).filter(|index| !rows.contains_key(index)).collect();
    fastrand::shuffle(&mut free);
    free
}

fn refuse(bind: Bind, why: &str, outcome: &mut Outcome) {
    outcome.refusals.push(format!("{}: {why}", subject(&Step::Bind(vec![bind]))));
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
