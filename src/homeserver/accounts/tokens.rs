//! Tokens: 256 random bits each, stored as digests, checked by one look into memory or into the store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::OwnedDeviceId;

use super::sessions::{Access, access_changes};
use super::{Accounts, Session};
use crate::error::{Error, Result};
use crate::schema::accounts::{
    AccountKind, DEVICE_TOKENS, RATE_LIMIT_OVERRIDES, TOKEN_ROUNDS, TOKENS, Token, TokenKind,
};
use crate::schema::{DeviceNum, Digest, UserNum};

mod login;
mod refresh;

/// No token of ours is longer.
const LONGEST: usize = 128;

/// Tokens for a device: for the client alone, nowhere stored as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// For calling the API.
    pub access_token: String,
    /// For getting the next pair, where the client can do that.
    pub refresh_token: Option<String>,
    /// Milliseconds until the access token ends, if it does.
    pub expires_in: Option<u64>,
}

/// A new token, with a mark of its sort in front (so that one that leaked is found by those who look for such), and its
/// digest.
fn new_token(kind: TokenKind) -> (String, Digest) {
    let mark = match kind {
        TokenKind::Access => "mta",
        TokenKind::Refresh => "mtr",
        TokenKind::Login => "mtl",
    };
    new_token_with(mark)
}

/// A new token with a mark in front, and its digest.
pub(super) fn new_token_with(mark: &str) -> (String, Digest) {
    let token = format!("{mark}_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let digest = digest::of(token.as_bytes());
    (token, digest)
}

fn unknown() -> Error {
    MatrixError::unknown_token(false, "the token is not known").into()
}

/// The digest of a token that may be one of ours.
pub(super) fn digest_of(token: &str) -> Result<Digest> {
    if token.len() > LONGEST {
        return Err(unknown());
    }
    Ok(digest::of(token.as_bytes()))
}

impl Accounts {
    /// Whom an access token speaks for.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN` where it does not (any more), as a soft log-out where it is only too old; `M_USER_LOCKED`.
    pub async fn authenticate(&self, token: &str) -> Result<Session> {
        let access = self.access(token).await?;
        if access.locked {
            return Err(MatrixError::user_locked("this account is locked").into());
        }
        Ok(access.session)
    }

    /// As [`Self::authenticate`], for what somebody with a locked account may do as well: log out.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN`.
    pub async fn authenticate_even_locked(&self, token: &str) -> Result<Session> {
        Ok(self.access(token).await?.session)
    }

    async fn access(&self, token: &str) -> Result<Access> {
        let digest = digest_of(token)?;
        let access = match self.sessions.get(&digest) {
            Some(access) => access,
            None => self.read_access(&digest).await?,
        };
        if access.expires.is_some_and(|expires| expires <= self.clock.millis()) {
            return Err(MatrixError::unknown_token(true, "the access token is too old").into());
        }
        Ok(access)
    }

    async fn read_access(&self, digest: &Digest) -> Result<Access> {
        for _ in 0..super::rows::TRIES {
            let snapshot = self.store.snapshot();
            let token = snapshot.get(&TOKENS, digest).await?.ok_or_else(unknown)?;
            let (TokenKind::Access, Some(device)) = (token.kind, token.device) else { return Err(unknown()) };
            let account = self.get(&snapshot, token.user).await?.ok_or_else(unknown)?;
            if account.deactivated {
                return Err(unknown());
            }
            let expired = token.expires.is_some_and(|expires| expires <= self.clock.millis());
            if token.previous.is_some() && !expired {
                self.first_use(&snapshot, digest, &token).await?;
                continue;
            }
            let session = Session {
                user_id: self.ids.user_id(token.user).await?,
                user: token.user,
                device_id: OwnedDeviceId::from(token.device_id),
                device,
                guest: account.kind == AccountKind::Guest,
                admin: account.admin,
                suspended: account.suspended,
                rate_limit: snapshot.get(&RATE_LIMIT_OVERRIDES, &token.user).await?,
            };
            let access = Access { session, expires: token.expires, locked: account.locked };
            self.sessions.remember(snapshot.position(), *digest, access.clone());
            return Ok(access);
        }
        Err(Error::internal("a token changes all the time"))
    }

    /// The first use of a token that came by refreshing revokes what it was given for.
    async fn first_use(&self, snapshot: &Snapshot, digest: &Digest, token: &Token) -> Result<()> {
        let mut batch = Batch::new();
        batch.expect_value(&TOKENS, digest, token);
        revoke_previous(&mut batch, snapshot, token).await?;
        batch.put(&TOKENS, digest, &Token { previous: None, ..token.clone() });
        match self.store.commit(batch).await {
            // Somebody used it at the same time, or revoked it: the caller reads again.
            Err(StorageError::Conflict) => Ok(()),
            done => done.map(|_| ()).map_err(Into::into),
        }
    }

    /// Gives a device tokens, by `batch`: an access token, and a refresh token where the client wants one. `previous` is
    /// the refresh token that they are given for.
    pub(crate) async fn issue(
        &self,
        batch: &mut Batch,
        snapshot: &Snapshot,
        (user, device, device_id): (UserNum, DeviceNum, &str),
        refresh: bool,
        previous: Option<Digest>,
    ) -> Result<Issued> {
        let round = snapshot.get(&TOKEN_ROUNDS, &device).await?;
        batch.expect(&TOKEN_ROUNDS, &device, round.as_ref());
        batch.put(&TOKEN_ROUNDS, &device, &round.unwrap_or_default().wrapping_add(1));
        let expires_in = refresh.then_some(self.config.access_token_lifetime);
        let (access_token, access) = new_token(TokenKind::Access);
        let row = Token {
            kind: TokenKind::Access,
            user,
            device: Some(device),
            device_id: device_id.to_owned(),
            expires: expires_in.map(|lifetime| self.clock.millis().saturating_add(lifetime)),
            pair: None,
            previous,
        };
        put(batch, device, &access, &row);
        let refresh_token = refresh.then(|| {
            let (token, digest) = new_token(TokenKind::Refresh);
            let row = Token { kind: TokenKind::Refresh, expires: None, pair: Some(access), ..row };
            put(batch, device, &digest, &row);
            token
        });
        Ok(Issued { access_token, refresh_token, expires_in })
    }
}

/// Revokes all tokens of a user's device, by `batch`, which will conflict with whoever gives it new ones meanwhile.
pub(crate) async fn revoke_device(
    batch: &mut Batch,
    snapshot: &Snapshot,
    (user, device): (UserNum, DeviceNum),
) -> Result<()> {
    let round = snapshot.get(&TOKEN_ROUNDS, &device).await?;
    batch.expect(&TOKEN_ROUNDS, &device, round.as_ref());
    let mut scan = snapshot.scan(&DEVICE_TOKENS, DEVICE_TOKENS.under(&(device,)));
    while let Some(((_, digest), ())) = scan.next().await? {
        revoke(batch, (user, device), &digest);
    }
    // Also where there was none: whoever waits for the device's news looks whether it is there.
    access_changes(batch, user);
    Ok(())
}

/// Revokes what a token was given for.
async fn revoke_previous(batch: &mut Batch, snapshot: &Snapshot, token: &Token) -> Result<()> {
    let (Some(previous), Some(device)) = (token.previous, token.device) else { return Ok(()) };
    let row = snapshot.get(&TOKENS, &previous).await?;
    for digest in std::iter::once(previous).chain(row.and_then(|row| row.pair)) {
        revoke(batch, (token.user, device), &digest);
    }
    Ok(())
}

fn put(batch: &mut Batch, device: DeviceNum, digest: &Digest, token: &Token) {
    batch.put(&TOKENS, digest, token);
    batch.put(&DEVICE_TOKENS, &(device, *digest), &());
}

fn delete(batch: &mut Batch, device: DeviceNum, digest: &Digest) {
    batch.delete(&TOKENS, digest);
    batch.delete(&DEVICE_TOKENS, &(device, *digest));
}

/// Deletes a token that may be remembered: nobody gets by with it as soon as the batch is committed.
fn revoke(batch: &mut Batch, (user, device): (UserNum, DeviceNum), digest: &Digest) {
    delete(batch, device, digest);
    access_changes(batch, user);
}
