//! Signed JSON objects that clients publish (device keys, cross-signing keys), and the signatures on them.
//!
//! Client-server API, "Device keys" and "Cross-signing"; appendices, "Signing JSON".

use ruma::serde::Base64;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm};

use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// Bytes of an ed25519 or curve25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// A 32-byte public key from its unpadded base64.
///
/// # Errors
/// `M_INVALID_PARAM` where it is anything else.
pub fn public_key(text: &str) -> Result<Vec<u8>> {
    let key = Base64::<ruma::serde::base64::Standard>::parse(text).map(Base64::into_inner).unwrap_or_default();
    if key.len() == PUBLIC_KEY_BYTES {
        Ok(key)
    } else {
        Err(Error::invalid_param("a public key is not 32 bytes in unpadded base64"))
    }
}

/// The signature that a user's key made on an object, if there is one.
#[must_use]
pub fn signature<'a>(object: &'a CanonicalJsonObject, user: &str, key_id: &str) -> Option<&'a str> {
    let CanonicalJsonValue::Object(all) = object.get("signatures")? else { return None };
    let CanonicalJsonValue::Object(of_user) = all.get(user)? else { return None };
    of_user.get(key_id)?.as_str()
}

/// Checks that a user's key signed an object. Other signatures are not looked at.
///
/// # Errors
/// `M_INVALID_SIGNATURE` where the signature is missing or wrong, or the key is none.
pub fn verify(object: &CanonicalJsonObject, user: &str, key_id: &str, key: &str) -> Result<()> {
    // Named by hand: ruma's `verify_json` answers Ok where there is no signature at all.
    let signature = signature(object, user, key_id)
        .ok_or_else(|| Error::invalid_signature(format!("there is no signature by {key_id} of {user}")))?;
    let wrong = || Error::invalid_signature(format!("the signature by {key_id} of {user} is wrong"));
    let signature = Base64::<ruma::serde::base64::Standard>::parse(signature).map_err(|_| wrong())?;
    let key = public_key(key).map_err(|_| wrong())?;
    let signed = ruma::signatures::to_canonical_json_string_for_signing(object).map_err(|_| wrong())?;
    ruma::signatures::verify_canonical_json_bytes(
        &SigningKeyAlgorithm::Ed25519,
        &key,
        signature.as_bytes(),
        signed.as_bytes(),
    )
    .map_err(|_| wrong())
}

/// Whether two objects are the same but for `signatures` and `unsigned`.
#[must_use]
pub fn same(a: &CanonicalJsonObject, b: &CanonicalJsonObject) -> bool {
    let is_content = |(name, _): &(&String, &CanonicalJsonValue)| !matches!(name.as_str(), "signatures" | "unsigned");
    a.iter().filter(is_content).eq(b.iter().filter(is_content))
}

/// Key ids and signatures of one user on an object.
#[must_use]
pub fn signatures_of(object: &CanonicalJsonObject, user: &str) -> Vec<(String, String)> {
    let Some(CanonicalJsonValue::Object(all)) = object.get("signatures") else { return Vec::new() };
    let Some(CanonicalJsonValue::Object(of_user)) = all.get(user) else { return Vec::new() };
    of_user.iter().filter_map(|(id, value)| Some((id.clone(), value.as_str()?.to_owned()))).collect()
}

/// Leaves exactly these signatures on an object, all of one user, and takes `unsigned` away.
pub fn set_signatures(object: &mut CanonicalJsonObject, user: &str, signatures: Vec<(String, String)>) {
    object.remove("unsigned");
    let of_user: CanonicalJsonObject =
        signatures.into_iter().map(|(id, signature)| (id, CanonicalJsonValue::String(signature))).collect();
    let mut all = CanonicalJsonObject::new();
    if !of_user.is_empty() {
        all.insert(user.to_owned(), CanonicalJsonValue::Object(of_user));
    }
    object.insert("signatures".to_owned(), CanonicalJsonValue::Object(all));
}

/// The object as canonical JSON.
///
/// # Errors
/// `M_BAD_JSON`; no object that was parsed causes it.
pub fn to_json(object: &CanonicalJsonObject) -> Result<String> {
    serde_json::to_string(object).map_err(|error| Error::bad_json(error.to_string()))
}
