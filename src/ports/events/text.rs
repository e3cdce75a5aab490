//! Full text: which words an event says, and what it means to ask for some of them.
//!
//! A word is a run of ASCII letters and digits and of everything beyond ASCII, folded to lower case. Only its first
//! [`LONGEST_WORD`] characters count, so that an encoded payload does not fill an index.

use std::collections::BTreeSet;

use crate::domain::event::Event;

/// Characters of a word that count.
pub const LONGEST_WORD: usize = 64;

/// The texts of `winlog.event_data` whose words are found; the rendered message is the other one.
const TEXTS: [&str; 6] =
    ["CommandLine", "ParentCommandLine", "ScriptBlockText", "ServiceFileName", "ImagePath", "TaskContent"];

/// Words that are looked for, each as the beginning of a word. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextQuery(BTreeSet<String>);

impl TextQuery {
    /// The words of a text; `None` if it has none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let words = words(text);
        (!words.is_empty()).then_some(Self(words))
    }

    /// The words, folded.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether each word begins one of these.
    #[must_use]
    pub fn is_in(&self, words: &BTreeSet<String>) -> bool {
        let begins_one = |wanted: &String| words.range(wanted.clone()..).next().is_some_and(|w| w.starts_with(wanted));
        self.0.iter().all(begins_one)
    }
}

/// The words of an event: of its message, its command lines and its scripts.
#[must_use]
pub fn words_of(event: &Event) -> BTreeSet<String> {
    let message = event.document.get("message").and_then(|message| message.as_str());
    TEXTS.iter().filter_map(|name| event.data(name)).chain(message).flat_map(words).collect()
}

fn words(text: &str) -> BTreeSet<String> {
    let folded = text.to_lowercase();
    let parts = folded.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric());
    parts.filter(|word| !word.is_empty()).map(|word| word.chars().take(LONGEST_WORD).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixtures::event;

    #[test]
    fn words_are_found_by_their_beginnings_in_any_order_and_case() {
        let event = event("e", 0, "h", ("Security", 1), json!({"CommandLine": r"C:\Tools\Ärger.exe /run:now -x"}));
        let said = words_of(&event);
        for (text, found) in [("RUN tool", true), ("ärg", true), ("ools", false), ("run later", false), ("x exe", true)]
        {
            assert_eq!(TextQuery::new(text).expect("it has words").is_in(&said), found, "{text}");
        }
        assert_eq!(TextQuery::new(" -/ "), None, "it asks for nothing");
    }

    proptest! {
        #[test]
        fn every_beginning_of_a_word_of_an_event_finds_it(text in "\\PC{1,60}", length in 1_usize..20) {
            let event = event("e", 0, "h", ("Security", 1), json!({"ScriptBlockText": text}));
            for word in words_of(&event) {
                let beginning: String = word.chars().take(length).collect();
                let query = TextQuery::new(&beginning).expect("it is a word");
                prop_assert!(query.is_in(&words_of(&event)), "{beginning:?} of {word:?}");
            }
        }
    }
}
