//! The story of a verdict in a few sentences: who did what, where it came from, how it was judged; and its headline.

use super::super::Brief;
use super::feature::Feature;
use super::score::Score;
use super::seen::{Seen, SeenEvent};
use super::wording;
use crate::domain::alert::Alert;
use crate::domain::draft::Classification;
use crate::domain::event::SYSMON;
use crate::domain::evidence::Family;
use crate::domain::taint;
use crate::domain::verdict::probability_words;
use crate::domain::words::excerpt;
use crate::knowledge::{paths, programs};

/// Most characters of a headline, the mark of what was cut included.
const LONGEST_HEADLINE: usize = 139;

/// The event that a case is told by: the act that weighs most, or what speaks for harm, or else what fired loudest.
#[must_use]
pub fn act<'s>(seen: &'s Seen, brief: &Brief, features: &[Feature], harm: Option<&Feature>) -> Option<&'s SeenEvent> {
    let of = |feature: &Feature| seen.events.get(&feature.evidence);
    let loudest = || {
        let trigger = |alert: &&Alert| seen.triggers.get(&alert.event).and_then(|id| seen.events.get(id));
        let seen_alerts = brief.alerts.iter().filter(|alert| trigger(alert).is_some());
        seen_alerts.max_by_key(|alert| (alert.rule.level, std::cmp::Reverse(alert.time))).as_ref().and_then(trigger)
    };
    let suspicious = || {
        let strongest = features.iter().filter(|feature| feature.value > 0.0 && feature.family != Family::Context);
        of(strongest.max_by(|one, other| one.value.total_cmp(&other.value))?)
    };
    // What speaks for harm is asked about, not what is merely loud: to know the harmless half excuses nothing.
    harm.and_then(of).or_else(suspicious).or_else(loudest)
}

/// Who did what; the first thing known of how it came about; how it was judged and on what.
#[must_use]
pub fn story(
    classification: Classification,
    score: &Score,
    features: &[Feature],
    act: Option<&SeenEvent>,
    seen: &Seen,
) -> String {
    let mut sentences: Vec<String> = Vec::new();
    if let Some(act) = act {
        sentences.push(format!("{}.", wording::sentence(act)));
        sentences.push(beginning(act, seen).unwrap_or_else(|| "What led to it is not in what was looked at.".into()));
    }
    let sign = if score.probability >= 0.5 { 1.0 } else { -1.0 };
    let reason = features.iter().find(|feature| feature.value * sign > 0.0);
    let because = reason.map_or_else(String::new, |feature| format!(", first of all because {}", told(feature)));
    let judged = probability_words(score.probability);
    sentences.push(format!("Judged {} ({judged}){because}.", classification.name()));
    sentences.extend(score.moved.map(|moved| format!("Before looking: {}.", moved.says())));
    taint::shown(&sentences.join(" "))
}

/// A finding with its evidence, unless it names what shows it already.
fn told(feature: &Feature) -> String {
    format!("{} ({})", feature.says, feature.evidence)
}

/// Where it came from, or what is the first that is known of it.
fn beginning(act: &SeenEvent, seen: &Seen) -> Option<String> {
    session(act, seen).or_else(|| written(act, seen)).or_else(|| first(act, seen))
}

/// The session from elsewhere that led to it.
fn session(act: &SeenEvent, seen: &Seen) -> Option<String> {
    let (logon, address) = person_behind(act, seen)?;
    let at = logon.view.time.strftime("%F %T");
    Some(format!("It came over the network from {address}, by {} at {at} UTC [{}].", wording::who(logon), logon.id))
}

/// Who came to the machine of an act from elsewhere, as far as a session or a share of the case shows it, and whence.
#[must_use]
pub fn person_behind<'s>(act: &SeenEvent, seen: &'s Seen) -> Option<(&'s SeenEvent, &'s str)> {
    let from_elsewhere = |event: &&SeenEvent| {
        let remote = event.is_security(4624) && matches!(event.get("LogonType"), Some("3" | "10"))
            || event.is_security(5145)
            || event.is_security(5140);
        let is_machine = event.account().is_none_or(|account| account.ends_with('$') || account.contains("ANONYMOUS"));
        remote && !is_machine && event.view.host == act.view.host && event.view.time <= act.view.time
    };
    let address = |event: &'s SeenEvent| {
        let text = event.get("IpAddress")?;
        let address: std::net::IpAddr = text.parse().ok()?;
        (!address.is_loopback() && !address.is_unspecified()).then_some((event, text))
    };
    seen.related().filter(from_elsewhere).filter_map(address).min_by_key(|(event, _)| event.view.time)
}

/// Who wrote the program or the script that acted.
fn written(act: &SeenEvent, seen: &Seen) -> Option<String> {
    let command = act.get("CommandLine").unwrap_or_default().to_lowercase();
    let acting = |file: &str| {
        act.image().is_some_and(|image| image.eq_ignore_ascii_case(file)) || command.contains(&file.to_lowercase())
    };
    let writes = seen.events.values().filter(|event| event.view.is_sysmon(11) && event.view.host == act.view.host);
    let write = writes
        .filter(|event| event.view.time <= act.view.time && event.get("TargetFilename").is_some_and(acting))
        .min_by_key(|event| event.view.time)?;
    let (file, writer) = (write.get("TargetFilename")?, write.image().map(paths::base_name)?);
    let at = write.view.time.strftime("%F %T");
    Some(format!("`{}` was written by {writer} at {at} UTC [{}].", excerpt(file, 120), write.id))
}

/// The earliest event of the case that says more than that Windows runs.
fn first(act: &SeenEvent, seen: &Seen) -> Option<String> {
    let says_something = |event: &&SeenEvent| {
        let of_windows = event.image().is_some_and(programs::is_hub);
        let is_deed = event.view.channel != SYSMON || matches!(event.view.code, 1 | 3 | 11 | 13 | 15 | 22);
        is_deed && !of_windows && event.id != act.id && event.view.time < act.view.time
    };
    let event = seen.related().filter(says_something).min_by_key(|event| event.view.time)?;
    let at = event.view.time.strftime("%F %T");
    Some(format!("The first known event: {} {} at {at} UTC [{}].", wording::who(event), wording::did(event), event.id))
}

/// The verdict in a line for a list: the machine, what was found, who did it. Evidence ids are for the thread.
#[must_use]
pub fn headline(host: &str, says: &str, act: Option<&SeenEvent>, seen: &Seen) -> String {
    let says = without_ids(says);
    let account = act.and_then(|act| {
        let own = act.account().filter(|account| is_somebody(account));
        own.or_else(|| person_behind(act, seen).and_then(|(logon, _)| logon.account()))
    });
    let by = account.filter(|account| !says.contains(short(account))).map(|account| format!(", as {account}"));
    let plain = taint::shown(&format!("{host}: {says}"));
    let whole = taint::shown(&format!("{host}: {says}{}", by.unwrap_or_default()));
    let fits = whole.chars().count() <= LONGEST_HEADLINE;
    excerpt(if fits { &whole } else { &plain }, LONGEST_HEADLINE).into_owned()
}

fn short(account: &str) -> &str {
    account.rsplit('\\').next().unwrap_or(account)
}

/// An account of a person or a program, not of the machine itself.
fn is_somebody(account: &str) -> bool {
    let name = short(account).to_lowercase();
    !name.ends_with('$') && !matches!(name.as_str(), "system" | "local service" | "network service")
}

/// The text without the evidence ids in it: ` (E16)`.
fn without_ids(text: &str) -> String {
    let mut parts = text.split(" (E");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) => {
                out.push_str(rest)
            }
            _ => out.extend([" (E", part]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::shown;
    use super::*;

    #[test]
    fn a_headline_names_the_person_and_no_evidence_ids() {
        let run = |user: &str| shown((SYSMON, 1), json!({"CommandLine": "x.exe", "User": user}));
        let told = |user: &str, says: &str| headline("WKS-1", says, Some(&run(user)), &Seen::default());
        let says = "x.exe was written by cmd.exe (E16) and then started";
        assert_eq!(told("CORP\\a.user", says), "WKS-1: x.exe was written by cmd.exe and then started, as CORP\\a.user");
        assert_eq!(told("NT AUTHORITY\\SYSTEM", "it ran"), "WKS-1: it ran");
        let long = told("CORP\\a.user", &"long ".repeat(60));
        assert!(long.chars().count() <= 140 && long.ends_with('…'), "{long}");
    }
}
