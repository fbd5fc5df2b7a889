//! Bindings and their rows, where others write to the same table.

use std::collections::BTreeSet;

use super::{
    super::{
        super::config::Virtual,
        binding::{Attempt, Making},
        tables::BINDS,
    },
    *,
};

type Owner = (String, String);

fn bind(last: u8) -> Bind {
    Bind { service: at(VIP, 80), server: at(Ipv4Addr::new(10, 0, 0, last), 80) }
}

/// What becomes of bindings at a box that answers each attempt so, whose first rows are
/// taken: and the rows that were tried.
fn make(
    binds: &[Bind],
    taken: u32,
    mut answer: impl FnMut(usize, &Attempt) -> (Result<(), String>, Option<Owner>),
) -> (Outcome, Rows, Vec<u32>) {
    let mut config = Config::default();
    config.virtuals.insert(VIP, Virtual { name: "www".into(), ports: [80].into() });
    let mut rows: Rows = (1..=taken).map(|index| (index, None)).collect();
    let (mut outcome, mut tried) = (Outcome::default(), Vec::new());
    let mut making = Making::new(binds.to_vec(), &mut config, &mut rows, &mut outcome);
    loop {
        let attempts = making.attempts();
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            let (set, owner) = answer(tried.len(), &attempt);
            tried.push(attempt.index);
            making.judge(attempt, set, owner.as_ref());
        }
        assert!(tried.len() < 100, "it never ends");
    }
    let had = outcome.taken.iter().flat_map(|step| match step {
        Step::Bind(binds) => binds.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(config.binds, had.collect::<BTreeSet<_>>());
    (outcome, rows, tried)
}

fn ours(attempt: &Attempt) -> Option<Owner> {
    Some(attempt.owner.clone())
}

fn theirs() -> Option<Owner> {
    Some(("www".to_owned(), "sluice-10.0.0.99".to_owned()))
}

/// The box has said yes to both managers, and the later one has the row.
#[test]
fn a_row_that_another_manager_has_taken_is_not_believed_to_be_ours() {
    let (outcome, rows, tried) = make(&[bind(1)], 0, |number, attempt| {
        (Ok(()), if number == 0 { theirs() } else { ours(attempt) })
    });
    assert_eq!((outcome.taken.len(), outcome.refusals.len()), (1, 0));
    let [lost, won] = tried[..] else { panic!("{tried:?}") };
    assert_ne!(lost, won);
    assert_eq!((rows[&lost], rows[&won]), (None, Some(bind(1))));
}

/// Others may be faster more than once, and not for ever.
#[test]
fn a_binding_has_three_tries_and_is_refused_then() {
    for losses in 0..=3 {
        let mut lost = 0;
        let (outcome, _, tried) = make(&[bind(1), bind(2)], 0, |_, attempt| {
            if attempt.bind != bind(1) || lost == losses {
                return (Ok(()), ours(attempt));
            }
            lost += 1;
            // The box refuses the second of two, or lets it have the row.
            let set = if lost == 2 { Err("inconsistentValue".to_owned()) } else { Ok(()) };
            (set, theirs())
        });
        let made = if losses < 3 { 2 } else { 1 };
        assert_eq!(outcome.taken.len(), made, "{losses}: {:?}", outcome.refusals);
        assert_eq!(outcome.refusals.len(), 2 - made, "{losses}");
        assert_eq!(tried.len(), 2 + losses.min(2), "{losses}");
    }
}

/// Where nobody has the row, another one would be refused too; the row stays free.
#[test]
fn what_is_not_refused_for_its_row_is_refused_at_once() {
    let (outcome, rows, tried) =
        make(&[bind(1)], 0, |_, _| (Err("genErr at snL4BindRealServerName".to_owned()), None));
    assert_eq!((outcome.taken.len(), tried.len(), rows.len()), (0, 1, 0));
    assert_eq!(
        outcome.refusals,
        ["binding of 203.0.113.50:80 to 10.0.0.1:80: genErr at snL4BindRealServerName"]
    );
}

#[test]
fn only_free_rows_are_tried_and_the_first_too_many_is_told() {
    let (outcome, _, mut tried) =
        make(&[bind(1), bind(2), bind(3)], BINDS - 2, |_, attempt| (Ok(()), ours(attempt)));
    tried.sort_unstable();
    assert_eq!(tried, [BINDS - 1, BINDS]);
    assert_eq!(outcome.taken.len(), 2);
    assert_eq!(
        outcome.refusals,
        ["binding of 203.0.113.50:80 to 10.0.0.3:80: its table of bindings is full"]
    );
}
