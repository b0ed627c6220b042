//! Text as people search for it: folded, so that case, accents and width do not matter, and cut into words.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_segmentation::UnicodeSegmentation;

/// The longest word in bytes; what is longer is cut off, also where it is looked for.
pub const MAX_WORD_BYTES: usize = 64;

/// Marks of these classes change what is said, not how it is written: overlays, the nukta, kana voicing, the virama.
const LAST_KEPT_MARK: u8 = 9;

/// The text in its compatibility form, without accents and vowel points, in lower case.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().filter(|char| *char != '\0').map(|char| char.to_ascii_lowercase()).collect();
    }
    text.nfkd()
        // Before anything is put together again: what a NUL kept apart would come together the next time.
        .filter(|char| *char != '\0' && canonical_combining_class(*char) <= LAST_KEPT_MARK)
        // Upper case between: it makes one of `ß` and `SS`, and of both small sigmas. `ẞ` has to be `ß` for that.
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfc()
        .collect()
}

/// The words of a text, folded, in their order. Signs between them are none.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    words_of(&fold(text)).into_iter().map(str::to_owned).collect()
}

/// The words of a text that is folded.
#[must_use]
pub fn words_of(folded: &str) -> Vec<&str> {
    // In plain text Unicode's words end where these signs stand: most of what is said need not be looked at closely.
    if folded.is_ascii() {
        return pieces(folded).map(cut).collect();
    }
    folded.unicode_words().flat_map(pieces).map(cut).collect()
}

/// What stands between signs.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_alphanumeric()).filter(|piece| !piece.is_empty())
}

fn cut(word: &str) -> &str {
    word.get(..word.floor_char_boundary(MAX_WORD_BYTES)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::{MAX_WORD_BYTES, fold, words};

    #[test]
    fn case_accents_and_width_do_not_matter() {
        for (one, other) in [
            ("Jörg", "JORG"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "straße"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("ﬁn", "FIN"),
            ("Ａｎｎ", "ann"),
            ("Nguyễn", "nguyen"),
            ("e\u{301}", "é"),
            ("\u{1100}\0\u{1161}", "가"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("が"), fold("か"));
    }

    #[test]
    fn words_are_cut_as_unicode_has_it() {
        assert_eq!(words("Bed 3, ward-7: it's FREE!"), ["bed", "3", "ward", "7", "it", "s", "free"]);
        assert_eq!(words("ann.smith_2@x"), ["ann", "smith", "2", "x"]);
        assert_eq!(words("山田"), ["山", "田"]);
        assert_eq!(words(" …\0 "), Vec::<String>::new());
    }

    /// What [`words`] is without its short way for plain text.
    fn words_closely(text: &str) -> Vec<String> {
        let folded = fold(text);
        let words = folded.unicode_words().flat_map(|word| word.split(|char: char| !char.is_alphanumeric()));
        words.filter(|word| !word.is_empty()).map(|word| word.chars().take(MAX_WORD_BYTES).collect()).collect()
    }

    proptest! {
        #[test]
        fn plain_text_is_cut_as_any_other(text in "[ -~\\t\\n]{0,80}") {
            prop_assert_eq!(words(&text), words_closely(&text));
        }

        #[test]
        fn any_text_folds_once(text: String) {
            let folded = fold(&text);
            prop_assert_eq!(&fold(&folded), &folded);
            prop_assert_eq!(words(&text), words(&folded));
            for word in words(&text) {
                prop_assert!(!word.is_empty() && word.len() <= MAX_WORD_BYTES && !word.contains('\0'));
            }
        }
    }
}
