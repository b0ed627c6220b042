//! Words of messages, names and searches: a text is folded once for ever, and no word is longer than it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_matrix::text::{MAX_WORD_BYTES, fold, words};

fuzz_target!(|text: &str| {
    let folded = fold(text);
    assert_eq!(fold(&folded), folded);
    let found = words(text);
    assert_eq!(words(&folded), found);
    for word in found {
        assert!(!word.is_empty() && word.len() <= MAX_WORD_BYTES && !word.contains('\0'));
    }
});
