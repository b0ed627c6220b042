//! E-mail: an address has one form and nothing that ends a header; in HTML a text is nothing but a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use matron_homeserver::remote::mail::{address, escaped, is_mailbox};

fuzz_target!(|text: &str| {
    let _ = is_mailbox(text);
    if let Some(found) = address(text) {
        assert_eq!(address(&found).as_ref(), Some(&found));
        assert!(found.contains('@') && !found.contains(char::is_control));
    }
    let html = escaped(text);
    assert!(!html.contains(['<', '>', '"', '\'']));
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let read = entities.into_iter().fold(html, |html, (entity, sign)| html.replace(entity, sign));
    assert_eq!(read, text);
});
