//! Effects on accounts and groups. By themselves they are an administrator's daily work.

use super::super::feature::{Feature, STRONG, WEAK};
use super::super::seen::SeenEvent;
use crate::domain::evidence::Family;

/// Features of one event.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    if event.view.channel != "Security" {
        return vec![];
    }
    let found = match event.view.code {
        4720 => created(event),
        4728 | 4732 | 4756 => joined(event),
        4765 | 4766 => event.feature(
            "history of another account added",
            Family::Effect,
            STRONG,
            &["TargetUserName"],
            "an account was given another's history",
        ),
        _ => None,
    };
    found.into_iter().collect()
}

fn created(event: &SeenEvent) -> Option<Feature> {
    let account = event.get("TargetUserName")?;
    // Machines' names end so; a person's account that does hides among them.
    if account.ends_with('$') {
        let says = format!("an account was made whose name {account} is like a machine's");
        return event.feature(
            "account named like a machine",
            Family::Effect,
            STRONG,
            &["TargetUserName", "SubjectUserName"],
            says,
        );
    }
    event.feature(
        "account made",
        Family::Effect,
        WEAK,
        &["TargetUserName", "SubjectUserName"],
        format!("the account {account} was made"),
    )
}

fn joined(event: &SeenEvent) -> Option<Feature> {
    let (group, sid) = (event.get("TargetUserName")?, event.get("TargetSid").unwrap_or_default());
    // Administrators, Domain Admins, Enterprise Admins, Schema Admins.
    let powerful = sid.ends_with("-544") || ["-512", "-519", "-518"].iter().any(|end| sid.ends_with(end));
    let says = format!("a member was added to {group}");
    powerful.then(|| {
        event.feature(
            "member added to administrators",
            Family::Effect,
            WEAK,
            &["TargetUserName", "SubjectUserName"],
            says,
        )
    })?
}
