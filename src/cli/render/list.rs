//! The list of cases: by what they wait for, two lines each, so that fifty of them can be read in a narrow terminal.

use std::cmp::Reverse;
use std::fmt;

use super::{about, hosts, judged, persons};
use crate::domain::case::{HoldQueue, Status};
use crate::domain::words::{agreeing, counted, excerpt};
use crate::ports::desk::DeskCase;

/// Of a case on many machines the first ones are named, as far as there is room for so many characters.
const ROOM_FOR_HOSTS: usize = 30;

/// What cases wait for, in the order in which a person needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Decision,
    Information,
    UnderWay,
    Resolved,
    Ended,
}

impl Group {
    const ALL: [Self; 5] = [Self::Decision, Self::Information, Self::UnderWay, Self::Resolved, Self::Ended];

    fn of(case: &DeskCase) -> Self {
        match (case.state.status, case.state.hold.as_ref().map(|hold| hold.cause.queue())) {
            (Status::OnHold, Some(HoldQueue::NeedsDecision)) => Self::Decision,
            (Status::OnHold, _) => Self::Information,
            (Status::New | Status::InProgress, _) => Self::UnderWay,
            (Status::Resolved, _) => Self::Resolved,
            (Status::Closed | Status::Merged, _) => Self::Ended,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decision => "On hold: needs a decision",
            Self::Information => "On hold: needs information",
            Self::UnderWay => "Under way",
            Self::Resolved => "Resolved",
            Self::Ended => "Closed or merged",
        })
    }
}

/// The first line of a case, in columns.
struct Row {
    cells: [String; 6],
    below: Vec<String>,
}

impl Row {
    fn of(case: &DeskCase) -> Self {
        let state = &case.state;
        let alerts = counted(state.alerts, "alert");
        let when = state.first_alert.map_or_else(String::new, |first| first.strftime("%F %R").to_string());
        let verdict = state.merged_into.map_or_else(|| judged(case), |into| format!("merged into {into}"));
        let cells = [
            case.id.to_string(),
            state.severity.to_string(),
            verdict,
            alerts,
            when,
            excerpt(&hosts(case), ROOM_FOR_HOSTS).into_owned(),
        ];
        Self { cells, below: std::iter::once(about(case)).chain(persons(case)).collect() }
    }
}

/// All cases by what they wait for, the loudest first, and how many there are of each kind. Times are UTC.
#[must_use]
pub fn list(cases: &[DeskCase]) -> String {
    let mut cases: Vec<&DeskCase> = cases.iter().collect();
    cases.sort_by_key(|case| (Group::of(case), Reverse(case.state.severity), case.id.number()));
    let rows: Vec<(Group, Row)> = cases.iter().map(|case| (Group::of(case), Row::of(case))).collect();
    let width = |column: usize| rows.iter().map(|(_, row)| row.cells[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    for group in Group::ALL {
        let of_it = || rows.iter().filter(|(of, _)| *of == group).map(|(_, row)| row);
        if of_it().next().is_some() {
            out.push_str(&format!("{group}\n"));
        }
        for row in of_it() {
            let cells = row.cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            out.push_str(&format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end()));
            let indent = " ".repeat(widths[0] + 4);
            row.below.iter().for_each(|line| out.push_str(&format!("{indent}{line}\n")));
        }
    }
    out.push_str(&sum(&cases));
    out
}

/// `4 cases: 2 need a decision, 1 needs information, 1 resolved on proof.`
fn sum(cases: &[&DeskCase]) -> String {
    let count = |holds: &dyn Fn(&DeskCase) -> bool| cases.iter().filter(|case| holds(case)).count() as u64;
    let needing = |group, what: &str| {
        let number = count(&|case| Group::of(case) == group);
        format!("{number} {} {what}", agreeing(number, "needs", "need"))
    };
    let mut parts = vec![needing(Group::Decision, "a decision"), needing(Group::Information, "information")];
    let by_person = count(&|case| Group::of(case) == Group::Resolved && case.state.persons_verdict.is_some());
    let resolved = count(&|case| Group::of(case) == Group::Resolved);
    parts.push(format!("{} resolved on proof", resolved - by_person));
    if by_person > 0 {
        parts.push(format!("{by_person} resolved by people"));
    }
    let all = count(&|case| case.state.status != Status::Merged);
    format!("{}: {}.\n", counted(all, "case"), parts.join(", "))
}
