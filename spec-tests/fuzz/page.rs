//! Web pages as previews read them: whatever stands there, what is taken over is text within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_homeserver::media::Page;

fuzz_target!(|input: &str| {
    let page = Page::read(input);
    assert!(page.picture().is_none_or(|picture| picture.chars().count() <= 1000));
    let answer = page.into_answer();
    assert!(answer.len() <= 52);
    for (name, value) in answer {
        let text = value.as_str().expect("what is taken over is text");
        assert!(name.starts_with("og:") && !name.starts_with("og:image"));
        assert!(!text.is_empty() && text.chars().count() <= 1000);
    }
});
