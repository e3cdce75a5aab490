//! MITRE ATT&CK names across versions: rules, products and models say the same thing by old and new ids.
//!
//! Version 19 split the tactic Defense Evasion into Stealth and Defense Impairment, and renumbered the techniques of
//! defence impairment. Tags are kept as their authors wrote them; whoever compares or counts asks here. The table lies
//! in the domain because a rule's card answers by it, and the domain imports nothing.

/// The version of ATT&CK whose names are given out.
pub const VERSION: &str = "19";

/// Techniques that version 19 renumbered: the id until version 18, the id since. An id that is not here is the same in
/// both, or has no single successor.
const RENUMBERED: [(&str, &str); 4] =
    [("T1562.001", "T1685"), ("T1562.002", "T1685.001"), ("T1562.004", "T1686"), ("T1070.001", "T1685.005")];

/// Techniques (with what is below them) that impair defences, in either version.
const IMPAIRMENT: [&str; 3] = ["T1562", "T1685", "T1686"];

/// Tactics by their numbers, where a number has one name in both versions. TA0005 is Defense Evasion.
const TACTICS: [(&str, &str); 14] = [
    ("ta0043", "reconnaissance"),
    ("ta0042", "resource-development"),
    ("ta0001", "initial-access"),
    ("ta0002", "execution"),
    ("ta0003", "persistence"),
    ("ta0004", "privilege-escalation"),
    ("ta0005", EVASION),
    ("ta0006", "credential-access"),
    ("ta0007", "discovery"),
    ("ta0008", "lateral-movement"),
    ("ta0009", "collection"),
    ("ta0011", "command-and-control"),
    ("ta0010", "exfiltration"),
    ("ta0040", "impact"),
];

const EVASION: &str = "defense-evasion";
const STEALTH: &str = "stealth";
const DEFENSE_IMPAIRMENT: &str = "defense-impairment";

/// A technique id in upper case under its newest number; `None` if the text is no technique id.
#[must_use]
pub fn technique(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_uppercase();
    let rest = id.strip_prefix('T')?;
    let (number, part) = rest.split_once('.').map_or((rest, None), |(number, part)| (number, Some(part)));
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(number, 4) || part.is_some_and(|part| !digits(part, 3)) {
        return None;
    }
    let renumbered = RENUMBERED.iter().find(|(old, _)| *old == id).map(|(_, new)| (*new).to_owned());
    Some(renumbered.unwrap_or(id))
}

/// Technique ids among tags such as `attack.t1059.001`, newest numbers, each once, in the tags' order.
#[must_use]
pub fn techniques(tags: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in attack_tags(tags).filter_map(technique) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Tactics among tags (`attack.lateral_movement`, `attack.ta0008`), by their newest names, each once, in the tags'
/// order.
///
/// `defense-evasion` became two. It is `defense-impairment` if one of the tags' techniques impairs defences, and
/// `stealth` otherwise.
#[must_use]
pub fn tactics(tags: &[String]) -> Vec<String> {
    let impairs = || {
        let of_impairment = |id: &String| {
            IMPAIRMENT
                .iter()
                .any(|family| id.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        techniques(tags).iter().any(of_impairment)
    };
    let mut names: Vec<String> = Vec::new();
    for tag in attack_tags(tags) {
        let written = tag.to_ascii_lowercase().replace(['_', ' '], "-");
        let name = TACTICS.iter().find(|(number, _)| *number == written).map_or(written.as_str(), |(_, name)| name);
        // Groups, software, techniques and the like carry numbers.
        if name.chars().any(|c| c.is_ascii_digit()) || name.is_empty() {
            continue;
        }
        let name = match name {
            EVASION | "defence-evasion" if impairs() => DEFENSE_IMPAIRMENT,
            EVASION | "defence-evasion" => STEALTH,
            "defence-impairment" => DEFENSE_IMPAIRMENT,
            known => known,
        };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The tactic as it counts: Stealth and Defense Impairment were one until version 18, so that a rule set's age must
/// not make an attack look broader.
#[must_use]
pub fn counted_as(tactic: &str) -> &str {
    match tactic {
        STEALTH | DEFENSE_IMPAIRMENT => EVASION,
        other => other,
    }
}

fn attack_tags(tags: &[String]) -> impl Iterator<Item = &str> {
    tags.iter().filter_map(|tag| {
        tag.get(..7).filter(|prefix| prefix.eq_ignore_ascii_case("attack.")).map(|prefix| &tag[prefix.len()..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn old_and_new_ids_are_one_technique() {
        for (old, new) in RENUMBERED {
            assert_eq!(technique(&old.to_lowercase()).as_deref(), Some(new));
            assert_eq!(technique(new).as_deref(), Some(new));
        }
        assert_eq!(technique("t1059.001").as_deref(), Some("T1059.001"));
        assert_eq!(techniques(&tags(&["attack.t1562.001", "attack.t1685", "attack.T1003"])), ["T1685", "T1003"]);
    }

    #[test]
    fn what_is_no_technique_is_not_taken_for_one() {
        for text in ["", "t", "tzz", "t105", "t10590", "t1059.", "t1059.1", "t1059.0011", "g0007", "é1059", "ta0005"] {
            assert_eq!(technique(text), None, "{text}");
        }
    }

    #[test]
    fn tactics_have_one_name_in_every_spelling() {
        let written =
            ["attack.lateral_movement", "attack.Lateral-Movement", "attack.ta0008", "ATTACK.lateral-movement"];
        assert_eq!(tactics(&tags(&written)), ["lateral-movement"]);
        assert_eq!(tactics(&tags(&["attack.g0007", "attack.s0029", "attack.t1003", "cve.2021-44228"])), [""; 0]);
    }

    #[test]
    fn defense_evasion_is_read_by_its_techniques() {
        assert_eq!(tactics(&tags(&["attack.defense-evasion", "attack.t1036"])), ["stealth"]);
        assert_eq!(tactics(&tags(&["attack.defense_evasion", "attack.t1562.001"])), ["defense-impairment"]);
        assert_eq!(tactics(&tags(&["attack.ta0005", "attack.t1070.001"])), ["defense-impairment"]);
        for tactic in ["stealth", "defense-impairment", "defense-evasion"] {
            assert_eq!(counted_as(tactic), "defense-evasion");
        }
        assert_eq!(counted_as("impact"), "impact");
    }
}
