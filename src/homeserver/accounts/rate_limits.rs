//! Limits of a user's own: what administrators set in place of the configured ones. Synapse's admin API, "Override
//! ratelimiting for users".
//!
//! Sessions in memory carry them, so that no request reads them from the store.

use matron_matrix::Error as MatrixError;
use matron_storage::Batch;
use ruma::UserId;

use super::sessions::access_changes;
use super::{Accounts, Session};
use crate::error::Result;
use crate::limiter::Budget;
use crate::schema::UserNum;
use crate::schema::accounts::{RATE_LIMIT_OVERRIDES, RateLimitOverride};

impl RateLimitOverride {
    /// How often the user may write into rooms; none where the user has no limits at all.
    #[must_use]
    pub fn budget(self) -> Option<Budget> {
        let per_minute = self.messages_per_second.saturating_mul(60);
        (per_minute > 0).then_some(Budget { burst: self.burst_count, per_minute })
    }
}

impl Accounts {
    /// The limit that was set for a user alone, if one was.
    ///
    /// # Errors
    /// `M_FORBIDDEN` for all but administrators, `M_UNKNOWN` where the user is of another server, `M_NOT_FOUND` where the
    /// user has no account.
    pub async fn rate_limit_override(&self, by: &Session, user_id: &UserId) -> Result<Option<RateLimitOverride>> {
        let user = self.limited_user(by, user_id).await?;
        Ok(self.store.snapshot().get(&RATE_LIMIT_OVERRIDES, &user).await?)
    }

    /// Sets a limit for a user alone, or with none gives them the limits of all others again. From the answer on it holds.
    ///
    /// # Errors
    /// As [`Self::rate_limit_override`].
    pub async fn set_rate_limit_override(
        &self,
        by: &Session,
        user_id: &UserId,
        limit: Option<RateLimitOverride>,
    ) -> Result<()> {
        let user = self.limited_user(by, user_id).await?;
        let mut batch = Batch::new();
        match limit {
            Some(limit) => batch.put(&RATE_LIMIT_OVERRIDES, &user, &limit),
            None => batch.delete(&RATE_LIMIT_OVERRIDES, &user),
        }
        access_changes(&mut batch, user);
        self.store.commit(batch).await?;
        Ok(())
    }

    async fn limited_user(&self, by: &Session, user_id: &UserId) -> Result<UserNum> {
        by.may_administer()?;
        if user_id.server_name() != self.config.server_name {
            return Err(MatrixError::unknown("only users of this server have limits here").into());
        }
        let found = self.find(user_id).await?;
        Ok(found.map(|(user, _)| user).ok_or_else(|| MatrixError::not_found("there is no such user here"))?)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::RateLimitOverride;
    use crate::accounts::Session;
    use crate::accounts::fixture::{Fixture, refusal};
    use crate::limiter::Budget;

    #[test]
    fn nothing_a_second_is_no_limit() {
        let budget = |messages_per_second, burst_count| RateLimitOverride { messages_per_second, burst_count }.budget();
        assert_eq!(budget(0, 0), None);
        assert_eq!(budget(0, 5), None);
        assert_eq!(budget(2, 5), Some(Budget { burst: 5, per_minute: 120 }));
        assert_eq!(budget(u32::MAX, 1), Some(Budget { burst: 1, per_minute: u32::MAX }));
    }

    #[tokio::test]
    async fn administrators_alone_set_limits_and_for_users_here_alone() {
        let accounts = Fixture::new().await;
        let ann = accounts.user("ann").await;
        let admin = Session { admin: true, ..accounts.user("admin").await };
        let limit = Some(RateLimitOverride { messages_per_second: 3, burst_count: 4 });
        let id = user_id!("@ann:example.org");
        assert_eq!(refusal(accounts.rate_limit_override(&ann, id).await), "M_FORBIDDEN");
        assert_eq!(refusal(accounts.set_rate_limit_override(&ann, id, limit).await), "M_FORBIDDEN");
        let far = user_id!("@ann:elsewhere.example");
        assert_eq!(refusal(accounts.set_rate_limit_override(&admin, far, limit).await), "M_UNKNOWN");
        let nobody = user_id!("@nobody:example.org");
        assert_eq!(refusal(accounts.rate_limit_override(&admin, nobody).await), "M_NOT_FOUND");

        assert_eq!(accounts.rate_limit_override(&admin, id).await.unwrap(), None);
        accounts.set_rate_limit_override(&admin, id, limit).await.unwrap();
        assert_eq!(accounts.rate_limit_override(&admin, id).await.unwrap(), limit);
        accounts.set_rate_limit_override(&admin, id, None).await.unwrap();
        assert_eq!(accounts.rate_limit_override(&admin, id).await.unwrap(), None);
    }
}
