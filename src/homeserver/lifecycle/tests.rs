use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use matron_storage::Options;
use ruma::api::client::uiaa::{
    AuthData, AuthType, Dummy, EmailIdentity, MatrixUserIdentifier, Password, RegistrationToken,
    ThirdpartyIdCredentials, UiaaInfo, UserIdentifier,
};
use ruma::api::error::ErrorKind;
use ruma::{ClientSecret, SessionId, server_name};

use super::{LogIn, LoggedIn, NewDevice, Operation, Registration};
use crate::Homeserver;
use crate::accounts::Session;
use crate::clock::Clock;
use crate::config::{self, Config, PasswordHashing};
use crate::error::{Error, Result};

mod abandoning;
mod closing;
mod fallback;
mod guests;
mod registering;
mod revoking;
mod tokens;

const PASSWORD: &str = "correct horse";
const ANYTHING: Operation<'_> = Operation { name: "anything", subject: "", address: None };

/// A server whose clock is turned by hand.
struct House {
    server: Arc<Homeserver>,
    now: Arc<AtomicU64>,
}

impl std::ops::Deref for House {
    type Target = Homeserver;

    fn deref(&self) -> &Homeserver {
        &self.server
    }
}

impl House {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::named(server_name!("localhost").to_owned());
        config.password_hashing = PasswordHashing { memory_kib: 8, iterations: 1 };
        config.registration = config::Registration::Open;
        config.rate_limits.set(config::RateLimits::off());
        change(&mut config);
        let now = Arc::new(AtomicU64::new(1_700_000_000_000));
        let told = Arc::clone(&now);
        let clock = Clock::by(move || told.load(Ordering::Relaxed));
        Self { server: Homeserver::start(config, &Options::memory(), clock).await.unwrap(), now }
    }

    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// A house in which Ann has an account.
    async fn of_ann() -> Self {
        let house = Self::open().await;
        house.lifecycle.create_account("ann", PASSWORD, false).await.unwrap();
        house
    }

    fn pass(&self, millis: u64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
    }

    async fn log_in(&self, name: &str, password: &str, device: &NewDevice) -> Result<LoggedIn> {
        let identifier = identifier(name);
        self.lifecycle.log_in(LogIn::Password { identifier: &identifier, password }, device).await
    }

    /// Logs Ann in on a device.
    async fn ann_on(&self, device_id: &str, refresh: bool) -> LoggedIn {
        let device = NewDevice { device_id: Some(device_id.to_owned()), refresh, ..NewDevice::default() };
        self.log_in("ann", PASSWORD, &device).await.unwrap()
    }

    async fn session(&self, logged_in: &LoggedIn) -> Session {
        self.accounts.authenticate(&logged_in.tokens.access_token).await.unwrap()
    }

    async fn lets_in(&self, token: &str) -> bool {
        self.accounts.authenticate(token).await.is_ok()
    }
}

fn identifier(name: &str) -> UserIdentifier {
    UserIdentifier::Matrix(MatrixUserIdentifier::new(name.to_owned()))
}

fn by_password(name: &str, password: &str) -> AuthData {
    AuthData::Password(Password::new(identifier(name), password.to_owned()))
}

/// A letter that nobody was sent.
fn by_letter() -> AuthData {
    let (id, secret) = (SessionId::parse("letter").unwrap(), ClientSecret::parse("secret").unwrap());
    let thirdparty_id_creds = ThirdpartyIdCredentials::new(id, secret);
    AuthData::EmailIdentity(EmailIdentity { thirdparty_id_creds, session: None })
}

/// How letters would be sent.
fn mail() -> config::Mail {
    config::Mail {
        host: "127.0.0.1".to_owned(),
        port: 25,
        security: config::MailSecurity::None,
        username: None,
        password: None,
        from: "Ward Chat <chat@trust.example>".to_owned(),
        client_url: None,
        hide_addresses: true,
        required: false,
    }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Err(Error::Matrix(error)) => error.kind,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no error"),
    }
}

fn asked<T>(result: Result<T>) -> UiaaInfo {
    match result {
        Err(Error::Interactive(info)) => *info,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no question"),
    }
}

/// Whether an error says that the token is not known, and whether softly.
fn soft<T>(result: Result<T>) -> bool {
    match kind(result) {
        ErrorKind::UnknownToken(data) => data.soft_logout,
        kind => panic!("{kind:?}"),
    }
}
