//! Scenarios: real connections through the real program.
//!
//! Each test builds a lab of its own. They need root and the programs that
//! `cargo xtask test` sets up; without feature `lab` this target does not exist.
//!
//! What fails in the control plane, and where it is seen to:
//!
//! | what happens | what must come of it | scenario |
//! | --- | --- | --- |
//! | an agent stands still, or its host loses power | out within a second | `odd_sessions::an_agent_that_stands_still_…`, `binding::a_server_without_power_…` |
//! | an agent is killed | out at once, broken after the grace | `odd_sessions::an_agent_that_is_killed_…`, `binding::a_lost_agent_…` |
//! | heartbeats repeated, reordered, replayed | no sign of life | `odd_sessions::heartbeats_that_…` |
//! | a manager stands still, so that its clock leaps | nobody is lost | `clocks::a_manager_that_stood_still_…` |
//! | clocks that disagree or go back | decide nothing | `clocks::clocks_that_disagree_…` |
//! | two agents with one name | the first counts while it is heard | `odd_sessions::a_double_…` |
//! | a server comes and goes | held out, and begins slowly | `odd_sessions::a_server_that_flaps_…`, `…_that_has_just_come_…` |
//! | a port, command or agent check fails | out, and back when it is well | `binding::an_unhealthy_application_…`, `applications::a_command_checks_health`, `…::an_agent_check_…` |
//! | an application says that it has failed | out of every switch at once, verified anew | `applications::an_application_that_has_failed_…` |
//! | no client could use a server | never bound, or out | `probing` |
//! | a static backend dies | out by probes alone | `probing::a_static_backend_that_dies_…` |
//! | an edge is slow, stands still or dies | no other waits; it is reconciled | `edges::a_slow_and_a_dead_edge_…` |
//! | an edge comes back empty | refilled | `edges::a_wiped_edge_is_refilled` |
//! | an edge is changed behind the manager's back | shown and undone | `drift` |
//! | the manager is killed, also in a delta | nothing lost or broken | `roles::a_manager_may_die_…`, `edges::a_manager_killed_…` |
//! | an agent is gone when the manager is back | out after the learning period, not before | `edges::what_nobody_vouches_for_…` |
//! | half of a service is lost at once | kept, with an alarm, until `sluice thaw` | `frozen::servers_whose_agents_all_crash_…` |
//! | the manager is cut off | takes nothing down | `frozen::a_manager_that_is_cut_off_…` |
//! | a server dies while no manager is there | out by the edge's probes; the manager settles it | `alone` |
//! | the intent is torn, edited or of a newer version | refused, and left as it is | `intent::a_damaged_intent_…` |
//! | the intent cannot be written | said, and saved once it can be | `intent::what_cannot_be_saved_…` |
//! | a bind, name, address or weight that no rule allows | refused, and an event | `authority::agents_bind_what_they_may_…` |
//! | a certificate of another authority, or of a viewer | opens nothing, changes nothing | `authority::a_certificate_…`, `…::a_viewer_…` |
//! | a user whom the socket's file does not let in | refused | `limits::the_socket_…` |
//! | an agent floods, sends too much at once, or in too many sessions | cut off; the others do not notice | `authority::a_flood_…`, `limits` |
//! | a process is taken over | has only what it needs | `authority::every_process_…`, `…::a_manager_needs_no_privilege` |
//! | a server is killed: why no connections? | the log leads from event to switch | `monitoring::why_a_killed_server_…` |
//! | no edge is connected | `/readyz` says so | `monitoring::a_manager_without_its_edge_…` |

mod admission;
mod agent_check;
mod alone;
mod applications;
mod authority;
mod binding;
mod breaking;
mod checksums;
mod clocks;
mod consistency;
mod datagrams;
mod declaring;
mod doctor;
mod drain;
mod drift;
mod edges;
mod errors;
mod forwarding;
mod frozen;
mod haproxy;
mod intent;
mod lab_itself;
mod limits;
mod monitoring;
mod next_hops;
mod nftables;
mod not_ours;
mod odd_sessions;
mod outlive;
mod probing;
mod reports;
mod roles;
mod trace;
mod untouched;
mod upgrade;
mod weights;
