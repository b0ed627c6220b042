//! Manifests of backups: read or refused, written as they were read, and no file of theirs lies elsewhere than ours do.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use matron_homeserver::backup::Manifest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
    assert_eq!(Manifest::parse(&written).expect("what was written is read"), manifest);
    let all = manifest.bytes();
    for entry in &manifest.files {
        assert!(entry.bytes <= all);
        let parts: Vec<_> = Path::new(&entry.path).components().collect();
        assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))), "{}", entry.path);
        let top = parts[0].as_os_str();
        assert!(parts.len() > 1 && (top == "store" || top == "media"), "{}", entry.path);
        assert!(entry.sha256.len() == 64 && entry.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
});
