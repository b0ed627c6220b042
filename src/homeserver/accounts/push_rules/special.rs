//! Whose push rules look deeper than classes do: kept apart, so that a room finds them without asking its other members.

use matron_matrix::push::{Specials, specials};
use matron_storage::{Batch, Error as StorageError, Snapshot};

use super::read;
use crate::accounts::account_data::{PUSH_RULES, key};
use crate::accounts::{Accounts, TRIES};
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::{ACCOUNT_DATA, ACCOUNTS, SPECIAL_RULES, SPECIAL_RULES_VERSION};
use crate::streams::Subject;

/// To be raised whenever [`specials`] or the default rules understand rules in another way.
const VERSION: u64 = 1;

impl Accounts {
    /// What a user's rules ask that no class answers.
    pub(crate) async fn specials(&self, snapshot: &Snapshot, user: UserNum) -> Result<Specials> {
        Ok(specials(&*self.ruleset(snapshot, user).await?))
    }

    /// Those of `users` whose rules ask for something that no class answers.
    pub(crate) async fn special_among(&self, snapshot: &Snapshot, users: &[UserNum]) -> Result<Vec<UserNum>> {
        let rows = snapshot.get_many(&SPECIAL_RULES, users).await?;
        Ok(users.iter().zip(rows).filter_map(|(user, row)| row.map(|()| *user)).collect())
    }

    /// The first `most` users from `from` on whose rules ask for something that no class answers, in the order of their
    /// numbers.
    pub(crate) async fn special_from(&self, snapshot: &Snapshot, from: UserNum, most: usize) -> Result<Vec<UserNum>> {
        let rows = snapshot.scan(&SPECIAL_RULES, SPECIAL_RULES.range(from..)).take(most).await?;
        Ok(rows.into_iter().map(|(user, ())| user).collect())
    }

    /// Notes, by `batch`, whether a user's rules look deeper than classes do.
    pub(in crate::accounts) async fn note_special_rules(
        &self,
        batch: &mut Batch,
        user: UserNum,
        content: &str,
    ) -> Result<()> {
        let ruleset = read(Some(content), &self.ids.user_id(user).await?)?;
        if specials(&ruleset).is_empty() {
            batch.delete(&SPECIAL_RULES, &user);
        } else {
            batch.put(&SPECIAL_RULES, &user, &());
        }
        batch.announce(Subject::Rules(user).into());
        Ok(())
    }

    /// At start: goes through all rules where those that are noted were noted by another understanding of rules, as after
    /// an upgrade.
    pub(crate) async fn index_special_rules(&self) -> Result<()> {
        let snapshot = self.store.snapshot();
        if snapshot.get(&SPECIAL_RULES_VERSION, &()).await? == Some(VERSION) {
            return Ok(());
        }
        let mut accounts = snapshot.scan(&ACCOUNTS, ACCOUNTS.all());
        while let Some((user, _)) = accounts.next().await? {
            self.index_rules_of(user).await?;
        }
        let mut done = Batch::new();
        done.put(&SPECIAL_RULES_VERSION, &(), &VERSION);
        self.store.commit(done).await?;
        Ok(())
    }

    async fn index_rules_of(&self, user: UserNum) -> Result<()> {
        let row_key = key(user, None, PUSH_RULES);
        for _ in 0..TRIES {
            let row = self.store.snapshot().get(&ACCOUNT_DATA, &row_key).await?;
            let Some(rules) = row.filter(|row| !row.content.is_empty()) else { return Ok(()) };
            let mut batch = Batch::new();
            batch.expect(&ACCOUNT_DATA, &row_key, Some(&rules));
            self.note_special_rules(&mut batch, user, &rules.content).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => {
                    done?;
                    return Ok(());
                }
            }
        }
        Err(StorageError::Conflict.into())
    }
}
