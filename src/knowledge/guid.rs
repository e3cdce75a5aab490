//! How a GUID is spelled: bare or in braces, in capitals or not. All spellings are one thing.

/// The one spelling by which two are compared: in braces and capitals; nothing for nothing. Sensors name processes
/// by more than GUIDs, and what is none is folded alike.
#[must_use]
pub fn folded(text: &str) -> String {
    let bare = bare(text);
    if bare.is_empty() { String::new() } else { format!("{{{}}}", bare.to_uppercase()) }
}

/// Two spellings of one thing.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    !bare(one).is_empty() && folded(one) == folded(other)
}

/// Without its braces.
#[must_use]
pub fn bare(text: &str) -> &str {
    text.trim().trim_matches(['{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_are_one_and_nothing_is_none() {
        let spellings = ["{0a1b-cd}", "0A1B-CD", " {0A1b-cd} ", "0a1b-cd}"];
        for one in spellings {
            assert_eq!(folded(one), "{0A1B-CD}");
            assert!(spellings.iter().all(|other| same(one, other)));
        }
        assert!(!same("{0a}", "{0b}") && !same("", "") && !same("{}", ""));
        assert_eq!(folded("{}"), "");
    }
}
