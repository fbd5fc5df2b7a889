//! Bugs to be planted between the core and its world, each of which the
//! invariants must find.

/// One planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The real core in a true world.
    None,
    /// The manager acts on what it finds before it has listened.
    NoLearning,
    /// Heartbeats that came do not reach the core for some seconds.
    Deaf,
    /// Old heartbeats reach the core as if they were new.
    OldIsNew,
    /// All starts of an agent look alike.
    StartsAlike,
    /// The core learns no more that time passes.
    TicksWithheld,
    /// What is lost together is not kept.
    FreezesNever,
    /// A service freezes for any two losses.
    FreezesEasily,
    /// A probe that failed is reported as good.
    ProbesFlatter,
    /// One change of a delta does not arrive.
    ChangeLost,
    /// An edge acknowledges what it did not apply.
    EdgeLies,
    /// A delta is lost, and the session goes on.
    DeltaLost,
    /// An edge does not notice that it was changed behind the manager's back.
    DriftUnnoticed,
    /// A save is acknowledged and not written.
    SaveLost,
    /// Half of the intent is written.
    SaveTorn,
    /// An agent acts on requests to close that no longer hold.
    StaleClose,
    /// An operator's command is never answered.
    ReplyLost,
    /// A delta bears the stamp of the one before.
    StampReused,
    /// The surroundings acknowledge a delta that is still under way.
    EarlyAck,
}
