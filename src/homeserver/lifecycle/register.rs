//! Making accounts: who may, under which name, and that one name is given once.

use std::net::IpAddr;

use matron_matrix::{Error as MatrixError, digest};
use matron_storage::{Batch, Error as StorageError};
use ruma::api::client::uiaa::{AuthData, AuthFlow, AuthType};
use ruma::{OwnedUserId, UserId};
use subtle::{Choice, ConstantTimeEq};

use super::interactive::{Operation, Stage};
use super::open::{Right, put_account};
use super::validate::Proof;
use super::{Lifecycle, LoggedIn, NewDevice};
use crate::accounts::{check_password, random_localpart};
use crate::config;
use crate::error::Result;
use crate::schema::UserNum;
use crate::schema::accounts::{Account, AccountKind, Purpose};

/// What somebody says who wants an account.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// The name; a random one is given where there is none.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The device to log in; none to make the account alone.
    pub device: Option<NewDevice>,
    /// The token of a guest who is to have an ordinary account, under the name that they have.
    pub guest_access_token: Option<String>,
    /// Where the client is.
    pub address: Option<IpAddr>,
}

/// An account that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The new user.
    pub user_id: OwnedUserId,
    /// The device that was logged in with it, if that was asked for.
    pub device: Option<LoggedIn>,
}

impl Lifecycle {
    /// Makes an account (client-server API, `POST /register`).
    ///
    /// # Errors
    /// `M_FORBIDDEN` where registration is closed, or the token is none of a guest of that name; `M_INVALID_USERNAME`,
    /// `M_USER_IN_USE`, `M_WEAK_PASSWORD`, `M_MISSING_PARAM` without a password; [`crate::Error::Interactive`] until the client
    /// went through a flow.
    pub async fn register(&self, wanted: &Registration, auth: Option<&AuthData>) -> Result<Registered> {
        let flows = self.flows()?;
        let guest = self.guest_of(wanted).await?;
        if let (None, Some(username)) = (&guest, &wanted.username) {
            self.accounts.available(username).await?;
        }
        if let Some(password) = &wanted.password {
            check_password(password)?;
        }
        let operation = Operation { name: "register", subject: "", address: wanted.address };
        let stage = self.interactive.enter(auth.and_then(AuthData::session), (operation, None), flows)?;
        let Some(auth) = auth else { return Err(stage.ask(None)) };
        let Some(password) = &wanted.password else {
            return Err(MatrixError::missing_param("an account needs a password").into());
        };
        let proof = self.pass_to_register(stage, auth, wanted.address).await?;
        let with = (wanted.device.as_ref(), proof.as_ref());
        if let Some(guest) = guest {
            return self.upgrade(&guest, password, with).await;
        }
        let username = wanted.username.clone().unwrap_or_else(random_localpart);
        self.create(&username, Some(password.as_str()), with, false, None).await
    }

    /// Takes a client through a stage. What proved an address: that is the last stage wherever it is one, so that nothing of
    /// it needs to be kept for a later request.
    async fn pass_to_register(
        &self,
        stage: Stage<'_>,
        auth: &AuthData,
        address: Option<IpAddr>,
    ) -> Result<Option<Proof>> {
        match (auth, &self.config.registration) {
            (AuthData::Dummy(_), _) => stage.pass(AuthType::Dummy)?,
            (AuthData::EmailIdentity(identity), _) if self.mailer.is_some() => {
                let creds = &identity.thirdparty_id_creds;
                let letter = (creds.sid.as_str(), creds.client_secret.as_str());
                let proof = self.proof(&self.store.snapshot(), Purpose::Register, letter, address).await;
                let (stage, proof) = stage.shown(proof)?;
                stage.pass(AuthType::EmailIdentity)?;
                return Ok(Some(proof));
            }
            (AuthData::RegistrationToken(given), config::Registration::Token(_)) => {
                if !self.registration_token_valid(&given.token, address)? {
                    return Err(stage.ask(Some(MatrixError::forbidden("the registration token is not valid"))));
                }
                stage.pass(AuthType::RegistrationToken)?;
            }
            (AuthData::FallbackAcknowledgement(_), _) => stage.finish().map(drop)?,
            _ => return Err(stage.refuse()),
        }
        Ok(None)
    }

    /// Makes an account without asking who wants it: for administrators.
    ///
    /// # Errors
    /// `M_INVALID_USERNAME`, `M_USER_IN_USE`, `M_WEAK_PASSWORD`.
    pub async fn create_account(&self, username: &str, password: &str, admin: bool) -> Result<OwnedUserId> {
        check_password(password)?;
        Ok(self.create(username, Some(password), (None, None), admin, None).await?.user_id)
    }

    /// Makes an account for the server itself, under a name that nobody else can take; nobody can log in to it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn create_service_account(&self, user_id: &UserId, display_name: &str) -> Result<()> {
        let _one_at_a_time = self.naming.lock().await;
        let user = self.ids.user(user_id).await?;
        let mut batch = Batch::new();
        put_account(&mut batch, (user, user_id), &self.row(AccountKind::User, None, false), Some(display_name));
        match self.store.commit(batch).await {
            // Somebody was faster: it is there.
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn create(
        &self,
        username: &str,
        password: Option<&str>,
        (device, proof): (Option<&NewDevice>, Option<&Proof>),
        admin: bool,
        display_name: Option<&str>,
    ) -> Result<Registered> {
        let (user_id, user) = self.name(username).await?;
        let hash = match password {
            Some(password) => Some(self.accounts.hash_password(password).await?),
            None => None,
        };
        let account = self.row(AccountKind::User, hash, admin);
        // Who gives no name is known by their user name, until they do.
        let display_name = Some(display_name.unwrap_or_else(|| user_id.localpart()));
        let device = if let Some(device) = device {
            let right = Right::New(&account, display_name, proof);
            Some(self.open(right, Some((user, user_id.clone())), device).await?)
        } else {
            let mut batch = Batch::new();
            put_account(&mut batch, (user, &user_id), &account, display_name);
            self.put_proved(&mut batch, &self.store.snapshot(), user, proof).await?;
            match self.store.commit(batch).await {
                Err(StorageError::Conflict) => return Err(MatrixError::user_in_use("somebody has that name").into()),
                done => done?,
            };
            None
        };
        Ok(Registered { user_id, device })
    }

    /// The id and the number of a new user. Another may still be faster to have an account of that name.
    pub(super) async fn name(&self, username: &str) -> Result<(OwnedUserId, UserNum)> {
        let user_id = self.accounts.available(username).await?;
        // Who loses the race for a new number may read before the winner's is readable: so they go one by one.
        let _one_at_a_time = self.naming.lock().await;
        let user = self.ids.user(&user_id).await?;
        Ok((user_id, user))
    }

    /// The row of a new account.
    pub(super) fn row(&self, kind: AccountKind, password: Option<String>, admin: bool) -> Account {
        Account {
            kind,
            password,
            admin,
            deactivated: false,
            erased: false,
            locked: false,
            suspended: false,
            created: self.clock.millis(),
        }
    }

    /// The ways to an account: with an address that was proved, and without where that is enough.
    fn flows(&self) -> Result<Vec<AuthFlow>> {
        let first = match &self.config.registration {
            config::Registration::Closed => return Err(MatrixError::forbidden("registration is closed").into()),
            config::Registration::Token(_) => vec![AuthType::RegistrationToken],
            config::Registration::Open => Vec::new(),
        };
        if self.mailer.is_none() && !first.is_empty() {
            return Ok(vec![AuthFlow::new(first)]);
        }
        // A token alone would be a whole flow before an address comes to it: where that may follow, so does the dummy.
        let with = |last: AuthType| AuthFlow::new(first.iter().cloned().chain([last]).collect());
        let mut flows = Vec::new();
        if !self.config.mail.as_ref().is_some_and(|mail| mail.required) {
            flows.push(with(AuthType::Dummy));
        }
        if self.mailer.is_some() {
            flows.push(with(AuthType::EmailIdentity));
        }
        Ok(flows)
    }

    /// Refuses what comes before registering where nobody can.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where registration is closed.
    pub fn registration_is_open(&self) -> Result<()> {
        self.flows().map(|_| ())
    }

    /// Whether a name can be registered.
    ///
    /// # Errors
    /// `M_INVALID_USERNAME`, `M_USER_IN_USE`; `M_FORBIDDEN` where registration is closed.
    pub async fn username_available(&self, username: &str) -> Result<()> {
        self.registration_is_open()?;
        self.accounts.available(username).await.map(|_| ())
    }

    /// Whether a registration token lets somebody in.
    ///
    /// # Errors
    /// `M_FORBIDDEN` where none does; `M_LIMIT_EXCEEDED` after too many wrong ones.
    pub fn registration_token_valid(&self, token: &str, address: Option<IpAddr>) -> Result<bool> {
        if !matches!(self.config.registration, config::Registration::Token(_)) {
            return Err(MatrixError::forbidden("nobody registers by tokens here").into());
        }
        let attempt = self.accounts.begin_attempt(address)?;
        let valid = self.is_registration_token(token);
        if valid {
            attempt.right();
        }
        Ok(valid)
    }

    /// Looks at all of them, by digests: the time says nothing of what is in them.
    fn is_registration_token(&self, given: &str) -> bool {
        let config::Registration::Token(tokens) = &self.config.registration else { return false };
        let given = digest::of(given.as_bytes());
        let found = tokens
            .iter()
            .filter(|token| !token.is_empty())
            .fold(Choice::from(0), |found, token| found | digest::of(token.as_bytes()).ct_eq(&given));
        found.into()
    }
}
