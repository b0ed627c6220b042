//! Profiles: display name, avatar, and whatever else users tell of themselves. Client-server API, "Profiles".

use std::collections::BTreeSet;

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::api::error::ErrorKind;
use ruma::profile::{ProfileFieldName, ProfileFieldValue, UserProfile};
use ruma::{MxcUri, OwnedMxcUri, UserId};
use serde_json::Value;

use super::account_data::{TRIES, only_own};
use super::words::{name_words, put_words};
use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::UserNum;
use crate::schema::accounts::{ACCOUNTS, PROFILES, RENAMED};

#[cfg(test)]
mod tests;

/// A profile stays below this, as the JSON that is told of it.
const MAX_PROFILE_BYTES: u64 = 65_536;
/// The longest name of a field.
const MAX_NAME_BYTES: usize = 255;
/// The longest display name: it goes into every member event.
const MAX_DISPLAY_NAME_BYTES: usize = 1024;
/// The longest address of an avatar.
const MAX_AVATAR_URL_BYTES: usize = 1024;
/// Where the size of a profile stands among its fields.
const SIZE: &str = "";
/// What a size begins with. Without it, it is by an older version, which left out all that stands around names and values.
const MEASURE: &str = "json ";

/// What member events tell of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// The display name, if there is one.
    pub displayname: Option<String>,
    /// The avatar, if there is one.
    pub avatar_url: Option<OwnedMxcUri>,
}

impl Accounts {
    /// What member events tell of a local user.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn profile(&self, snapshot: &Snapshot, user: UserNum) -> Result<Profile> {
        Ok(self.profiles(snapshot, &[user]).await?.pop().unwrap_or_default())
    }

    /// The display names of many users, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn display_names(&self, snapshot: &Snapshot, users: &[UserNum]) -> Result<Vec<Option<String>>> {
        let keys: Vec<_> = users.iter().map(|user| row(*user, &ProfileFieldName::DisplayName)).collect();
        let rows = snapshot.get_many(&PROFILES, &keys).await?;
        Ok(rows.iter().map(|row| text(row.as_deref())).collect())
    }

    /// As [`Self::profile`], of many users, in their order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn profiles(&self, snapshot: &Snapshot, users: &[UserNum]) -> Result<Vec<Profile>> {
        let fields = [ProfileFieldName::DisplayName, ProfileFieldName::AvatarUrl];
        let keys: Vec<_> = users.iter().flat_map(|user| fields.iter().map(|field| row(*user, field))).collect();
        let rows = snapshot.get_many(&PROFILES, &keys).await?;
        let profiles = rows.chunks(fields.len()).map(|rows| {
            let field = |nth: usize| text(rows.get(nth).and_then(Option::as_deref));
            Profile { displayname: field(0), avatar_url: field(1).map(OwnedMxcUri::from) }
        });
        Ok(profiles.collect())
    }

    /// All that a user tells of themselves, for whoever asks.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such user.
    pub async fn whole_profile(&self, user_id: &UserId) -> Result<UserProfile> {
        let snapshot = self.store.snapshot();
        let user = self.with_profile(&snapshot, user_id).await?;
        let rows = snapshot.scan(&PROFILES, PROFILES.under(&(user,))).collect().await?;
        let fields = rows.into_iter().filter(|((_, name), _)| name != SIZE);
        fields.map(|((_, name), json)| Ok((name, parse(&json)?))).collect()
    }

    /// One thing that a user tells of themselves, for whoever asks.
    ///
    /// # Errors
    /// `M_NOT_FOUND` where there is no such user or no such field.
    pub async fn profile_field(&self, user_id: &UserId, name: &ProfileFieldName) -> Result<ProfileFieldValue> {
        check_name(name)?;
        let snapshot = self.store.snapshot();
        let user = self.with_profile(&snapshot, user_id).await?;
        let json = snapshot.get(&PROFILES, &row(user, name)).await?;
        let json = json.ok_or_else(|| MatrixError::not_found("the profile has no such field"))?;
        ProfileFieldValue::new(name.as_str(), parse(&json)?).map_err(Error::internal)
    }

    /// Sets a field of the user's own profile; an empty name or avatar is taken away. Answers whether member events are
    /// to follow: display name or avatar are others than before.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's, `M_INVALID_PARAM`, `M_KEY_TOO_LARGE` or `M_PROFILE_TOO_LARGE`.
    pub async fn set_profile_field(
        &self,
        session: &Session,
        user_id: &UserId,
        value: &ProfileFieldValue,
    ) -> Result<bool> {
        only_own(session, user_id)?;
        session.may_act()?;
        let name = value.field_name();
        check_name(&name)?;
        let unset = match value {
            ProfileFieldValue::DisplayName(name) => {
                check_length(name, MAX_DISPLAY_NAME_BYTES)?;
                name.is_empty()
            }
            ProfileFieldValue::AvatarUrl(uri) => {
                check_avatar(uri)?;
                uri.as_str().is_empty()
            }
            _ => false,
        };
        let json = serde_json::to_string(&*value.value()).map_err(Error::internal)?;
        self.write_field(session.user, &name, (!unset).then_some(json)).await
    }

    /// Takes a field from the user's own profile; it need not be there. Answers whether member events are to follow.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is another user's, `M_INVALID_PARAM` or `M_KEY_TOO_LARGE`.
    pub async fn delete_profile_field(
        &self,
        session: &Session,
        user_id: &UserId,
        name: &ProfileFieldName,
    ) -> Result<bool> {
        only_own(session, user_id)?;
        session.may_act()?;
        check_name(name)?;
        self.write_field(session.user, name, None).await
    }

    /// Writes a field under the condition that the profile still has the size that was read.
    async fn write_field(&self, user: UserNum, name: &ProfileFieldName, new: Option<String>) -> Result<bool> {
        let (size_row, row) = ((user, SIZE.to_owned()), row(user, name));
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let old_size = snapshot.get(&PROFILES, &size_row).await?;
            let old = snapshot.get(&PROFILES, &row).await?;
            if old == new {
                return Ok(false);
            }
            let share = |json: &Option<String>| json.as_ref().map_or(0, |json| weight(name.as_str(), json));
            let before = self.size(&snapshot, user, old_size.as_deref()).await?;
            let size = before.saturating_sub(share(&old)) + share(&new);
            // Two braces, and no comma behind the last. What an older version let in may become less.
            if size > before && size + 1 >= MAX_PROFILE_BYTES {
                return Err(profile_too_large(format!("a profile has less than {MAX_PROFILE_BYTES} bytes")).into());
            }
            let mut batch = Batch::new();
            batch.expect(&PROFILES, &size_row, old_size.as_ref());
            batch.expect(&PROFILES, &row, old.as_ref());
            batch.put(&PROFILES, &size_row, &format!("{MEASURE}{size}"));
            match &new {
                Some(json) => batch.put(&PROFILES, &row, json),
                None => batch.delete(&PROFILES, &row),
            }
            let is_said = matches!(name, ProfileFieldName::DisplayName | ProfileFieldName::AvatarUrl);
            if is_said {
                let position = batch.stamp();
                batch.put(&RENAMED, &user, &position);
            }
            if *name == ProfileFieldName::DisplayName {
                let user_id = self.ids.user_id(user).await?;
                let words = |json: &Option<String>| name_words(&user_id, text(json.as_deref()).as_deref());
                put_words(&mut batch, user, &words(&old), &words(&new));
            }
            match self.store.commit(batch).await {
                Ok(_) => return Ok(is_said),
                Err(StorageError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// What all fields of a profile weigh, by the row that says so; where it does not, they are counted.
    async fn size(&self, snapshot: &Snapshot, user: UserNum, row: Option<&str>) -> Result<u64> {
        if let Some(size) = row.and_then(|row| row.strip_prefix(MEASURE)?.parse::<u64>().ok()) {
            return Ok(size);
        }
        let fields = snapshot.scan(&PROFILES, PROFILES.under(&(user,))).collect().await?;
        let fields = fields.iter().filter(|((_, name), _)| name != SIZE);
        Ok(fields.map(|((_, name), json)| weight(name, json)).sum())
    }

    /// The number of a user whose profile can be looked at here.
    async fn with_profile(&self, snapshot: &Snapshot, user_id: &UserId) -> Result<UserNum> {
        let missing = || MatrixError::not_found("there is no such user");
        let user = self.ids.find_user(user_id).await?.ok_or_else(missing)?;
        let account = snapshot.get(&ACCOUNTS, &user).await?.filter(|account| !account.erased);
        account.ok_or_else(missing)?;
        Ok(user)
    }
}

/// Puts a new account's display name into the batch that makes it.
pub(crate) fn put_first_name(batch: &mut Batch, user: UserNum, user_id: &UserId, name: &str) {
    put_words(batch, user, &BTreeSet::new(), &name_words(user_id, Some(name)));
    let json = Value::from(name).to_string();
    let size = weight(ProfileFieldName::DisplayName.as_str(), &json);
    batch.put(&PROFILES, &row(user, &ProfileFieldName::DisplayName), &json);
    batch.put(&PROFILES, &(user, SIZE.to_owned()), &format!("{MEASURE}{size}"));
}

/// What a field adds to a profile's size: with two quotes, a colon and a comma. No name has anything to escape.
const fn weight(name: &str, json: &str) -> u64 {
    (name.len() + json.len() + 4) as u64
}

fn row(user: UserNum, name: &ProfileFieldName) -> (UserNum, String) {
    (user, name.as_str().to_owned())
}

/// The text that a row holds, if it holds one.
fn text(json: Option<&str>) -> Option<String> {
    serde_json::from_str(json?).ok()
}

fn parse(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(Error::internal)
}

/// "Common Namespaced Identifier Grammar".
fn check_name(name: &ProfileFieldName) -> Result<()> {
    let name = name.as_str();
    if name.len() > MAX_NAME_BYTES {
        let message = "the name of a profile field has 255 bytes at most".to_owned();
        return Err(MatrixError { kind: ErrorKind::KeyTooLarge, message }.into());
    }
    let is_named = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '-' | '_' | '.');
    if !name.starts_with(|char: char| char.is_ascii_lowercase()) || !name.chars().all(is_named) {
        return Err(MatrixError::invalid_param("the name of a profile field breaks the grammar").into());
    }
    Ok(())
}

fn check_avatar(uri: &MxcUri) -> Result<()> {
    check_length(uri.as_str(), MAX_AVATAR_URL_BYTES)?;
    if !uri.as_str().is_empty() && !uri.is_valid() {
        return Err(MatrixError::invalid_param("an avatar is an mxc:// URI").into());
    }
    Ok(())
}

fn check_length(text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        return Err(profile_too_large(format!("{most} bytes are allowed here")).into());
    }
    Ok(())
}

fn profile_too_large(message: String) -> MatrixError {
    MatrixError { kind: ErrorKind::ProfileTooLarge, message }
}
