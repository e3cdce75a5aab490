//! A command line as arguments, split as Windows programs split it.

/// The arguments: spaces and tabs divide, quotes join, and before a quote every two backslashes are one.
///
/// The rules are those of Microsoft's C runtime, as documented for `main`.
pub(super) fn of(command_line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = command_line.chars().peekable();
    while let Some(first) = rest.peek() {
        if matches!(first, ' ' | '\t') {
            rest.next();
            continue;
        }
        let mut argument = String::new();
        let mut quoted = false;
        let mut backslashes = 0;
        while let Some(&next) = rest.peek() {
            if matches!(next, ' ' | '\t') && !quoted {
                break;
            }
            rest.next();
            match next {
                '\\' => backslashes += 1,
                '"' => {
                    argument.extend(std::iter::repeat_n('\\', backslashes / 2));
                    // Escaped, or doubled within quotes, a quote is a letter.
                    if backslashes % 2 == 1 || (quoted && rest.next_if_eq(&'"').is_some()) {
                        argument.push('"');
                    } else {
                        quoted = !quoted;
                    }
                    backslashes = 0;
                }
                other => {
                    argument.extend(std::iter::repeat_n('\\', backslashes));
                    backslashes = 0;
                    argument.push(other);
                }
            }
        }
        argument.extend(std::iter::repeat_n('\\', backslashes));
        arguments.push(argument);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_the_program_gets() {
        for (line, arguments) in [
            (r#""C:\Program Files\a.exe"  -x "b c""#, vec![r"C:\Program Files\a.exe", "-x", "b c"]),
            (r"C:\a\b.exe C:\dir\ x", vec![r"C:\a\b.exe", r"C:\dir\", "x"]),
            (r#"a.exe "c:\dir\\" \"q\" """#, vec!["a.exe", r"c:\dir\", r#""q""#, ""]),
            (r#"a.exe "say ""yes"" now""#, vec!["a.exe", r#"say "yes" now"#]),
            ("  ", vec![]),
            (r#"a "open"#, vec!["a", "open"]),
        ] {
            assert_eq!(of(line), arguments, "{line}");
        }
    }
}
