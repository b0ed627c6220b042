//! The words by which users are found: those of their display name and of their user name.
//!
//! They change in the batch that changes the name, so that nobody is found by what they are called no more.

use std::collections::BTreeSet;

use matron_matrix::text::{fold, words_of};
use matron_storage::{Batch, Snapshot, Word};
use ruma::UserId;

use super::Accounts;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::ACCOUNTS;
use crate::schema::directory::NAME_WORDS;

/// The most words that one name is found by.
const MOST_WORDS: usize = 32;
/// A batch of words that has grown to this is written.
const FULL_BATCH_BYTES: usize = 256 << 10;

/// The words by which a user is found: by their user name and their display name, both folded.
pub(crate) fn found_by<'a>(localpart: &'a str, display_name: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let shown = display_name.map(words_of).unwrap_or_default();
    words_of(localpart).into_iter().take(MOST_WORDS).chain(shown.into_iter().take(MOST_WORDS))
}

/// [`found_by`] of a name as it is.
pub(super) fn name_words(user_id: &UserId, display_name: Option<&str>) -> BTreeSet<String> {
    let shown = display_name.map(fold);
    found_by(&fold(user_id.localpart()), shown.as_deref()).map(str::to_owned).collect()
}

/// Writes the difference between what a user was found by and what they are now.
pub(super) fn put_words(batch: &mut Batch, user: UserNum, old: &BTreeSet<String>, new: &BTreeSet<String>) {
    let row = |word: &String| (Word::new(word), user);
    for gone in old.difference(new) {
        batch.delete(&NAME_WORDS, &row(gone));
    }
    for word in new.difference(old) {
        batch.put(&NAME_WORDS, &row(word), &());
    }
}

impl Accounts {
    /// Lets a user be found who could not be before, by `batch`.
    pub(crate) async fn index_name(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        put_words(batch, user, &BTreeSet::new(), &self.words_of(snapshot, user).await?);
        Ok(())
    }

    /// Lets a user be found no more, by `batch`.
    pub(crate) async fn forget_name(&self, batch: &mut Batch, snapshot: &Snapshot, user: UserNum) -> Result<()> {
        put_words(batch, user, &self.words_of(snapshot, user).await?, &BTreeSet::new());
        Ok(())
    }

    async fn words_of(&self, snapshot: &Snapshot, user: UserNum) -> Result<BTreeSet<String>> {
        let name = self.profile(snapshot, user).await?.displayname;
        Ok(name_words(&self.ids.user_id(user).await?, name.as_deref()))
    }

    /// Writes the words of all accounts that are open: for a store that has none yet.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) async fn index_names(&self) -> Result<()> {
        let snapshot = self.store.snapshot();
        let mut scan = snapshot.scan(&ACCOUNTS, ACCOUNTS.all());
        let mut batch = Batch::new();
        while let Some((user, account)) = scan.next().await? {
            if !account.deactivated {
                self.index_name(&mut batch, &snapshot, user).await?;
            }
            if batch.size() >= FULL_BATCH_BYTES {
                self.store.commit(std::mem::take(&mut batch)).await?;
            }
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}
