//! Sums of counters over switches.

use std::collections::BTreeMap;

use crate::model::Counters;

/// Adds one switch's counters to a sum.
pub(super) fn add(sum: &mut Counters, counters: &Counters) {
    merge(
        &mut sum.services,
        &counters.services,
        |count| &count.service,
        |sum, count| {
            sum.new_connections += count.new_connections;
            sum.refused_reset += count.refused_reset;
            sum.refused_silent += count.refused_silent;
            sum.no_backend += count.no_backend;
            sum.broken += count.broken;
            sum.remembered += count.remembered;
            sum.not_remembered += count.not_remembered;
            sum.moving |= count.moving;
        },
    );
    merge(
        &mut sum.backends,
        &counters.backends,
        |count| &count.key,
        |sum, count| {
            sum.packets += count.packets;
            sum.bytes += count.bytes;
            sum.reply_packets += count.reply_packets;
            sum.reply_bytes += count.reply_bytes;
            sum.new_connections += count.new_connections;
            sum.remembered_flows += count.remembered_flows;
            sum.unreachable = sum.unreachable.take().or_else(|| count.unreachable.clone());
        },
    );
    merge(
        &mut sum.classes,
        &counters.classes,
        |count| &count.class,
        |sum, count| {
            sum.admitted += count.admitted;
            sum.refused += count.refused;
        },
    );
    merge(
        &mut sum.reasons,
        &counters.reasons,
        |count| &count.reason,
        |sum, count| {
            sum.packets += count.packets;
        },
    );
    sum.generation = sum.generation.max(counters.generation);
    sum.remembered_flows += counters.remembered_flows;
    sum.remembered_capacity += counters.remembered_capacity;
}

/// Adds what has the same key, and takes over what is new.
fn merge<T: Clone, K: Ord + Clone>(
    sum: &mut Vec<T>,
    more: &[T],
    key: impl Fn(&T) -> &K,
    add: impl Fn(&mut T, &T),
) {
    let places: BTreeMap<K, usize> =
        sum.iter().enumerate().map(|(place, one)| (key(one).clone(), place)).collect();
    for one in more {
        match places.get(key(one)) {
            Some(&place) => add(&mut sum[place], one),
            None => sum.push(one.clone()),
        }
    }
}
