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
