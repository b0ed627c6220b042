//! Refresh tokens: each is good for one next pair, and stays good until that pair is used (client-server API, "Refreshing
//! access tokens").

use matron_storage::{Batch, Error as StorageError, Snapshot};

use super::{Issued, digest_of, revoke, revoke_previous, unknown};
use crate::accounts::Accounts;
use crate::accounts::rows::{TRIES, usable};
use crate::error::{Error, Result};
use crate::schema::accounts::{DEVICE_TOKENS, TOKENS, Token, TokenKind};
use crate::schema::{DeviceNum, Digest, UserNum};

/// How many tokens a device has at most while its client asks for new ones without ever using them.
const MOST: usize = 24;

impl Accounts {
    /// Gives the next pair of tokens for a refresh token. The client may ask again until it uses one of them.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN`, or `M_USER_LOCKED`.
    pub async fn refresh(&self, token: &str) -> Result<Issued> {
        let digest = digest_of(token)?;
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let row = snapshot.get(&TOKENS, &digest).await?.ok_or_else(unknown)?;
            let (TokenKind::Refresh, Some(device)) = (row.kind, row.device) else { return Err(unknown()) };
            let account = self.get(&snapshot, row.user).await?.filter(|account| !account.deactivated);
            usable(&account.ok_or_else(unknown)?)?;
            let mut batch = Batch::new();
            batch.expect_value(&TOKENS, &digest, &row);
            revoke_previous(&mut batch, &snapshot, &row).await?;
            if row.previous.is_some() {
                batch.put(&TOKENS, &digest, &Token { previous: None, ..row.clone() });
            }
            sweep(&mut batch, &snapshot, (row.user, device), [Some(digest), row.pair]).await?;
            let owner = (row.user, device, row.device_id.as_str());
            let issued = self.issue(&mut batch, &snapshot, owner, true, Some(digest)).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| issued).map_err(Into::into),
            }
        }
        Err(Error::internal("a refresh token changes all the time"))
    }
}

/// Revokes what was given for the same refresh token and never used, once there is much of it.
async fn sweep(
    batch: &mut Batch,
    snapshot: &Snapshot,
    (user, device): (UserNum, DeviceNum),
    keep: [Option<Digest>; 2],
) -> Result<()> {
    let rows = snapshot.scan(&DEVICE_TOKENS, DEVICE_TOKENS.under(&(device,))).collect().await?;
    if rows.len() < MOST {
        return Ok(());
    }
    for ((_, digest), ()) in rows {
        if !keep.contains(&Some(digest)) {
            revoke(batch, (user, device), &digest);
        }
    }
    Ok(())
}
