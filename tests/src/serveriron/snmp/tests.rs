mod datagrams;
// Needs the programs of net-snmp.
#[cfg(feature = "lab")]
mod net_snmp;
mod sets;

use crate::serveriron::{Auth, Options, Simulator, User};

/// L4 of the facts.
const L4: [u32; 10] = [1, 3, 6, 1, 4, 1, 1991, 1, 1, 4];

/// A box with an empty bind table, `web1` and `web2` (port 80), and `www`.
fn prepared(options: Options) -> Simulator {
    let iron = Simulator::start(options.instant()).unwrap();
    iron.change(prepare);
    iron
}

fn prepare(state: &mut crate::serveriron::State) {
    for number in 1..=2 {
        let name = format!("web{number}");
        state.define_real(&name, [198, 51, 100, number].into()).unwrap();
        state.set_real_port(&name, 80, true).unwrap();
    }
    state.define_virtual("www", [203, 0, 113, 50].into()).unwrap();
    state.set_virtual_port("www", 80, true).unwrap();
}

fn users() -> Vec<User> {
    let user = |name: &str, auth, privacy: Option<&str>| User {
        name: name.to_owned(),
        auth,
        auth_password: "sign-me-please".to_owned(),
        privacy_password: privacy.map(str::to_owned),
    };
    vec![
        user("sha1", Auth::Sha1, Some("hide-me-please")),
        user("sha256", Auth::Sha256, Some("hide-me-please")),
        user("plain", Auth::Sha256, None),
    ]
}
