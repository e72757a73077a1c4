//! Words from files, fit for a terminal and a log.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Characters of a name that is shown.
const LONGEST_NAME: usize = 80;
/// Characters of anything else.
const LONGEST: usize = 2000;

/// Shows what a file says of itself: characters that steer a terminal or turn the direction of writing are spelt out,
/// line breaks are spaces, and of what is very long the middle is left out.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    shortened(text, LONGEST)
}

/// As [`printable`], for a name within a sentence.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    shortened(text, LONGEST_NAME)
}

/// Whatever can be shown, through [`printable`].
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0.to_string()))
    }
}

fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    let is_plain = |c: char| !is_unfit(c);
    if text.len() <= longest && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    // the last third has the advice
    let tail = longest / 3;
    let count = text.chars().count();
    if count <= longest {
        return Cow::Owned(spelt_out(text.chars()));
    }
    let head = longest - tail;
    let mut short = spelt_out(text.chars().take(head));
    let _ = write!(short, " … {} characters … ", count - longest);
    short.push_str(&spelt_out(text.chars().skip(count - tail)));
    Cow::Owned(short)
}

fn spelt_out(characters: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for c in characters {
        match c {
            '\n' | '\t' => text.push(' '),
            _ if is_unfit(c) => text.extend(c.escape_unicode()),
            _ => text.push(c),
        }
    }
    text
}

/// Control characters, and those of format that hide or turn what stands beside them.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay() {
        for text in [
            "",
            "found `tiefe` float32 [1, höhe, 深度]; wanted …",
            "/a b/c.onnx",
        ] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn nothing_steers_a_terminal() {
        let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\nERROR: none\u{202e}gnp.exe\0";
        let shown = printable(evil);
        assert_eq!(
            shown,
            "\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{d} ERROR: none\\u{202e}gnp.exe\\u{0}"
        );
        assert!(!shown.chars().any(is_unfit));
    }

    #[test]
    fn long_words_are_cut_in_the_middle() {
        let long = format!("begin{}end: do this", "ä".repeat(3_000_000));
        let shown = printable(&long);
        assert!(shown.chars().count() < LONGEST + 40);
        assert!(
            shown.starts_with("begin") && shown.ends_with("end: do this"),
            "{shown}"
        );
        assert!(name(&long).chars().count() < 120);
    }
}
