//! `[[switch]]`

use std::collections::HashSet;

use super::{Faults, Place};
use crate::{
    config::{Settings, SwitchSettings},
    switch::dialects,
};

pub(super) fn check(settings: &Settings, faults: &mut Faults) {
    let mut seen: HashSet<_> = settings.edge.iter().map(|edge| &edge.name).collect();
    for (index, switch) in settings.switches.iter().enumerate() {
        let place = Place::default().element("switch", index);
        if !seen.insert(&switch.name) {
            let message = format!("two switches are named `{}`", switch.name);
            faults.push(place.key("name"), message);
        }
        one(switch, &place, settings, faults);
    }
}

fn one(switch: &SwitchSettings, place: &Place, settings: &Settings, faults: &mut Faults) {
    let periods = [("poll", switch.poll), ("verify", switch.verify), ("timeout", switch.timeout)];
    faults.periods(place, &periods);
    for service in &switch.services {
        // Services can be declared later; in this file there should be one of that name.
        if !settings.services.iter().any(|known| known.name == *service) {
            let message = format!("there is no service `{service}` in this file");
            faults.push(place.key("services"), message);
        }
    }
    for family in [true, false] {
        if switch.drop_servers.iter().filter(|server| server.is_ipv4() == family).count() > 1 {
            let message = "`drop_servers` has two of one IP family: one is enough";
            faults.push(place.key("drop_servers"), message);
        }
    }
    for server in &switch.drop_servers {
        if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() {
            let message = format!("{server} is not the address and port of a drop server");
            faults.push(place.key("drop_servers"), message);
        }
    }
    match dialects::find(&switch.kind) {
        Err(error) => faults.push(place.key("kind"), error),
        Ok(dialect) => {
            if let Err(error) = (dialect.make)(switch) {
                faults.push(place.key("options"), error);
            }
        }
    }
}
