//! Which new connections are let in.

use lb_common::{
    abi::{Config, DEFAULT_CLASS, Reason, policy, words},
    hash,
};

use crate::{
    count,
    parse::Packet,
    tables::{Generation, search, word},
    trace,
};

/// Decides for a new connection, and counts it for its class.
///
/// The decision is a keyed hash of the flow (or of the client) and an epoch:
/// a retransmitted SYN gets the answer of the first.
#[inline(always)]
pub fn admit(
    generation: Generation,
    config: &Config,
    service: u32,
    policed: bool,
    packet: &Packet,
    flow: u64,
) -> Result<(), Reason> {
    let class = classify(generation, config, packet)?;
    trace::note(|t| t.class = class);
    if policed {
        let policy = generation.policy(service, class)?;
        if policy.verdict != policy::ADMIT {
            let subject = if policy.scope == policy::BY_CLIENT {
                hash::client(config.flow_key, packet.src.numeric())
            } else {
                flow
            };
            let decision = hash::admission(subject, word(words::EPOCH));
            trace::note(|t| {
                t.admission = decision as u32;
                t.threshold = policy.threshold;
            });
            if decision < policy.threshold {
                count::class(class, |c| c.refused += 1);
                return Err(if policy.verdict == policy::SILENT {
                    count::service(service, |s| s.refused_silent += 1);
                    Reason::RefusedSilent
                } else {
                    count::service(service, |s| s.refused_reset += 1);
                    Reason::RefusedReset
                });
            }
        }
    }
    count::class(class, |c| c.admitted += 1);
    Ok(())
}

/// The first configured class whose sources and DSCPs both hold the packet.
#[inline(always)]
fn classify(generation: Generation, config: &Config, packet: &Packet) -> Result<u32, Reason> {
    if config.classes == 0 {
        return Ok(DEFAULT_CLASS);
    }
    let first = search(config.class_ranges, packet.src.numeric(), |index| {
        generation.class_range(index).map(|range| [range.start_hi, range.start_lo])
    })?;
    let by_source = generation.class_range(first)?.classes;
    let by_dscp = config.class_dscp[usize::from(packet.tos >> 2)];
    // Without branches: each would double the paths that the verifier walks.
    let matching = by_source & by_dscp | 1 << DEFAULT_CLASS;
    Ok(((matching & matching.wrapping_neg()) - 1).count_ones())
}
