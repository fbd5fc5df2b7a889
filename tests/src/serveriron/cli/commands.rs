//! The table of commands.

use super::{
    grammar::Args,
    shell::{
        Mode, Reaction, Shell, Then,
        modes::{ANY, CONFIG, CONFIGURING, ENABLED, PRIVILEGED, REAL, USER, VIRTUAL},
    },
    show,
};
use crate::serveriron::{Binding, Predictor, Refusal, State};

/// A row: in these modes, this line does that.
pub(super) struct Command {
    pub(super) modes: u8,
    /// See [`parse`](super::grammar::parse).
    pub(super) pattern: &'static str,
    pub(super) run: fn(&mut Shell, &Args) -> Reaction,
}

const fn row(modes: u8, pattern: &'static str, run: fn(&mut Shell, &Args) -> Reaction) -> Command {
    Command { modes, pattern, run }
}

pub(super) const COMMANDS: &[Command] = &[
    row(USER | PRIVILEGED, "enable", enable),
    row(USER | PRIVILEGED, "skip-page-display", |shell, _| {
        shell.paging = false;
        Reaction::say("Disable page display mode\n")
    }),
    row(USER | PRIVILEGED, "page-display", |shell, _| {
        shell.paging = true;
        Reaction::say("Enable page display mode\n")
    }),
    row(PRIVILEGED, "configure terminal", configure),
    row(CONFIGURING, "end", |shell, _| leave(shell, Mode::Privileged)),
    row(ANY, "exit", exit),
    row(ENABLED, "show running-config", |shell, _| {
        Reaction::say(shell.device.read(State::running_config))
    }),
    row(ANY, "show server real", |shell, _| Reaction::say(shell.device.read(show::reals))),
    row(ANY, "show server real NAME", |shell, args| {
        Reaction::say(shell.device.read(|state| show::real(state, args.name())))
    }),
    row(ANY, "show server virtual", |shell, _| Reaction::say(shell.device.read(show::virtuals))),
    row(ANY, "show server virtual NAME", |shell, args| {
        Reaction::say(shell.device.read(|state| show::virtual_server(state, args.name())))
    }),
    row(ANY, "show server bind", |shell, _| Reaction::say(shell.device.read(show::binds))),
    row(ANY, "show server session", |shell, _| Reaction::say(shell.device.read(show::sessions))),
    row(ENABLED, "write memory", |shell, _| {
        shell.device.change(State::save);
        let text = ".Write startup-config in progress.\n.Write startup-config done.\n";
        Reaction { text: text.to_owned(), changes: 1, then: Then::Prompt }
    }),
    row(ENABLED, "clear server session NAME", |shell, args| {
        shell.change(|state| {
            state.clear_sessions(args.name());
            Ok(())
        })
    }),
    row(CONFIGURING, "server real NAME ADDRESS", |shell, args| {
        let known = shell.device.read(|state| state.running.reals.contains_key(args.name()));
        let defined = shell.change(|state| state.define_real(args.name(), args.address));
        enter(shell, known, defined, Mode::Real(args.name().to_owned()))
    }),
    row(CONFIGURING, "server real NAME", |shell, args| {
        let known = shell.device.read(|state| state.running.reals.contains_key(args.name()));
        find(shell, known, "real server", args, Mode::Real)
    }),
    row(CONFIGURING, "no server real NAME", |shell, args| {
        shell.change(|state| state.delete_real(args.name()))
    }),
    row(CONFIGURING, "no server real NAME ADDRESS", |shell, args| {
        shell.change(|state| state.delete_real(args.name()))
    }),
    row(CONFIGURING, "server virtual NAME ADDRESS", |shell, args| {
        let known = shell.device.read(|state| state.running.virtuals.contains_key(args.name()));
        let defined = shell.change(|state| state.define_virtual(args.name(), args.address));
        enter(shell, known, defined, Mode::Virtual(args.name().to_owned()))
    }),
    row(CONFIGURING, "server virtual NAME", |shell, args| {
        let known = shell.device.read(|state| state.running.virtuals.contains_key(args.name()));
        find(shell, known, "virtual server", args, Mode::Virtual)
    }),
    row(CONFIGURING, "no server virtual NAME", |shell, args| {
        shell.change(|state| state.delete_virtual(args.name()))
    }),
    row(CONFIGURING, "no server virtual NAME ADDRESS", |shell, args| {
        shell.change(|state| state.delete_virtual(args.name()))
    }),
    row(CONFIGURING, "server predictor least-conn", |shell, _| {
        global(shell, Predictor::LeastConnections)
    }),
    row(CONFIGURING, "server predictor round-robin", |shell, _| {
        global(shell, Predictor::RoundRobin)
    }),
    row(CONFIGURING, "server predictor weighted", |shell, _| global(shell, Predictor::Weighted)),
    row(CONFIGURING, "server force-delete", |shell, _| force_delete(shell, true)),
    row(CONFIGURING, "no server force-delete", |shell, _| force_delete(shell, false)),
    row(REAL, "port default", |shell, _| {
        shell.change(|state| state.disable_real_default(shell.subject(), false))
    }),
    row(REAL, "port default disable", |shell, _| {
        shell.change(|state| state.disable_real_default(shell.subject(), true))
    }),
    row(REAL, "no port default disable", |shell, _| {
        shell.change(|state| state.disable_real_default(shell.subject(), false))
    }),
    row(REAL, "port PORT", |shell, args| {
        shell.change(|state| state.set_real_port(shell.subject(), args.port(), true))
    }),
    row(REAL, "port PORT disable", |shell, args| {
        shell.change(|state| state.set_real_port(shell.subject(), args.port(), false))
    }),
    row(REAL, "no port PORT disable", |shell, args| {
        shell.change(|state| state.set_real_port(shell.subject(), args.port(), true))
    }),
    row(REAL, "port PORT url TEXT", |shell, args| {
        shell.change(|state| state.set_url(shell.subject(), args.port(), &args.text))
    }),
    row(REAL, "no port PORT", |shell, args| {
        shell.change(|state| state.delete_real_port(shell.subject(), args.port()))
    }),
    row(REAL, "weight NUMBER", |shell, args| {
        shell.change(|state| state.set_weight(shell.subject(), args.number))
    }),
    row(REAL, "max-conn NUMBER", |shell, args| {
        shell.change(|state| state.set_max_connections(shell.subject(), args.number))
    }),
    row(REAL, "disable", |shell, _| {
        shell.change(|state| state.enable_real(shell.subject(), false))
    }),
    row(REAL, "no disable", |shell, _| {
        shell.change(|state| state.enable_real(shell.subject(), true))
    }),
    row(VIRTUAL, "port default", |shell, _| {
        shell.change(|state| state.disable_virtual_default(shell.subject(), false))
    }),
    row(VIRTUAL, "port default disable", |shell, _| {
        shell.change(|state| state.disable_virtual_default(shell.subject(), true))
    }),
    row(VIRTUAL, "no port default disable", |shell, _| {
        shell.change(|state| state.disable_virtual_default(shell.subject(), false))
    }),
    row(VIRTUAL, "port PORT", |shell, args| {
        shell.change(|state| state.set_virtual_port(shell.subject(), args.port(), true))
    }),
    row(VIRTUAL, "port PORT disable", |shell, args| {
        shell.change(|state| state.set_virtual_port(shell.subject(), args.port(), false))
    }),
    row(VIRTUAL, "no port PORT disable", |shell, args| {
        shell.change(|state| state.set_virtual_port(shell.subject(), args.port(), true))
    }),
    row(VIRTUAL, "no port PORT", |shell, args| {
        shell.change(|state| state.delete_virtual_port(shell.subject(), args.port()))
    }),
    row(VIRTUAL, "bind PORT NAME PORT", bind),
    row(VIRTUAL, "bind PORT NAME PORT NAME PORT", bind),
    row(VIRTUAL, "bind PORT NAME PORT NAME PORT NAME PORT", bind),
    row(VIRTUAL, "bind PORT NAME PORT NAME PORT NAME PORT NAME PORT", bind),
    row(VIRTUAL, "no bind PORT NAME PORT", unbind),
    row(VIRTUAL, "no bind PORT NAME PORT NAME PORT", unbind),
    row(VIRTUAL, "no bind PORT NAME PORT NAME PORT NAME PORT", unbind),
    row(VIRTUAL, "no bind PORT NAME PORT NAME PORT NAME PORT NAME PORT", unbind),
    row(VIRTUAL, "predictor least-conn", |shell, _| {
        predictor(shell, Some(Predictor::LeastConnections))
    }),
    row(VIRTUAL, "predictor round-robin", |shell, _| predictor(shell, Some(Predictor::RoundRobin))),
    row(VIRTUAL, "predictor weighted", |shell, _| predictor(shell, Some(Predictor::Weighted))),
    row(VIRTUAL, "no predictor", |shell, _| predictor(shell, None)),
    row(VIRTUAL, "disable", |shell, _| {
        shell.change(|state| state.enable_virtual(shell.subject(), false))
    }),
    row(VIRTUAL, "no disable", |shell, _| {
        shell.change(|state| state.enable_virtual(shell.subject(), true))
    }),
    row(CONFIG, "no server predictor", |shell, _| global(shell, Predictor::default())),
];

fn enable(shell: &mut Shell, _: &Args) -> Reaction {
    if shell.mode == Mode::User && shell.device.options.enable_password.is_some() {
        return Reaction { then: Then::AskPassword, ..Reaction::default() };
    }
    shell.enable();
    Reaction::default()
}

fn configure(shell: &mut Shell, _: &Args) -> Reaction {
    shell.configuring = shell.device.configure();
    if shell.configuring.is_none() {
        // The facts have one configuration session, but no words for the second.
        return Reaction::say("Error - configuration is in use by another session\n");
    }
    shell.mode = Mode::Config;
    Reaction::default()
}

fn exit(shell: &mut Shell, _: &Args) -> Reaction {
    match shell.mode {
        Mode::User => Reaction { then: Then::Close, ..Reaction::default() },
        Mode::Privileged => leave(shell, Mode::User),
        Mode::Config => leave(shell, Mode::Privileged),
        Mode::Real(_) | Mode::Virtual(_) => leave(shell, Mode::Config),
    }
}

fn leave(shell: &mut Shell, mode: Mode) -> Reaction {
    if mode != Mode::Config {
        shell.configuring = None;
    }
    shell.mode = mode;
    Reaction::default()
}

/// Enters a mode if what it is about was defined. That it was there already
/// takes no time.
fn enter(shell: &mut Shell, known: bool, defined: Reaction, mode: Mode) -> Reaction {
    if defined.text.is_empty() {
        shell.mode = mode;
    }
    Reaction { changes: usize::from(!known), ..defined }
}

fn find(
    shell: &mut Shell,
    known: bool,
    what: &'static str,
    args: &Args,
    mode: fn(String) -> Mode,
) -> Reaction {
    let name = args.name().to_owned();
    if !known {
        return Reaction::say(format!("Error - {}\n", Refusal::Unknown { what, name }));
    }
    shell.mode = mode(name);
    Reaction::default()
}

fn global(shell: &mut Shell, predictor: Predictor) -> Reaction {
    shell.change(|state| {
        state.set_predictor(predictor);
        Ok(())
    })
}

fn force_delete(shell: &mut Shell, on: bool) -> Reaction {
    shell.change(|state| {
        state.set_force_delete(on);
        Ok(())
    })
}

fn predictor(shell: &mut Shell, predictor: Option<Predictor>) -> Reaction {
    shell.change(|state| state.set_virtual_predictor(shell.subject(), predictor))
}

fn bind(shell: &mut Shell, args: &Args) -> Reaction {
    shell.change_pairs(args, |state, real, port| {
        state.bind(Binding::new(shell.subject(), args.port(), real, port))
    })
}

fn unbind(shell: &mut Shell, args: &Args) -> Reaction {
    shell.change_pairs(args, |state, real, port| {
        state.unbind(&Binding::new(shell.subject(), args.port(), real, port))
    })
}
