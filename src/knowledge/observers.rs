//! What a text does to those who watch: which guard it switches off, in words that a person can be asked about.

use super::command::folded;

/// Words that occur together, folded as [`super::command`] folds a text, and what they do.
const ACTS: [(&[&str], &str); 20] = [
    (&["amsiutils"], "turns off AMSI"),
    (&["amsiinitfailed"], "turns off AMSI"),
    (&["amsiscanbuffer"], "turns off AMSI"),
    (&["scriptblocklogging", "getfield"], "turns off script-block logging"),
    (&["etweventwrite"], "silences event tracing"),
    (&["set-mppreference", "disable"], "switches off parts of Defender"),
    (&["add-mppreference", "exclusion"], "makes Defender look away"),
    (&["windows defender", "exclusions", "reg add"], "makes Defender look away"),
    (&["wevtutil", " cl "], "clears a log"),
    (&["wevtutil", "clear-log"], "clears a log"),
    (&["clear-eventlog"], "clears a log"),
    (&["remove-eventlog"], "removes a log"),
    (&["wevtutil", "/e:false"], "switches a log off"),
    (&["eventlog", "start=", "disabled"], "disables the event log"),
    (&["eventlog", "startuptype", "disabled"], "disables the event log"),
    (&["stop-service", "eventlog"], "stops the event log"),
    (&["auditpol", "/clear"], "clears the audit policy"),
    (&["auditpol", "/success:disable"], "switches auditing off"),
    (&["fltmc", "unload"], "unloads a file system filter"),
    (&["fsutil", "usn", "deletejournal"], "deletes the change journal"),
];

/// What these texts do to their observers, each once, in the order of the list; nothing if they do nothing to them.
#[must_use]
pub fn acts(texts: &[String]) -> Vec<&'static str> {
    let all = texts.iter().map(|text| folded(text)).collect::<Vec<_>>().join("\n");
    let mut found: Vec<&'static str> = Vec::new();
    for (words, act) in ACTS {
        if words.iter().all(|word| all.contains(word)) && !found.contains(&act) {
            found.push(act);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::capability::{Capability, WORDS};
    use super::*;

    #[test]
    fn every_word_by_which_evasion_is_known_says_what_is_switched_off() {
        let (_, entries) =
            WORDS.iter().find(|(capability, _)| *capability == Capability::Evasion).expect("it is listed");
        for words in *entries {
            assert!(ACTS.iter().any(|(known, _)| known == words), "{words:?}");
        }
    }

    #[test]
    fn acts_are_told_each_once() {
        let text = "$a.GetField('x'); 'ScriptBlockLogging'; [Ref].Assembly.GetType('AmsiUtils'); amsiInitFailed";
        assert_eq!(acts(&[text.to_owned()]), ["turns off AMSI", "turns off script-block logging"]);
        assert!(acts(&["Get-Service".to_owned()]).is_empty());
    }
}
