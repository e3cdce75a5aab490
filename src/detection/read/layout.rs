//! What an unpacked file looks like by its beginning: a Windows event log, one record a line, a JSON list, or no
//! log at all.

use super::unpack::Peeked;

/// How a file's records lie in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// It holds nothing.
    Empty,
    /// A Windows event log file.
    Evtx,
    /// One record a line, perhaps; what to say if it turns out not to be so.
    Lines(Option<&'static str>),
    /// JSON values one after another, alone or in lists.
    Values,
    /// The answer of a search: its hits begin after so many bytes.
    Hits(usize),
    /// Certainly no log.
    Foreign(&'static str),
}

impl Layout {
    /// The layout of an input, of which no more is read than has to be: a pipe may have no more yet.
    pub(super) fn of(input: &mut Peeked) -> Self {
        loop {
            if let Some(layout) = Self::by(input.start(), input.is_done()) {
                return layout;
            }
            input.look_further();
        }
    }

    /// The layout by the beginning of a file; `None` if more of it is needed, which there is unless `whole`.
    fn by(start: &[u8], whole: bool) -> Option<Self> {
        let text = start.trim_ascii_start();
        Some(match text {
            [] if !whole => return None,
            [] if start.is_empty() => Self::Empty,
            [] => Self::Lines(None),
            _ if start.len() < 8 && !whole => return None,
            _ if start.starts_with(b"ElfFile\0") => Self::Evtx,
            _ if start.starts_with(b"PK\x03\x04") => {
                Self::Foreign("it is a zip archive, which has to be unpacked first")
            }
            [b'{', ..] => return Self::of_objects(start, text, whole),
            [b'[', ..] => Self::Values,
            _ if !whole => return None,
            _ if start.contains(&0) => Self::Foreign("it is binary"),
            [b'<', ..] => {
                let page = text[..text.len().min(1024)].to_ascii_lowercase();
                let is = |tag: &[u8]| page.windows(tag.len()).any(|part| part == tag);
                Self::Lines(Some(if is(b"<html") || is(b"<!doctype html") {
                    "it is an HTML page, perhaps the error page of a failed download"
                } else {
                    "it is XML"
                }))
            }
            _ => Self::Lines(None),
        })
    }

    fn of_objects(start: &[u8], text: &[u8], whole: bool) -> Option<Self> {
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        if !whole {
            // Without its end, the last line says nothing.
            lines.pop_if(|line| !line.ends_with(b"\n"));
        }
        let mut end = 0;
        let line = lines.iter().find_map(|line| {
            end += line.len();
            is_object(line).then_some(end)
        });
        // Whichever stands first, so that it does not matter how much is seen at a time.
        match (after_hits(text), line) {
            (Some(after), line) if line.is_none_or(|line| after <= line) => {
                return Some(Self::Hits(start.len() - text.len() + after));
            }
            (_, Some(_)) => return Some(Self::Lines(None)),
            _ => {}
        }
        // A single line whose object is still open is longer than what is looked at, or cut short.
        whole.then(|| if text.trim_ascii().contains(&b'\n') { Self::Values } else { Self::Lines(None) })
    }
}

/// Whether a line is an object from its first to its last character, by its brackets.
pub(super) fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => match depth {
                0 => return false,
                1 => return at == line.len() && line.starts_with(b"{"),
                _ => depth -= 1,
            },
            b'"' => match string_end(line, at) {
                Some(end) => at = end,
                None => return false,
            },
            _ => {}
        }
    }
    false
}

/// Where the string ends that begins before `at`: after its closing quote.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Where the list begins in `{… "hits": {… "hits": [`, as Elasticsearch and OpenSearch answer a search.
fn after_hits(text: &[u8]) -> Option<usize> {
    let blank = |mut at: usize| {
        while text.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let (mut at, mut depth, mut inside) = (0, 0_usize, false);
    loop {
        match text.get(at)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                // Only the first object counts.
                depth = depth.checked_sub(1).filter(|depth| *depth > 0)?;
                inside &= depth > 1;
            }
            b'"' => {
                let end = string_end(text, at + 1)?;
                let is_hits = text.get(at..end) == Some(br#""hits""#);
                let colon = blank(end);
                at = end - 1;
                if is_hits && text.get(colon) == Some(&b':') {
                    let value = blank(colon + 1);
                    match text.get(value)? {
                        b'{' if depth == 1 => (inside, depth, at) = (true, 2, value),
                        b'[' if depth == 2 && inside => return Some(value + 1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Layout {
        Layout::by(text.as_bytes(), true).expect("the whole text is enough")
    }

    #[test]
    fn lines_lists_and_single_objects_are_told_apart() {
        for lines in ["{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}", "{\"cut\":\n{\"a\":1}\n", "text\n", "{\"cut\": ", "  \n"] {
            assert_eq!(of(lines), Layout::Lines(None), "{lines}");
        }
        for values in
            ["\n\n [\n{\"a\":1}]", "{\n  \"a\": 1\n}\n", "{\n  \"a\": [\n  {\"b\": 2},\n 1]\n}\n{\n}", "[1, 2]"]
        {
            assert_eq!(of(values), Layout::Values, "{values}");
        }
        assert_eq!(of(""), Layout::Empty);
        assert_eq!(of("ElfFile\0\0\0"), Layout::Evtx);
        assert_eq!(of("MZ\0\0\0\0\0\0"), Layout::Foreign("it is binary"));
        let long = format!("{{\"a\": \"{}", "x".repeat(70_000));
        assert_eq!(of(&long), Layout::Lines(None), "a first line longer than the window");
    }

    #[test]
    fn the_hits_of_a_search_are_found() {
        let answer = r#"{"took": 3, "_shards": {"hits": [0], "n": {"hits": {}}}, "hits" : {"total": {"value": 2, "hits": [7]}, "x": "\"hits\":[", "hits": [{"_source": 1}"#;
        let Layout::Hits(at) = of(answer) else { panic!("{:?}", of(answer)) };
        assert_eq!(&answer[at..], r#"{"_source": 1}"#);
        assert_eq!(of(r#"{"hits": [1], "a": {"hits": [2]}}"#), Layout::Lines(None));
        assert!(matches!(of(" {\n\"hits\": {\n\"hits\":\n[\n]}}"), Layout::Hits(_)));
    }

    #[test]
    fn a_pipe_is_asked_for_more_only_while_more_may_decide() {
        let by = |text: &str| Layout::by(text.as_bytes(), false);
        assert_eq!(by(""), None);
        assert_eq!(by("{\"a\":1}"), None);
        assert_eq!(by("{\"a\":1}\n{\"b"), Some(Layout::Lines(None)));
        assert_eq!(by("{\n  \"a\""), None);
        assert_eq!(by("[ "), None);
        assert_eq!(by("[{\"a\": 1}"), Some(Layout::Values));
    }

    #[test]
    fn an_object_is_told_by_its_brackets() {
        for object in ["{}", " {\"a\": [1, {}]}\r", "{\"}\": \"\\\"{\"}"] {
            assert!(is_object(object.as_bytes()), "{object}");
        }
        for other in ["", "{", "[{}]", "{}{}", "{\"a\": \"}", "}", "{]}", "{\"a\\"] {
            assert!(!is_object(other.as_bytes()), "{other}");
        }
    }
}
