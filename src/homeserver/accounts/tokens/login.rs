//! Log-in tokens: one log-in each, within two minutes (client-server API, `POST /login/get_token`).
//!
//! One belongs to the device that asked for it, and goes with it.

use matron_matrix::Error as MatrixError;
use matron_storage::{Batch, Snapshot};

use super::{delete, digest_of, new_token, put, unknown};
use crate::accounts::{Accounts, Session};
use crate::error::Result;
use crate::schema::accounts::{DEVICE_TOKENS, TOKEN_ROUNDS, TOKENS, Token, TokenKind};
use crate::schema::devices::Device;
use crate::schema::{DeviceNum, Digest, UserNum};

/// How long they live, in milliseconds.
const LIFETIME: u64 = 120_000;

impl Accounts {
    /// A token for one log-in, which `batch` makes, and the milliseconds that it lives. The batch conflicts with whatever
    /// revokes tokens of the session's device.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` where the device is gone.
    pub(crate) async fn put_login_token(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        session: &Session,
    ) -> Result<(String, u64)> {
        let device = session.device;
        let round = snapshot.get(&TOKEN_ROUNDS, &device).await?.ok_or_else(unknown)?;
        batch.expect_value(&TOKEN_ROUNDS, &device, &round);
        batch.put(&TOKEN_ROUNDS, &device, &round.wrapping_add(1));
        let now = self.clock.millis();
        for (digest, row) in login_tokens(snapshot, device).await? {
            if row.expires.is_none_or(|expires| expires <= now) {
                delete(batch, device, &digest);
            }
        }
        let (token, digest) = new_token(TokenKind::Login);
        let row = Token {
            kind: TokenKind::Login,
            user: session.user,
            device: Some(device),
            device_id: session.device_id.to_string(),
            expires: Some(now.saturating_add(LIFETIME)),
            pair: None,
            previous: None,
        };
        put(batch, device, &digest, &row);
        Ok((token, LIFETIME))
    }

    /// Deletes the log-in tokens of some of a user's devices, by `batch`, which will conflict with whoever makes more of
    /// them meanwhile.
    pub(crate) async fn delete_login_tokens(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        user: UserNum,
        which: impl Fn(&Device) -> bool,
    ) -> Result<()> {
        for (_, device) in self.device_rows(snapshot, user).await? {
            if !which(&device) {
                continue;
            }
            let round = snapshot.get(&TOKEN_ROUNDS, &device.num).await?;
            batch.expect(&TOKEN_ROUNDS, &device.num, round.as_ref());
            for (digest, _) in login_tokens(snapshot, device.num).await? {
                delete(batch, device.num, &digest);
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
        let device = row.device.ok_or_else(forbidden)?;
        batch.expect_value(&TOKENS, &digest, &row);
        delete(batch, device, &digest);
        Ok(row.user)
    }
}

/// A device's log-in tokens, by their digests.
async fn login_tokens(snapshot: &Snapshot, device: DeviceNum) -> Result<Vec<(Digest, Token)>> {
    let rows = snapshot.scan(&DEVICE_TOKENS, DEVICE_TOKENS.under(&(device,))).collect().await?;
    let digests: Vec<Digest> = rows.into_iter().map(|((_, digest), ())| digest).collect();
    let tokens = snapshot.get_many(&TOKENS, &digests).await?;
    let found = digests.into_iter().zip(tokens).filter_map(|(digest, token)| Some((digest, token?)));
    Ok(found.filter(|(_, token)| token.kind == TokenKind::Login).collect())
}
