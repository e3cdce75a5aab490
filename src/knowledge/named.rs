//! What a text names: addresses on the web, IP addresses, Windows paths.

use std::net::IpAddr;

/// Values of each sort that are given.
const MOST: usize = 32;

/// Characters of one value.
const LONGEST: usize = 400;

/// Addresses on the web, in the order in which they are named, each once.
#[must_use]
pub fn urls(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Folding ASCII letters alone keeps every position.
    let folded = text.to_ascii_lowercase();
    for scheme in ["http://", "https://", "ftp://"] {
        let begins = folded.match_indices(scheme).map(|(at, _)| at);
        found.extend(begins.map(|at| (at, until(&text[at..], |c| !ends_word(c)))));
    }
    found.sort_by_key(|(at, _)| *at);
    each_once(found.into_iter().map(|(_, url)| url))
}

/// IP addresses, in the order in which they are named, each once. A version number of four parts looks like one.
#[must_use]
pub fn addresses(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':')));
    let address = |word: &str| {
        let word = word.trim_matches([':', '.']);
        let alone = word.rsplit_once(':').filter(|_| word.contains('.')).map_or(word, |(address, _)| address);
        alone.parse::<IpAddr>().ok().filter(|_| alone.contains('.') || alone.matches(':').count() > 2)
    };
    each_once(words.filter_map(address).map(|address| address.to_string()))
}

/// Windows paths that begin with a drive or a share, in the order in which they are named, each once. A path with
/// spaces is whole only within quotation marks.
#[must_use]
pub fn paths(text: &str) -> Vec<String> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let is = |at: usize, wanted: fn(char) -> bool| chars.get(at).is_some_and(|(_, c)| wanted(*c));
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let before = at.checked_sub(1).map(|before| chars[before].1);
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '\\' && c != '/');
        let drive = is(at, |c| c.is_ascii_alphabetic()) && is(at + 1, |c| c == ':') && is(at + 2, |c| c == '\\');
        let share = is(at, |c| c == '\\') && is(at + 1, |c| c == '\\') && is(at + 2, char::is_alphanumeric);
        if !(begins && (drive || share)) {
            at += 1;
            continue;
        }
        let rest = &text[chars[at].0..];
        let path = match before {
            Some(quote @ ('"' | '\'')) => until(rest, |c| c != quote && c != '\n'),
            _ => until(rest, |c| !ends_word(c)),
        };
        at += path.chars().count().max(1);
        found.push(path);
    }
    each_once(found.into_iter())
}

fn ends_word(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '"' | '\'' | '`' | ')' | '(' | '<' | '>' | '|' | ';' | ',' | '}' | '{')
}

fn until(text: &str, goes_on: impl Fn(char) -> bool) -> String {
    text.chars().take_while(|c| goes_on(*c)).take(LONGEST).collect()
}

fn each_once(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in values {
        if all.len() < MOST && !all.contains(&value) {
            all.push(value);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_named_is_found() {
        let text = r#"IEX('HTTP://203.0.113.9:8080/a?b=1') ; copy "C:\Program Files\A b\c.exe" \\srv\share\d.ps1 C:\x.exe, 198.51.100.7:443 2001:db8::1"#;
        assert_eq!(urls(text), ["HTTP://203.0.113.9:8080/a?b=1"]);
        assert_eq!(addresses(text), ["203.0.113.9", "198.51.100.7", "2001:db8::1"]);
        assert_eq!(paths(text), [r"C:\Program Files\A b\c.exe", r"\\srv\share\d.ps1", r"C:\x.exe"]);
        assert_eq!((urls("plain"), addresses("1.2.3 12:30:00 a:b"), paths("a\\b")), (vec![], vec![], vec![]));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in "\\PC{0,200}") {
            for value in urls(&text).into_iter().chain(paths(&text)) {
                prop_assert!(text.contains(&value));
            }
            let _ = addresses(&text);
        }
    }
}
