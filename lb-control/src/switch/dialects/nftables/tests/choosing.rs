//! What a service's chain does with who is to be sent to a server.

use super::{
    super::attribute::{find, need, text_of},
    *,
};

/// What the kernel does with what a number of the map's is looked up for in vain: rules
/// are of one generation then, and elements of the other. `NF_DROP` is 0
/// (linux/netfilter.h), and the client sends its SYN again; any other verdict would let
/// it through to the router itself, or tell it that nobody serves.
#[test]
fn a_syn_that_finds_no_server_among_changes_is_dropped() {
    let all_drain = |mut plan: Plan| {
        let servers = plan.services.values_mut().flat_map(|service| service.servers.values_mut());
        servers.for_each(|server| server.phase = Phase::Drain);
        plan
    };
    let no_weight = |mut plan: Plan| {
        let servers = plan.services.values_mut().flat_map(|service| service.servers.values_mut());
        servers.for_each(|server| server.weight = 0);
        plan
    };
    let cases = [
        (example(), 0_i32, None),
        (all_drain(example()), NFT_GOTO, Some("reset")),
        (no_weight(example()), NFT_GOTO, Some("reset")),
    ];
    for (plan, code, chain) in cases {
        let ruleset = ruleset(&plan);
        let rules = &ruleset.chains["service-www"].rules;
        let serves = ruleset.sets.contains_key("servers-www");
        // The choice, where there is one, and then what is left.
        let choice = rules.iter().rposition(|rule| rule.map.is_some());
        assert_eq!(choice, serves.then(|| rules.len() - 2));
        let rest = written(&rules[rules.len() - 1].expressions);
        let rest = need(need(&rest, LIST_ELEM).unwrap(), EXPR_DATA).unwrap();
        let rest = need(need(rest, IMMEDIATE_DATA).unwrap(), DATA_VERDICT).unwrap();
        assert_eq!(need(rest, VERDICT_CODE).unwrap(), code.to_be_bytes(), "{plan:?}");
        let told = find(rest, VERDICT_CHAIN).unwrap().map(|name| text_of(name).unwrap());
        assert_eq!(told, chain, "{plan:?}");
    }
}

/// A table that is made again from what it was read to be is no witness of what its rules
/// do: here they are read as the kernel would.
#[test]
fn a_share_of_a_million_is_refused_in_its_manner() {
    let cases = [
        (Share::from_ppm(250_000).unwrap(), Verdict::Reset, NFT_GOTO, Some("reset")),
        (Share::from_ppm(1).unwrap(), Verdict::Silent, 0, None),
        (Share::ALL, Verdict::Silent, 0, None),
    ];
    for (share, manner, code, chain) in cases {
        let mut plan = example();
        let service = plan.services.values_mut().next().unwrap();
        (service.refuse, service.verdict) = (share, manner);
        let ruleset = ruleset(&plan);
        let rules = &ruleset.chains["service-www"].rules;
        let refuses = rules.iter().find(|rule| rule.comment.is_some()).expect("a rule");
        let expressions = written(&refuses.expressions);
        let expressions = all(&expressions).unwrap();
        let data = |name: &str| {
            let named = |(_, expression): &&(u16, &[u8])| {
                text_of(need(expression, EXPR_NAME).unwrap()) == Ok(name)
            };
            let (_, expression) = expressions.iter().find(named).expect(name);
            need(expression, EXPR_DATA).unwrap()
        };
        let number = |bytes| u32::from_be_bytes(<[u8; 4]>::try_from(bytes).unwrap());
        assert_eq!(number(need(data("hash"), HASH_MODULUS).unwrap()), 1_000_000);
        assert_eq!(number(need(data("cmp"), CMP_OP).unwrap()), CMP_LT);
        let bound = need(need(data("cmp"), CMP_DATA).unwrap(), DATA_VALUE).unwrap();
        assert_eq!(number(bound), share.ppm());
        let verdict = need(data("immediate"), IMMEDIATE_DATA).unwrap();
        let verdict = need(verdict, DATA_VERDICT).unwrap();
        assert_eq!(need(verdict, VERDICT_CODE).unwrap(), code.to_be_bytes(), "{manner:?}");
        let told = find(verdict, VERDICT_CHAIN).unwrap().map(|name| text_of(name).unwrap());
        assert_eq!(told, chain, "{manner:?}");
    }
}
