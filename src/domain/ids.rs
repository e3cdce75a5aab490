//! Names of things as distinct types, so that a case is never asked for by an alert's id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An id's text did not have the form the id requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadId {
    text: String,
    expected: &'static str,
}

macro_rules! numbered_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(u32);

        impl $name {
            /// The id with this number; numbers start at 1.
            #[must_use]
            pub const fn new(number: u32) -> Self {
                Self(number)
            }

            /// The number behind the prefix.
            #[must_use]
            pub const fn number(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let number = text
                    .get(..$prefix.len())
                    .filter(|prefix| prefix.eq_ignore_ascii_case($prefix))
                    .and_then(|_| text[$prefix.len()..].parse().ok());
                number.map(Self).ok_or_else(|| BadId { text: text.to_owned(), expected: $expected })
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

numbered_id! {
    /// A case, written `WF-12`.
    CaseId, "WF-", "a case id such as WF-12"
}
numbered_id! {
    /// A piece of evidence within one case, written `E3`. A case never uses a number twice.
    EvidenceId, "E", "an evidence id such as E3"
}
text_id! {
    /// A stored event. Derived from the record's content, so that importing a file twice stores it once.
    EventId
}
text_id! {
    /// An alert. Derived from its source, rule and event, so that the same detection is the same alert.
    AlertId
}
text_id! {
    /// A detection rule's own id (a Sigma rule's UUID), or its title where it carries none.
    RuleId
}
text_id! {
    /// A device in the EDR's inventory. Names of devices repeat; this does not.
    DeviceId
}
text_id! {
    /// An action that the EDR accepted, by the EDR's own id.
    DeviceActionId
}

/// A wish to contain, written `P-12.1`: the first proposal of case `WF-12`.
///
/// Numbered within its case, so that a resumed case files the same proposal under the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProposalId {
    case: CaseId,
    number: u32,
}

impl ProposalId {
    /// The `number`th proposal of `case`, counted from 1.
    #[must_use]
    pub const fn new(case: CaseId, number: u32) -> Self {
        Self { case, number }
    }

    /// The case that asked.
    #[must_use]
    pub const fn case(self) -> CaseId {
        self.case
    }
}

impl fmt::Display for ProposalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P-{}.{}", self.case.number(), self.number)
    }
}

impl From<ProposalId> for String {
    fn from(id: ProposalId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ProposalId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl FromStr for ProposalId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        numbered_in_case(text, ["P-", "p-"])
            .map(|(case, number)| Self::new(case, number))
            .ok_or_else(|| BadId { text: text.to_owned(), expected: "a proposal id such as P-12.1" })
    }
}

fn numbered_in_case(text: &str, prefixes: [&str; 2]) -> Option<(CaseId, u32)> {
    let (case, number) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))?.split_once('.')?;
    Some((CaseId::new(case.parse().ok()?), number.parse().ok()?))
}

/// The time for which a device is isolated, written `L-12.1`: the one that proposal `P-12.1` led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LeaseId(ProposalId);

impl LeaseId {
    /// The lease of a proposal.
    #[must_use]
    pub const fn of(proposal: ProposalId) -> Self {
        Self(proposal)
    }

    /// The proposal that led to it.
    #[must_use]
    pub const fn proposal(self) -> ProposalId {
        self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L-{}.{}", self.0.case.number(), self.0.number)
    }
}

impl From<LeaseId> for String {
    fn from(id: LeaseId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for LeaseId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl FromStr for LeaseId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        numbered_in_case(text, ["L-", "l-"])
            .map(|(case, number)| Self(ProposalId::new(case, number)))
            .ok_or_else(|| BadId { text: text.to_owned(), expected: "a lease id such as L-12.1" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        assert_eq!("wf-12".parse(), Ok(CaseId::new(12)));
        assert_eq!("E3".parse(), Ok(EvidenceId::new(3)));
        let proposal = ProposalId::new(CaseId::new(4), 2);
        assert_eq!(ProposalId::try_from(proposal.to_string()), Ok(proposal));
        assert_eq!(LeaseId::of(proposal).to_string().parse(), Ok(LeaseId::of(proposal)));
        assert!("P-4.2".parse::<LeaseId>().is_err() && "P-4".parse::<ProposalId>().is_err());
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        assert!("E3".parse::<CaseId>().is_err());
        assert!("WF-".parse::<CaseId>().is_err());
        assert!("é".parse::<EvidenceId>().is_err());
    }
}
