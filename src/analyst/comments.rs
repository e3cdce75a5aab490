//! What the tiers write into a case while they work: seen, concluded, not known, needed; every fact with its evidence.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::case::Hold;
use crate::domain::draft::Confidence;
use crate::domain::evidence::Weight;
use crate::domain::ids::EvidenceId;
use crate::domain::route::{Route, Routed};
use crate::domain::taint;
use crate::domain::verdict::{Verdict, probability_words};
use crate::domain::words::{counted, excerpt};
use crate::knowledge::command;
use crate::tools::answer::{Answer, Answered};
use crate::tools::coverage::{Covered, KindSeen};
use crate::tools::process_tree::{Known, Node};
use crate::tools::view::most_telling;

/// Most lines of one comment.
const MOST_LINES: usize = 12;

/// Most characters of one quoted value.
const LONGEST_QUOTE: usize = 160;

/// Most characters of a verdict's story or of a question: neither is cut short in its middle by a long name.
const LONGEST_STORY: usize = 1_200;

/// Text from the evidence as a comment may show it: on one line, nothing hidden, no live link.
#[must_use]
pub fn quoted(text: &str) -> String {
    at_most(text, LONGEST_QUOTE)
}

/// The same, with more room.
fn at_most(text: &str, most: usize) -> String {
    // Only what could be followed: a file's name is shown as it is.
    let defanged = |text: String, scheme: &str, dead: &str| text.replace(scheme, dead);
    let shown = [("http://", "hxxp://"), ("https://", "hxxps://"), ("HTTP://", "HXXP://"), ("HTTPS://", "HXXPS://")]
        .iter()
        .fold(taint::shown(text), |text, (scheme, dead)| defanged(text, scheme, dead));
    excerpt(&shown, most).into_owned()
}

/// At most so many characters of a text, from where it begins to tell something; what is left out is marked.
#[must_use]
pub fn telling(text: &str, most: usize) -> String {
    let from = command::quotable_start(text, most);
    let before = if from > 0 { "…" } else { "" };
    format!("{before}{}", excerpt(&text[from..], most))
}

/// What a batch of calls showed; look-ups that showed only what the case knew (`known`) are counted, not repeated.
#[must_use]
pub fn looked(because: &str, answers: &[Arc<Answered>], known: &BTreeSet<EvidenceId>) -> String {
    let shows_news = |answered: &&Arc<Answered>| {
        let mut ids = answered.evidence.iter().flatten().peekable();
        ids.peek().is_none() || ids.any(|id| !known.contains(id))
    };
    let news: Vec<&Arc<Answered>> = answers.iter().filter(shows_news).collect();
    let mut lines = vec![because.to_owned()];
    lines.extend(news.iter().filter_map(|answered| line(answered)));
    match answers.len() - news.len() {
        0 => {}
        1 => lines.push("- 1 look-up showed nothing new".into()),
        n => lines.push(format!("- {n} look-ups showed nothing new")),
    }
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES + 1;
        lines.truncate(MOST_LINES - 1);
        lines.push(format!("… and {more} more look-ups"));
    }
    lines.join("\n")
}

/// One answer in one line; nothing for an answer that shows nothing.
fn line(answered: &Answered) -> Option<String> {
    let answer = match &answered.outcome {
        Ok(answer) => answer,
        Err(error) => return Some(format!("- {} gave no answer: {}", answered.call.tool, quoted(&error.to_string()))),
    };
    match answered.call.tool.as_str() {
        "get_alert" => alert(answered, answer),
        "process_tree" => tree(answered, answer),
        "sensor_coverage" => coverage(answered, answer),
        _ => search(answered, answer),
    }
}

fn ids(answered: &Answered) -> String {
    let ids: BTreeSet<EvidenceId> = answered.evidence.iter().flatten().copied().collect();
    let shown: Vec<String> = ids.iter().take(6).map(ToString::to_string).collect();
    match (shown.is_empty(), ids.len() > 6) {
        (true, _) => String::new(),
        (false, false) => format!(" [{}]", shown.join(",")),
        (false, true) => format!(" [{},…]", shown.join(",")),
    }
}

fn alert(answered: &Answered, answer: &Answer) -> Option<String> {
    let alert: crate::domain::alert::Alert = serde_json::from_value(answer.data.clone()).ok()?;
    let matched = most_telling(&alert.matched);
    let matched = matched.map_or_else(String::new, |quote| {
        let field = quote.field.rsplit('.').next().unwrap_or(&quote.field);
        format!(": {field} `{}`", quoted(&telling(&quote.value, LONGEST_QUOTE)))
    });
    let author = alert.rule.author.as_ref().map_or_else(String::new, |author| format!(", rule by {}", quoted(author)));
    Some(format!(
        "- {} ({}{author}) — {} on {}{matched}{}",
        quoted(&alert.rule.title),
        alert.rule.level,
        alert.event_kind,
        quoted(&alert.host.to_string()),
        ids(answered)
    ))
}

fn tree(answered: &Answered, answer: &Answer) -> Option<String> {
    let nodes: Vec<Node> = serde_json::from_value(answer.data.clone()).ok()?;
    let name = |node: &Node| {
        let name = quoted(&crate::knowledge::paths::base_name(&node.image));
        if node.known == Known::Inferred { format!("{name} (inferred)") } else { name }
    };
    let mut line: Vec<String> = nodes.iter().filter(|node| node.depth <= 0).map(name).collect();
    if line.len() == 1 {
        line.insert(0, "(parent not recorded)".into());
    }
    let children: Vec<String> = nodes.iter().filter(|node| node.depth > 0).map(name).collect();
    let more = children.len().saturating_sub(8);
    let below = match children.is_empty() {
        true => String::new(),
        false if more > 0 => format!("; below it: {} and {more} more", children[..8].join(", ")),
        false => format!("; below it: {}", children.join(", ")),
    };
    Some(format!("- Chain: {}{below}{}", line.join(" → "), ids(answered)))
}

fn coverage(answered: &Answered, answer: &Answer) -> Option<String> {
    let Covered { kinds, .. } = serde_json::from_value(answer.data.clone()).ok()?;
    let names = |state: &dyn Fn(&KindSeen) -> bool| {
        let of = kinds.iter().filter(|kind| state(kind));
        of.map(|kind| crate::domain::event::kind_name(&kind.channel, kind.code)).collect::<Vec<_>>().join(", ")
    };
    let host = answered.call.arguments.get("host").and_then(|host| host.as_str()).unwrap_or("the host");
    let alive = |kind: &KindSeen| kind.seen.is_alive();
    let states = [
        (names(&alive), "reported before and after, so silence means something"),
        (
            names(&|kind| !alive(kind) && kind.seen.tampered),
            "not to be trusted: a log was cleared or the sensor was touched",
        ),
        (
            names(&|kind| !alive(kind) && !kind.seen.tampered && kind.seen.count > 0),
            "reported, but not on both sides of the window, so silence means nothing",
        ),
        (names(&|kind| !kind.seen.tampered && kind.seen.count == 0), "never seen around then"),
    ];
    let states = states.iter().filter(|(names, _)| !names.is_empty());
    let states: Vec<String> = states.map(|(names, state)| format!("{names} {state}")).collect();
    // The tiers look at windows of different width: what is silent in one may have spoken in the other.
    let at = |name: &str| {
        let time: jiff::Timestamp = answered.call.arguments.get(name)?.as_str()?.parse().ok()?;
        Some(time.strftime("%F %T").to_string())
    };
    let window = at("from").zip(at("to")).map_or_else(String::new, |(from, to)| format!(" from {from} to {to}"));
    Some(format!("- Sensors on {}{window}: {}", quoted(host), states.join("; ")))
}

fn search(answered: &Answered, answer: &Answer) -> Option<String> {
    let first = answer.rows.iter().find_map(|row| row.view.as_ref());
    let text = match first {
        None if answer.rows.is_empty() => return None,
        None => {
            let text = answer.rows.first().map(|row| quoted(&row.text)).unwrap_or_default();
            let host = answered.call.arguments.get("host").and_then(|host| host.as_str());
            match host.filter(|_| answered.call.arguments.get("group_by").is_some()) {
                Some(host) => format!("{text} on {} in that window, counted", quoted(host)),
                None => text,
            }
        }
        Some(view) => {
            let kinds: BTreeSet<String> =
                answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|v| v.kind()).collect();
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
            let what = ["DestinationIp", "TargetFilename", "TargetObject", "TargetImage", "CommandLine", "ImagePath"];
            let what = what
                .iter()
                .find_map(|name| view.get(name))
                .map_or_else(String::new, |v| format!(", first `{}`", quoted(v)));
            format!("{} ({kinds}) on {}{what}", counted(answer.header.total, "event"), quoted(&view.host.to_string()))
        }
    };
    Some(format!("- {text}{}", ids(answered)))
}

/// The verdict, standing alone.
#[must_use]
pub fn verdict(verdict: &Verdict, analyst: &str) -> String {
    let words = verdict.words();
    let probability = verdict.malicious_probability();
    let confidence = match verdict.confidence() {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
    };
    let kind = match verdict.determination() {
        Some(determination) => format!("{} – {}", verdict.classification().name(), determination.name()),
        None => verdict.classification().name().to_owned(),
    };
    let mut lines = vec![format!(
        "{}. {} ({:.1} % malicious), confidence {confidence} (coverage {:.2}). Judged by {analyst}.",
        capital(&kind),
        capital(probability_words(probability)),
        probability * 100.0,
        verdict.coverage().share()
    )];
    if !words.story.is_empty() {
        lines.push(at_most(&words.story, LONGEST_STORY));
    }
    for (weight, name) in [(Weight::ForMalicious, "For malicious"), (Weight::ForBenign, "For benign")] {
        let reasons = verdict.evidence().iter().filter(|item| item.weight() == weight).take(4);
        let reasons: Vec<String> = reasons.map(|item| format!("{} [{}]", quoted(item.says()), item.id())).collect();
        if !reasons.is_empty() {
            lines.push(format!("{name}: {}.", reasons.join("; ")));
        }
    }
    lines.extend(words.contradictions.first().map(|text| format!("Does not fit: {}.", quoted(text))));
    lines.extend(words.unknowns.iter().take(3).map(|unknown| format!("Not known: {}.", quoted(&unknown.what))));
    lines.extend(words.would_change.as_ref().map(|text| format!("Would change this: {}.", quoted(text))));
    lines.join("\n")
}

/// Where the case goes and by which rule.
#[must_use]
pub fn status(routed: &Routed) -> String {
    let rule = format!("Rule {}: {}.", routed.rule, quoted(&routed.because));
    match &routed.route {
        Route::Escalate { question } => format!("To Tier 2: {}\n{rule}", quoted(question)),
        Route::Resolve(resolution) => format!("Resolved as {}, on proof.\n{rule}", resolution.classification().name()),
        Route::Hold(hold) => format!("{}\n{rule}", on_hold(hold)),
    }
}

/// A hold with its question.
#[must_use]
pub fn on_hold(hold: &Hold) -> String {
    let mut text = format!(
        "On hold, {}: {}.\nQuestion: {}\nAnswers: {}. If nobody answers: {}.",
        hold.cause.queue(),
        hold.cause.reason(),
        at_most(&hold.ask.question, LONGEST_STORY),
        hold.ask.options.iter().map(|option| quoted(option)).collect::<Vec<_>>().join(" / "),
        quoted(&hold.ask.default_if_silent)
    );
    for missing in hold.missing.iter().take(3) {
        text.push_str(&format!("\nMissing: {} — look in {}.", quoted(&missing.what), quoted(&missing.where_to_look)));
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_cannot_link_hide_or_flood() {
        assert_eq!(quoted("C:\\GoHTTP.exe"), "C:\\GoHTTP.exe");
        assert_eq!(quoted("http://203.0.113.9/a\n\u{202E}b"), "hxxp://203.0.113.9/a \\u{202E}b");
        assert_eq!(quoted(&"é".repeat(1_000)).chars().count(), LONGEST_QUOTE + 1);
    }
}
