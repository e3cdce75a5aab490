//! The protocol, whole. A message says where to look, never what to believe: it carries an id at most.
//!
//! ```text
//! source ── AlertsArrived ─▶ intake ── CaseRunnable ─▶ tier 1 desk ── CaseRunnable ─▶ tier 2 desk
//!                              │                           │  └── ProposalFiled ─▶ gatekeeper
//!                              └──────── EntryReady ───────┴───────── EntryReady ─▶ case writer
//! ```
//!
//! A source that polls tells itself when to (`PollDue`); the listener's task tells its actor that it is over (`Ended`).

/// To intake.
#[derive(Debug)]
pub enum IntakeMessage {
    /// A source appended to the stream of alerts.
    AlertsArrived,
    /// Look for work.
    Tick,
}

/// To a tier's desk.
#[derive(Debug)]
pub enum DeskMessage {
    /// A case was put into the desk's queue.
    CaseRunnable,
    /// A slot has ended its investigation.
    SlotFreed,
    /// Look for work.
    Tick,
}

/// To the gatekeeper.
#[derive(Debug)]
pub enum GatekeeperMessage {
    /// A case asks for containment.
    ProposalFiled,
    /// The facts about a case's proposals are gathered.
    FactsGathered,
    /// Look for work.
    Tick,
}

/// To the case writer.
#[derive(Debug)]
pub enum CaseWriterMessage {
    /// The outbox has something for the case desk.
    EntryReady,
    /// Look for work.
    Tick,
}

/// To a source that polls.
#[derive(Debug)]
pub enum SourceMessage {
    /// Look for what is new.
    PollDue,
}

/// To the listener.
#[derive(Debug)]
pub enum ListenerMessage {
    /// It no longer accepts connections.
    Ended,
}

/// The actors by role. A supervised actor is looked up by name for every message: a kept address dies with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Groups alerts into cases.
    Intake,
    /// Triage.
    Tier1,
    /// Deep investigation.
    Tier2,
    /// Answers proposals.
    Gatekeeper,
    /// Writes cases.
    CaseWriter,
}

impl Role {
    /// All roles, in the order in which they start: whoever is written to starts first.
    pub const ALL: [Self; 5] = [Self::CaseWriter, Self::Gatekeeper, Self::Tier2, Self::Tier1, Self::Intake];

    /// The role's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Tier1 => "tier1",
            Self::Tier2 => "tier2",
            Self::Gatekeeper => "gatekeeper",
            Self::CaseWriter => "case-writer",
        }
    }
}
