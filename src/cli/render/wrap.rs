//! Long lines in a terminal: broken between words, and only where nobody would copy them.

use std::io::IsTerminal;

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// A line that has this in it is a command to copy: a line break in it would be copied too.
const COMMAND: &str = "watchfloor ";

/// The text as the terminal has room for it; as it is where no terminal shows it.
#[must_use]
pub fn wrapped(text: &str) -> String {
    if std::io::stdout().is_terminal() { within(text, textwrap::termwidth()) } else { text.to_owned() }
}

/// The text in lines of at most so many columns. What follows a break stands a little further in than its line.
/// A word longer than that, such as a path, is left whole.
fn within(text: &str, width: usize) -> String {
    let lines = text.split('\n').map(|line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if line.contains(COMMAND) {
            return line.to_owned();
        }
        let (own, hanging) = (&line[..indent], " ".repeat(indent + 2));
        let options = Options::new(width)
            .initial_indent(own)
            .subsequent_indent(&hanging)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .wrap_algorithm(WrapAlgorithm::FirstFit);
        textwrap::fill(&line[indent..], options)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_stand_further_in() {
        let text = "  - one two three four five\nshort\n\n  C:\\a\\path\\that\\is\\longer\\than\\a\\line x";
        let shown = within(text, 16);
        assert_eq!(
            shown,
            "  - one two\n    three four\n    five\nshort\n\n  C:\\a\\path\\that\\is\\longer\\than\\a\\line\n    x"
        );
    }

    #[test]
    fn a_command_stays_one_line() {
        let command = "   watchfloor cases resolve WF-1 --as expected --because TEXT --data somewhere";
        assert_eq!(within(command, 20), command);
    }
}
