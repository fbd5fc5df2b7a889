use super::{
    super::goal::{Goal, Want},
    *,
};

const THREE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

#[test]
fn a_plan_in_the_terms_of_the_box() {
    let goal = Goal::of(&plan(&[(
        "www",
        80,
        &[
            (at(ONE, 80), serve(7)),
            (at(TWO, 80), DRAIN),
            (at(TWO, 81), BREAK),
            (at(THREE, 82), serve(0)),
        ],
    )]));
    assert_eq!(goal.conflicts.len(), 1, "{:?}", goal.conflicts);
    assert_eq!(goal.reals, [(ONE, Some(7)), (TWO, None), (THREE, Some(0))].into());
    let wants: Vec<_> = goal.ports.values().copied().collect();
    assert_eq!(wants, [Want::Serve, Want::Hold, Want::Hold, Want::Serve]);
    assert_eq!(goal.binds.len(), 4);
}

/// What the box cannot have, and what becomes of it.
#[test]
fn what_it_has_no_words_for_is_named() {
    let one = at(ONE, 80);
    let table: [(&[Row<'_>], Want, &str); 5] = [
        (
            &[("a", 80, &[(one, serve(1))]), ("b", 81, &[(one, serve(2))])],
            Want::Serve,
            "one weight for real server 10.0.0.1: `a` asks for 1",
        ),
        (
            &[("a", 80, &[(one, DRAIN)]), ("b", 81, &[(one, serve(2))])],
            Want::Serve,
            "it serves in `b`",
        ),
        (&[("a", 80, &[(one, BREAK)]), ("b", 81, &[(one, DRAIN)])], Want::Hold, "drains in `b`"),
        (&[("a", 80, &[(one, BREAK), (at(ONE, 81), serve(1))])], Want::Hold, "other ports too"),
        (&[("a", 80, &[(one, BREAK), (at(ONE, 81), DRAIN)])], Want::Hold, "other ports too"),
    ];
    for (services, want, words) in table {
        let goal = Goal::of(&plan(services));
        assert_eq!(goal.ports[&one], want, "{words}");
        assert_eq!(goal.conflicts.len(), 1, "{:?}", goal.conflicts);
        assert!(goal.conflicts[0].contains(words), "{:?}", goal.conflicts);
    }
    let both = plan(&[("a", 80, &[(one, BREAK), (at(ONE, 81), BREAK)])]);
    let goal = Goal::of(&both);
    assert_eq!((goal.ports[&one], goal.conflicts.len()), (Want::Break, 0));
}
