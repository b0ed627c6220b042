//! Proving that an e-mail address is one's own: a letter with a link, and what the link opens. Client-server API, the
//! `email/requestToken` endpoints.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Error as StorageError, Snapshot};
use ruma::OwnedUserId;
use subtle::ConstantTimeEq;

use super::Lifecycle;
use crate::accounts::TRIES;
use crate::error::{Error, Result};
use crate::remote::mail::{self, Letter, Mailer};
use crate::schema::Digest;
use crate::schema::accounts::{Purpose, VALIDATION_ENDS, VALIDATION_OF, VALIDATIONS, Validation, ValidationKey};

mod letters;
mod limits;

pub(super) use limits::Limits;

/// How long a link works, and what it proved, in milliseconds.
const LIFETIME: u64 = 60 * 60 * 1000;
/// How many old validations each new one sweeps away.
const SWEPT: usize = 20;
/// The longest id of a validation, token and link to go on by, in bytes.
const LONGEST: usize = 1024;

/// A letter that a client asks for.
#[derive(Debug, Clone)]
pub struct LetterRequest {
    /// What the address is to be proved for.
    pub purpose: Purpose,
    /// The address.
    pub email: String,
    /// What the client proves by later that it was the one that asked.
    pub client_secret: String,
    /// Another letter is sent where this is greater than before.
    pub send_attempt: u64,
    /// Where the client is.
    pub address: Option<IpAddr>,
}

/// An address that was proved to be somebody's who asks. To be used up in the batch of what it is proved for.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    key: ValidationKey,
    validation: Validation,
}

impl Proof {
    /// The address, and when it was proved.
    pub fn address(&self) -> (&str, u64) {
        (&self.validation.address, self.validation.validated.unwrap_or_default())
    }

    /// It is good for one thing: `batch` conflicts where it is used up at the same time.
    ///
    /// # Errors
    /// `M_THREEPID_AUTH_FAILED` where it was used up before.
    pub async fn use_up(&self, batch: &mut Batch, snapshot: &Snapshot) -> Result<()> {
        if snapshot.get(&VALIDATIONS, &self.key).await?.as_ref() != Some(&self.validation) {
            return Err(failed());
        }
        batch.expect_value(&VALIDATIONS, &self.key, &self.validation);
        delete(batch, self.key, &self.validation);
        Ok(())
    }
}

fn key_of(id: &str) -> Option<ValidationKey> {
    if id.len() > LONGEST {
        return None;
    }
    URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()
}

fn delete(batch: &mut Batch, key: ValidationKey, validation: &Validation) {
    batch.delete(&VALIDATIONS, &key);
    batch.delete(&VALIDATION_ENDS, &(validation.expires, key));
    batch.delete(&VALIDATION_OF, &asker(validation.purpose, &validation.address, &validation.client_secret));
}

fn asker(purpose: Purpose, address: &str, secret: &Digest) -> Digest {
    digest::of_parts([&[purpose as u8][..], address.as_bytes(), secret.as_slice()])
}

fn failed() -> Error {
    MatrixError::threepid_auth_failed("the address has not been proved to be yours").into()
}

impl Lifecycle {
    /// What sends letters.
    ///
    /// # Errors
    /// `M_THREEPID_MEDIUM_NOT_SUPPORTED` where nothing does.
    pub(super) fn mailer(&self) -> Result<&Arc<Mailer>> {
        let none = || MatrixError::threepid_medium_not_supported("this server sends no e-mail");
        Ok(self.mailer.as_ref().ok_or_else(none)?)
    }

    /// Sends a letter by which somebody proves that an address is theirs; the id by which that is asked for later. The
    /// answer does not depend on whether the address is known here, unless the configuration says so: the letter does.
    ///
    /// # Errors
    /// `M_THREEPID_MEDIUM_NOT_SUPPORTED` where no e-mail is sent, `M_INVALID_PARAM` for what is no address,
    /// `M_LIMIT_EXCEEDED`, [`Error::Upstream`] where the letter cannot be sent; where the configuration wants it,
    /// `M_THREEPID_IN_USE` and `M_THREEPID_NOT_FOUND`.
    pub async fn request_letter(self: &Arc<Self>, request: LetterRequest) -> Result<String> {
        self.mailer()?;
        let address = mail::address(&request.email);
        let address = address.ok_or_else(|| MatrixError::invalid_param("this is no e-mail address"))?;
        let owner = self.accounts.email_owner(&address).await?;
        let is_right = owner.is_some() == (request.purpose == Purpose::Password);
        if !is_right && !self.config.mail.as_ref().is_some_and(|mail| mail.hide_addresses) {
            return Err(match owner {
                Some(_) => MatrixError::threepid_in_use("the address is somebody's already").into(),
                None => MatrixError::threepid_not_found("nobody has this address").into(),
            });
        }
        let lifecycle = Arc::clone(self);
        // A client that hangs up does not leave a letter behind of which nothing is kept.
        let sent = self.tasks.spawn(async move { lifecycle.send_letter(&request, address, owner.as_ref()).await });
        sent.await.map_err(Error::internal)?
    }

    /// Sends a letter, unless that was done; the id.
    async fn send_letter(
        &self,
        request: &LetterRequest,
        address: String,
        owner: Option<&OwnedUserId>,
    ) -> Result<String> {
        let client_secret = digest::of(request.client_secret.as_bytes());
        let asker = asker(request.purpose, &address, &client_secret);
        let _turn = self.letter_turns.take(&asker).await;
        let now = self.clock.millis();
        if let Some((key, known)) = self.asked(&self.store.snapshot(), &asker).await?
            && known.expires > now
            && request.send_attempt <= known.send_attempt
        {
            return Ok(URL_SAFE_NO_PAD.encode(key));
        }
        let is_limited = self.config.rate_limits.get().enabled;
        if is_limited {
            self.letter_limits.take(&address, request.address, now)?;
        }
        let key: ValidationKey = rand::random();
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let sent = self.post(&self.letter(request.purpose, &address, owner, (&key, &token))).await;
        if is_limited && sent.is_err() {
            self.letter_limits.give_back(&address);
        }
        sent?;
        let validation = Validation {
            purpose: request.purpose,
            address,
            client_secret,
            token: digest::of(token.as_bytes()),
            send_attempt: request.send_attempt,
            expires: now.saturating_add(LIFETIME),
            validated: None,
        };
        // Not before: whatever ends the server meanwhile, a client that asks again is sent a letter.
        self.put_validation(&asker, key, &validation).await?;
        Ok(URL_SAFE_NO_PAD.encode(key))
    }

    /// What a client asked for before.
    async fn asked(&self, snapshot: &Snapshot, asker: &Digest) -> Result<Option<(ValidationKey, Validation)>> {
        let Some(key) = snapshot.get(&VALIDATION_OF, asker).await? else { return Ok(None) };
        Ok(snapshot.get(&VALIDATIONS, &key).await?.map(|validation| (key, validation)))
    }

    /// Gives a letter to the SMTP server.
    async fn post(&self, letter: &Letter) -> Result<()> {
        let mailer = self.mailer()?;
        let sent = tokio::select! {
            sent = mailer.send(letter) => sent,
            () = self.stop.cancelled() => Err(Error::internal("the server stops")),
        };
        sent.map_err(|error| {
            tracing::error!(%error, "a letter could not be sent");
            Error::Upstream(MatrixError::unknown("the e-mail could not be sent; try again later"))
        })
    }

    /// Keeps what a letter is good for. What was sent before is good for nothing any more.
    async fn put_validation(&self, asker: &Digest, key: ValidationKey, validation: &Validation) -> Result<()> {
        for _ in 0..TRIES {
            let snapshot = self.store.snapshot();
            let mut batch = Batch::new();
            self.sweep(&mut batch, &snapshot, self.clock.millis()).await?;
            if let Some((old, known)) = self.asked(&snapshot, asker).await? {
                batch.expect_value(&VALIDATIONS, &old, &known);
                delete(&mut batch, old, &known);
            }
            batch.put(&VALIDATIONS, &key, validation);
            batch.put(&VALIDATION_ENDS, &(validation.expires, key), &());
            batch.put(&VALIDATION_OF, asker, &key);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| ()).map_err(Into::into),
            }
        }
        Err(Error::internal("a validation changes all the time"))
    }

    fn letter(
        &self,
        purpose: Purpose,
        address: &str,
        owner: Option<&OwnedUserId>,
        (key, token): (&ValidationKey, &str),
    ) -> Letter {
        let base = self.config.public_url.as_deref().unwrap_or_default();
        let id = URL_SAFE_NO_PAD.encode(key);
        let link = format!("{base}/_matron/email/validate?sid={id}&token={token}");
        letters::letter(purpose, &self.config.server_name, address, owner.map(|owner| &**owner), &link)
    }

    /// What nobody came back for goes with what is new, a few at a time.
    async fn sweep(&self, batch: &mut Batch, snapshot: &Snapshot, now: u64) -> Result<()> {
        let ended = VALIDATION_ENDS.range(..(now, ValidationKey::default()));
        for ((expires, key), ()) in snapshot.scan(&VALIDATION_ENDS, ended).take(SWEPT).await? {
            batch.delete(&VALIDATION_ENDS, &(expires, key));
            if let Some(validation) = snapshot.get(&VALIDATIONS, &key).await? {
                batch.delete(&VALIDATIONS, &key);
                let asker = asker(validation.purpose, &validation.address, &validation.client_secret);
                if snapshot.get(&VALIDATION_OF, &asker).await? == Some(key) {
                    batch.delete(&VALIDATION_OF, &asker);
                }
            }
        }
        Ok(())
    }

    /// What a link would prove, and the address, if it still can.
    ///
    /// # Errors
    /// The store cannot be read; `M_LIMIT_EXCEEDED` after too many wrong ones.
    pub async fn validation(&self, id: &str, token: &str, client: Option<IpAddr>) -> Result<Option<(Purpose, String)>> {
        let found = self.find(&self.store.snapshot(), id, token, client).await?;
        Ok(found.map(|(_, validation)| (validation.purpose, validation.address)))
    }

    /// Follows a link: from now on its address is proved. Whether it could.
    ///
    /// # Errors
    /// The store cannot be written; `M_LIMIT_EXCEEDED` after too many wrong ones.
    pub async fn validate(&self, id: &str, token: &str, client: Option<IpAddr>) -> Result<bool> {
        for _ in 0..TRIES {
            let found = self.find(&self.store.snapshot(), id, token, client).await?;
            let Some((key, validation)) = found else { return Ok(false) };
            if validation.validated.is_some() {
                return Ok(true);
            }
            let now = self.clock.millis();
            let proved =
                Validation { validated: Some(now), expires: now.saturating_add(LIFETIME), ..validation.clone() };
            let mut batch = Batch::new();
            batch.expect_value(&VALIDATIONS, &key, &validation);
            batch.delete(&VALIDATION_ENDS, &(validation.expires, key));
            batch.put(&VALIDATION_ENDS, &(proved.expires, key), &());
            batch.put(&VALIDATIONS, &key, &proved);
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => {}
                done => return done.map(|_| true).map_err(Into::into),
            }
        }
        Err(Error::internal("a validation changes all the time"))
    }

    async fn find(
        &self,
        snapshot: &Snapshot,
        id: &str,
        token: &str,
        client: Option<IpAddr>,
    ) -> Result<Option<(ValidationKey, Validation)>> {
        let attempt = self.accounts.begin_attempt(client)?;
        let Some(key) = key_of(id).filter(|_| token.len() <= LONGEST) else { return Ok(None) };
        let Some(validation) = snapshot.get(&VALIDATIONS, &key).await? else { return Ok(None) };
        let is_right: bool = digest::of(token.as_bytes()).ct_eq(&validation.token).into();
        if !is_right || validation.expires <= self.clock.millis() {
            return Ok(None);
        }
        attempt.right();
        Ok(Some((key, validation)))
    }

    /// What a client proved by a letter that it asked for.
    ///
    /// # Errors
    /// `M_THREEPID_AUTH_FAILED` where it has not, not for this, or too long ago; `M_LIMIT_EXCEEDED` after too many wrong
    /// ones.
    pub(super) async fn proof(
        &self,
        snapshot: &Snapshot,
        purpose: Purpose,
        (id, client_secret): (&str, &str),
        client: Option<IpAddr>,
    ) -> Result<Proof> {
        let attempt = self.accounts.begin_attempt(client)?;
        let key = key_of(id).ok_or_else(failed)?;
        let validation = snapshot.get(&VALIDATIONS, &key).await?.ok_or_else(failed)?;
        let is_asker: bool = digest::of(client_secret.as_bytes()).ct_eq(&validation.client_secret).into();
        if !is_asker || validation.purpose != purpose || validation.expires <= self.clock.millis() {
            return Err(failed());
        }
        // Clients ask again and again until their user has followed the link.
        attempt.right();
        if validation.validated.is_none() {
            return Err(failed());
        }
        Ok(Proof { key, validation })
    }
}
