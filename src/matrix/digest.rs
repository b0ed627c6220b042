//! The 32 bytes that an event id encodes, and digests of other strings.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The bytes by which an event is found: its reference hash where the id is one (room versions 4 and later), the SHA-256
/// of the id otherwise.
#[must_use]
pub fn of_event_id(id: &str) -> [u8; 32] {
    let decoded = id.strip_prefix('$').filter(|hash| hash.len() == 43).and_then(|hash| {
        let mut digest = [0; 32];
        (URL_SAFE_NO_PAD.decode_slice(hash, &mut digest) == Ok(32)).then_some(digest)
    });
    decoded.unwrap_or_else(|| of(id.as_bytes()))
}

/// The event id that encodes these bytes (room versions 4 and later).
#[must_use]
pub fn to_event_id(digest: &[u8; 32]) -> String {
    let mut id = String::with_capacity(44);
    id.push('$');
    URL_SAFE_NO_PAD.encode_string(digest, &mut id);
    id
}

/// The base64 of a digest, as browsers compare what a page runs with what it may run.
#[must_use]
pub fn to_base64(digest: &[u8; 32]) -> String {
    STANDARD.encode(digest)
}

/// SHA-256.
#[must_use]
pub fn of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of several parts, which cannot be shifted between one another.
#[must_use]
pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
