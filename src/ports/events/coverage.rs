//! Facts about a sensor: what it sent, when it fell silent, and who touched it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::event::SYSMON;
use crate::domain::ids::EventId;

/// What was done to a sensor or a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// A log was cleared (Security 1102, System 104).
    LogCleared,
    /// Sysmon's service stopped or started (Sysmon 4).
    SensorSwitched,
    /// Sysmon's configuration changed (Sysmon 16).
    SensorReconfigured,
    /// Sysmon reported an error (Sysmon 255).
    SensorFailed,
    /// What the Security log records was changed (Security 4719).
    AuditPolicyChanged,
    /// Defender's protection or scanning was switched off (Windows Defender 5001, 5010, 5012).
    DefenderDisabled,
}

const DEFENDER: &str = "Microsoft-Windows-Windows Defender/Operational";

impl Tampering {
    /// The kinds of events that report it.
    pub const REPORTED_BY: [(Self, &'static str, u32); 9] = [
        (Self::LogCleared, "Security", 1102),
        (Self::LogCleared, "System", 104),
        (Self::SensorSwitched, SYSMON, 4),
        (Self::SensorReconfigured, SYSMON, 16),
        (Self::SensorFailed, SYSMON, 255),
        (Self::AuditPolicyChanged, "Security", 4719),
        (Self::DefenderDisabled, DEFENDER, 5001),
        (Self::DefenderDisabled, DEFENDER, 5010),
        (Self::DefenderDisabled, DEFENDER, 5012),
    ];

    /// What such an event reports, if it reports any of it.
    #[must_use]
    pub fn reported_by(channel: &str, code: u32) -> Option<Self> {
        let fits = |(_, by, number): &&(Self, &str, u32)| *by == channel && *number == code;
        Self::REPORTED_BY.iter().find(fits).map(|(tampering, ..)| *tampering)
    }

    /// Whether an absence of events of this channel proves nothing after it.
    #[must_use]
    pub fn spoils(self, channel: &str) -> bool {
        match self {
            Self::LogCleared | Self::SensorSwitched | Self::SensorReconfigured | Self::SensorFailed => true,
            Self::AuditPolicyChanged => channel == "Security",
            Self::DefenderDisabled => channel == DEFENDER,
        }
    }

    /// What happened, in a sentence.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::LogCleared => "a log was cleared",
            Self::SensorSwitched => "Sysmon stopped or started",
            Self::SensorReconfigured => "Sysmon's configuration changed",
            Self::SensorFailed => "Sysmon reported an error",
            Self::AuditPolicyChanged => "the audit policy was changed",
            Self::DefenderDisabled => "Defender's protection was switched off",
        }
    }
}

/// A kind of event that a machine sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSent {
    /// The channel.
    pub channel: String,
    /// The event id.
    pub code: u32,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

/// A time in which a machine sent none of a kind that it had sent regularly, while it sent others or later ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The channel.
    pub channel: String,
    /// The event id.
    pub code: u32,
    /// The last event before it.
    pub from: Timestamp,
    /// The first event after it, or where the machine's events of any kind end within the window.
    pub to: Timestamp,
    /// Seconds that usually lie between two (the median).
    pub usual_seconds: i64,
}

/// Something was done to a sensor or a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// What.
    pub what: Tampering,
    /// When.
    pub time: Timestamp,
    /// The event that reports it.
    pub event: EventId,
}

/// What is known of a machine's sensors in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorFacts {
    /// What it sent, by channel and id.
    pub kinds: Vec<KindSent>,
    /// Its silences, the longest first, at most [`MOST_SILENCES`].
    pub silences: Vec<Silence>,
    /// What was done to it, in order of time, at most [`MOST_TOUCHED`].
    pub touched: Vec<Touched>,
    /// How often in all.
    pub touched_total: u64,
}

/// Silences that are told.
pub const MOST_SILENCES: usize = 20;
/// Tampering that is told.
pub const MOST_TOUCHED: usize = 20;
/// A kind is regular from this many events in a window.
pub const REGULAR: usize = 12;
/// A silence is this many times as long as usual, and at least [`SHORTEST_SILENCE`] seconds.
pub const TIMES_USUAL: i64 = 20;
/// See [`TIMES_USUAL`].
pub const SHORTEST_SILENCE: i64 = 3_600;

/// What history a store holds, and how large it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Events it holds.
    pub events: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
    /// The newest.
    pub newest: Option<Timestamp>,
    /// Events before this instant may have been removed by retention; none were if it is missing.
    pub complete_since: Option<Timestamp>,
}

impl History {
    /// Whole days between the oldest and the newest event: how much "never seen before" can mean.
    #[must_use]
    pub fn days(&self) -> i64 {
        let span = |(oldest, newest): (Timestamp, Timestamp)| newest.duration_since(oldest).as_hours() / 24;
        self.oldest.zip(self.newest).map_or(0, span)
    }
}
