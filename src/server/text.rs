//! What users wrote, on its way to a terminal.

/// A text on one line, without what would do anything but show: control characters, and what turns letters around.
pub fn plain(text: &str) -> String {
    let turns =
        |char: char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|char| if char.is_control() || turns(char) { ' ' } else { char }).collect()
}

/// The same, of which no more is shown than so many letters.
pub fn short(text: &str, most: usize) -> String {
    let mut shown: String = plain(text).chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_what_users_wrote_and_obeys_none_of_it() {
        assert_eq!(plain("a\nb\u{1b}[2Jc\u{9b}d\u{202e}e ä"), "a b [2Jc d e ä");
        assert_eq!(short("abcdef", 3), "abc…");
        assert_eq!(short("äbc", 3), "äbc");
    }
}
