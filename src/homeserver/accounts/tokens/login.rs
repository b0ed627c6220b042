//! Log-in tokens: one log-in each, within two minutes (client-server API, `POST /login/get_token`).

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};

use super::{delete, digest_of, new_token, put};
use crate::accounts::Accounts;
use crate::error::Result;
use crate::schema::accounts::{DEVICE_TOKENS, TOKENS, Token, TokenKind};
use crate::schema::{DeviceNum, Digest, UserNum};

/// How long they live, in milliseconds.
const LIFETIME: u64 = 120_000;
/// The device that they stand under until there is one: its number is given to none.
const NO_DEVICE: DeviceNum = DeviceNum(0);
/// How many old ones are looked at when a new one is made.
const SWEPT: usize = 64;

impl Accounts {
    /// A token for one log-in, and the milliseconds that it lives.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(crate) async fn new_login_token(&self, user: UserNum) -> Result<(String, u64)> {
        let mut batch = Batch::new();
        self.sweep_login_tokens(&mut batch).await?;
        let (token, digest) = new_token(TokenKind::Login);
        let row = Token {
            kind: TokenKind::Login,
            user,
            device: None,
            device_id: String::new(),
            expires: Some(self.clock.millis().saturating_add(LIFETIME)),
            pair: None,
            previous: None,
        };
        put(&mut batch, NO_DEVICE, &digest, &row);
        self.store.commit(batch).await?;
        Ok((token, LIFETIME))
    }

    /// Deletes ones that nobody used in time.
    async fn sweep_login_tokens(&self, batch: &mut Batch) -> Result<()> {
        let snapshot = self.store.snapshot();
        let rows = snapshot.scan(&DEVICE_TOKENS, DEVICE_TOKENS.under(&(NO_DEVICE,))).take(SWEPT).await?;
        let digests: Vec<Digest> = rows.into_iter().map(|((_, digest), ())| digest).collect();
        let tokens = snapshot.get_many(&TOKENS, &digests).await?;
        let now = self.clock.millis();
        for (digest, token) in digests.iter().zip(tokens) {
            if token.and_then(|token| token.expires).is_none_or(|expires| expires <= now) {
                delete(batch, NO_DEVICE, digest);
            }
        }
        Ok(())
    }

    /// Whose log-in token it is. `batch` uses it up, and conflicts with another that does.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where it is none, was used, or is too old.
    pub(crate) async fn take_login_token(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        token: &str,
    ) -> Result<UserNum> {
        let forbidden = || MatrixError::forbidden("the log-in token is not valid");
        let digest = digest_of(token).map_err(|_| forbidden())?;
        let row = snapshot.get(&TOKENS, &digest).await?.filter(|row| row.kind == TokenKind::Login);
        let row = row.filter(|row| row.expires.is_some_and(|expires| expires > self.clock.millis()));
        let row = row.ok_or_else(forbidden)?;
        batch.expect_value(&TOKENS, &digest, &row);
        delete(batch, NO_DEVICE, &digest);
        Ok(row.user)
    }
}
