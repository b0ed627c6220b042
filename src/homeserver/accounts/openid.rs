//! Tokens that prove to another service who somebody is, and open nothing here: client-server API, "`OpenID`".

use matron_matrix::Error as MatrixError;
use matron_storage::Batch;
use ruma::{OwnedUserId, UserId};

use super::account_data::only_own;
use super::tokens::{digest_of, new_token_with};
use super::{Accounts, Session};
use crate::error::Result;
use crate::schema::accounts::{OPENID_ENDS, OPENID_TOKENS, OpenIdToken};

/// How long they are good, in milliseconds.
const LIFETIME: u64 = 60 * 60 * 1000;
/// How many old ones are deleted when a new one is made.
const SWEPT: usize = 16;

impl Accounts {
    /// A token for other services, and the milliseconds that it is good.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it would be another user's.
    pub async fn new_openid_token(&self, session: &Session, user_id: &UserId) -> Result<(String, u64)> {
        only_own(session, user_id)?;
        let now = self.clock.millis();
        let mut batch = Batch::new();
        let old = self.store.snapshot().scan(&OPENID_ENDS, OPENID_ENDS.all()).take(SWEPT).await?;
        for (key, ()) in old.into_iter().filter(|((ends, _), ())| *ends <= now) {
            batch.delete(&OPENID_TOKENS, &key.1);
            batch.delete(&OPENID_ENDS, &key);
        }
        let (token, digest) = new_token_with("mto");
        let expires = now.saturating_add(LIFETIME);
        batch.put(&OPENID_TOKENS, &digest, &OpenIdToken { user: session.user, expires });
        batch.put(&OPENID_ENDS, &(expires, digest), &());
        self.store.commit(batch).await?;
        Ok((token, LIFETIME))
    }

    /// Who showed a token to another service.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` where it is none, is too old, or its user's account may not be used any more.
    pub async fn openid_user(&self, token: &str) -> Result<OwnedUserId> {
        let unknown = || MatrixError::unknown_token(false, "the token is not known, or too old");
        let snapshot = self.store.snapshot();
        let row = snapshot.get(&OPENID_TOKENS, &digest_of(token)?).await?.ok_or_else(unknown)?;
        let account = self.get(&snapshot, row.user).await?.ok_or_else(unknown)?;
        if row.expires <= self.clock.millis() || account.deactivated || account.locked {
            return Err(unknown().into());
        }
        self.ids.user_id(row.user).await
    }
}
