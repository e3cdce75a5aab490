//! Templates: a path or command line without what changes from run to run, so that the same habit looks the same.

/// What stands for each kind of changing part.
const GUID: &str = "<guid>";
/// An encoded run: what it says is not compared.
pub const ENCODED: &str = "<encoded>";
const HEX: &str = "<hex>";
const NUMBER: &str = "<n>";
const USER: &str = "<user>";

/// Shortest run that counts as hexadecimal, and as encoded, in characters.
const SHORTEST_HEX: usize = 8;
const SHORTEST_ENCODED: usize = 24;

/// The path folded, with the profile's owner and everything that counts or identifies replaced.
#[must_use]
pub fn path(path: &str) -> String {
    command(path.trim_matches('"'))
}

/// The command folded to lower case and single spaces, with GUIDs, encoded runs, hexadecimal runs, numbers of two
/// digits and more, dotted numbers and names of profiles replaced. Switches stay. Takes time in proportion to the
/// command's length.
#[must_use]
pub fn command(command: &str) -> String {
    let words = command.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars: Vec<char> = words.chars().collect();
    let mut out = String::with_capacity(words.len());
    // No encoded run begins before here: a part of a run that is none is none either.
    let (mut at, mut plain_until) = (0, 0);
    while at < chars.len() {
        let begins = at == 0 || !chars[at - 1].is_ascii_alphanumeric();
        let rest = &chars[at..];
        let mut encoded = 0;
        if begins && at >= plain_until {
            encoded = run(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
            plain_until = at + encoded;
        }
        let (length, stands_for) = if out.ends_with("\\users\\") || out.ends_with("/users/") {
            owner_of(rest)
        } else if encoded >= SHORTEST_ENCODED && is_mixed(&rest[..encoded]) {
            (encoded, Some(ENCODED))
        } else {
            begins.then(|| identifying(rest)).flatten().unwrap_or_else(|| counting(rest))
        };
        match stands_for {
            Some(token) => out.push_str(token),
            None => out.extend(chars[at..at + length].iter().flat_map(|c| c.to_lowercase())),
        }
        at += length;
    }
    out
}

/// Characters from here on that are all like this.
fn run(rest: &[char], is: impl Fn(char) -> bool) -> usize {
    rest.iter().take_while(|c| is(**c)).count()
}

/// A GUID or a hexadecimal word, if one begins here.
fn identifying(rest: &[char]) -> Option<(usize, Option<&'static str>)> {
    if is_guid(rest) {
        return Some((36, Some(GUID)));
    }
    let word = run(rest, |c| c.is_ascii_alphanumeric());
    // Digits first: a build number of eight digits is hexadecimal too.
    let is_hex = rest[..word].iter().all(char::is_ascii_hexdigit) && !rest[..word].iter().all(char::is_ascii_digit);
    (word >= SHORTEST_HEX && is_hex).then_some((word, Some(HEX)))
}

/// A number, or what comes before the next one within the word: at least one character.
fn counting(rest: &[char]) -> (usize, Option<&'static str>) {
    let digits = run(rest, |c| c.is_ascii_digit());
    if digits == 0 {
        return (run(rest, |c| c.is_ascii_alphabetic()).max(1), None);
    }
    let dotted = run(rest, |c| c.is_ascii_digit() || c == '.');
    let dotted = dotted - run(&rest[..dotted].iter().rev().copied().collect::<Vec<_>>(), |c| c == '.');
    let number = digits.max(dotted);
    (number, (number >= 2).then_some(NUMBER))
}

/// The name of a profile's folder; the public profile is nobody's.
fn owner_of(rest: &[char]) -> (usize, Option<&'static str>) {
    let length = rest.iter().take_while(|c| !matches!(c, '\\' | '/' | '"')).count();
    let name: String = rest[..length].iter().collect();
    let shared = ["public", "default", ""].contains(&name.to_lowercase().as_str());
    if shared { (length.max(1), None) } else { (length, Some(USER)) }
}

fn is_guid(rest: &[char]) -> bool {
    let fits = |(place, c): (usize, &char)| match place {
        8 | 13 | 18 | 23 => *c == '-',
        _ => c.is_ascii_hexdigit(),
    };
    rest.len() >= 36
        && rest[..36].iter().enumerate().all(fits)
        && rest.get(36).is_none_or(|next| !next.is_ascii_alphanumeric())
}

/// Lower and upper case and digits: how encoded bytes look and words do not.
fn is_mixed(run: &[char]) -> bool {
    let has = |is: fn(&char) -> bool| run.iter().any(is);
    has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_replaced_and_switches_stay() {
        let cases = [
            (
                r#""C:\Users\A.Vale\AppData\Local\Temp\~df41.tmp" /S"#,
                r#""c:\users\<user>\appdata\local\temp\~df<n>.tmp" /s"#,
            ),
            (r"C:\Users\Public\a.exe", r"c:\users\public\a.exe"),
            ("x  -id {0197231E-4a83-11ee-be56-0242ac120002}", "x -id {<guid>}"),
            ("x -Enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoA", "x -enc <encoded>"),
            ("x 8824.14459391.0.14459391-be9b77aa01", "x <n>-<hex>"),
            ("x 20240131 /v:2", "x <n> /v:2"),
            ("deadbeef.ps1 facade", "<hex>.ps1 facade"),
            ("ÄRGER 1", "ärger 1"),
        ];
        for (command, expected) in cases {
            assert_eq!(super::command(command), expected, "{command}");
        }
        assert_eq!(path(r#""C:\A\B12.exe""#), r"c:\a\b<n>.exe");
    }

    #[test]
    fn long_commands_of_any_making_are_done_in_no_time() {
        for part in ["x", "a/", "\\\\", "1.", "1..", "aB3/ ", "deadbeef"] {
            let begun = std::time::Instant::now();
            assert!(!command(&part.repeat(100_000)).is_empty());
            assert!(begun.elapsed().as_secs() < 5, "{part:?} took {:?}", begun.elapsed());
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_template_and_numbers_do_not_tell_two_apart(
            text in "\\PC{0,80}", one in 10_u32.., other in 10_u32..
        ) {
            let _ = command(&text);
            prop_assert_eq!(command(&format!("a /n {one}")), command(&format!("a /n {other}")));
        }
    }
}
