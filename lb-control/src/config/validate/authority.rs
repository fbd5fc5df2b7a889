//! `[[manager.allow]]` and `[manager.limits]`.

use super::{Faults, Place};
use crate::config::{AllowSettings, Role, Settings};

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    let place = Place::default().key("manager");
    let limits = &settings.manager.limits;
    faults.counts(
        &place.key("limits"),
        &[
            ("sessions_per_identity", limits.sessions_per_identity),
            ("sessions_per_source", limits.sessions_per_source),
            ("messages_per_second", limits.messages_per_second),
            ("binds_per_agent", limits.binds_per_agent),
        ],
    );
    if settings.tls.is_none() && !settings.manager.allow.is_empty() {
        faults.push(
            place.key("allow"),
            "[[manager.allow]] needs [tls]: without certificates nobody can show who he is",
        );
    }
    for (index, rule) in settings.manager.allow.iter().enumerate() {
        check_rule(rule, &place.element("allow", index), settings, faults);
    }
}

fn check_rule(rule: &AllowSettings, place: &Place, settings: &Settings, faults: &mut Faults) {
    if !rule.identity.is_bounded() {
        faults.push(
            place.key("identity"),
            format!(
                "`{}` would take parts of names: a `*` stands before a dot, as in \"*.example\", \
                 after a slash, as in \"spiffe://example/agent/*\", or alone",
                rule.identity
            ),
        );
    }
    let agent = rule.role == Role::Agent;
    let useless = [
        ("names", !rule.names.is_empty(), agent || rule.role == Role::Edge),
        ("services", !rule.services.is_empty(), agent),
        ("addresses", !rule.addresses.is_empty(), agent),
        ("max_weight", rule.max_weight.is_some(), agent),
    ];
    for (key, given, fits) in useless {
        if given && !fits {
            let role = rule.role.name();
            faults.push(place.key(key), format!("`{key}` says nothing of role `{role}`"));
        }
    }
    for service in &rule.services {
        if !settings.services.iter().any(|known| known.name == *service) {
            let message = format!("there is no service `{service}` in this file");
            faults.push(place.key("services"), message);
        }
    }
}
