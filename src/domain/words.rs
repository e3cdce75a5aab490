//! Words as a person reads them: how many of something there are, and the beginning of what is too long.

use std::borrow::Cow;

/// `1 alert`, `2 alerts`, `0 entries`. The last word of `what` is a regular noun.
#[must_use]
pub fn counted(number: impl Into<i128>, what: &str) -> String {
    let number = number.into();
    let plural = match what.as_bytes() {
        _ if number == 1 => return format!("1 {what}"),
        [.., before, b'y'] if !b"aeiou".contains(before) => format!("{}ies", &what[..what.len() - 1]),
        [.., b's' | b'x' | b'z'] | [.., b'c' | b's', b'h'] => format!("{what}es"),
        _ => format!("{what}s"),
    };
    format!("{number} {plural}")
}

/// The form of a verb that goes with a number: `agreeing(1, "needs", "need")`.
#[must_use]
pub const fn agreeing<'w>(number: u64, one: &'w str, many: &'w str) -> &'w str {
    if number == 1 { one } else { many }
}

/// At most so many characters of a text; what was cut is marked.
#[must_use]
pub fn excerpt(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| counted(number, "alert")), ["0 alerts", "1 alert", "2 alerts"]);
        assert_eq!([1, 2].map(|number| counted(number, "more rule")), ["1 more rule", "2 more rules"]);
        let others = ["entry", "day", "search", "address"].map(|what| counted(3, what));
        assert_eq!(others, ["3 entries", "3 days", "3 searches", "3 addresses"]);
        assert_eq!([agreeing(1, "needs", "need"), agreeing(0, "needs", "need")], ["needs", "need"]);
    }

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(excerpt("höher", 5), "höher");
        assert_eq!(excerpt("höher", 2), "hö…");
        assert_eq!(excerpt("", 0), "");
    }
}
